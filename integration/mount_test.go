package integration

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fullSize reports whether the tests are to run at the sizes that are promised, not
// at those that take moments.
func fullSize() bool { return os.Getenv("REMOFILE_TEST_FULL") == "1" }

// mounted is a running "rmf mount --serve".
type mounted struct {
	jail, mountpoint string
	cmd              *exec.Cmd
	stderrEnded      chan struct{}
}

// end sends a signal and waits for the end of the process.
func (m *mounted) end(signal os.Signal) error {
	m.cmd.Process.Signal(signal)
	<-m.stderrEnded
	return m.cmd.Wait()
}

// serveAndMount runs "rmf mount --serve" on a new jail, as the README's first
// command does.
func serveAndMount(t *testing.T) *mounted {
	t.Helper()
	if err := fuseUsable(); err != nil {
		lacking(t, "nothing can be mounted: "+err.Error())
	}
	bin, dir := buildRmf(t), t.TempDir()
	m := &mounted{jail: filepath.Join(dir, "jail"), mountpoint: filepath.Join(dir, "mnt")}
	m.start(t, exec.Command(filepath.Join(bin, "rmf"), "mount", "--serve", m.jail, m.mountpoint))
	return m
}

// start runs a mount in the foreground until the end of the test.
func (m *mounted) start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	m.cmd, m.stderrEnded = cmd, make(chan struct{})
	stderr, err := m.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.end(os.Kill)
		syscall.Unmount(m.mountpoint, syscall.MNT_DETACH)
	})
	lines := bufio.NewScanner(stderr)
	lines.Scan()
	first := lines.Text()
	go func() { // ends with the process; end waits for it
		defer close(m.stderrEnded)
		for lines.Scan() {
			t.Log(lines.Text())
		}
	}()
	if !strings.HasPrefix(first, "mounted ") {
		t.Fatalf("the first line is %q", first)
	}
}

// run runs a program that must succeed in silence.
func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// makeTree makes a tree of n files, from empty ones to one of the largest size,
// most of them small.
func makeTree(t *testing.T, dir string, n int, largest int64) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, uint64(n)))
	source := rand.NewChaCha8([32]byte{1})
	for i := range n {
		size := random.Int64N(16 << 10)
		switch {
		case i%20 == 0:
			size = 0
		case i == 1:
			size = largest
		case i%100 == 1:
			size = random.Int64N(largest / 16)
		}
		sub := filepath.Join(dir, fmt.Sprintf("dir %d", i%7), strings.Repeat("deeper/", i%3))
		if err := os.MkdirAll(sub, 0o777); err != nil {
			t.Fatal(err)
		}
		content := make([]byte, size)
		source.Read(content)
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("file é %d", i)), content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTreesSurviveTheMount copies 1,000 files, empty to 64 MiB at full size, into a
// mount and out of it, with cp and diff, and unmounts by Ctrl-C.
func TestTreesSurviveTheMount(t *testing.T) {
	files, largest := 200, int64(4<<20)
	if fullSize() {
		files, largest = 1000, 64<<20
	}
	m := serveAndMount(t)
	source, back := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "back")
	makeTree(t, source, files, largest)

	run(t, "cp", "-r", source, filepath.Join(m.mountpoint, "tree"))
	run(t, "diff", "-r", source, filepath.Join(m.jail, "tree"))
	settle(t, m.jail)
	run(t, "diff", "-r", m.jail, m.mountpoint)
	run(t, "cp", "-r", filepath.Join(m.mountpoint, "tree"), back)
	run(t, "diff", "-r", source, back)
	run(t, "rm", "-r", filepath.Join(m.mountpoint, "tree"))

	memory, err := peakMemory(m.cmd.Process.Pid)
	if err != nil || memory >= 64<<20 {
		t.Errorf("server and mount took %d MiB of memory, error %v, want less than 64", memory>>20, err)
	}
	if err := m.end(os.Interrupt); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), m.mountpoint) {
		t.Errorf("still mounted, error %v", err)
	}
	for _, dir := range []string{m.jail, m.mountpoint} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v at the end, error %v", filepath.Base(dir), left, err)
		}
	}
}
