package fs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

// What a mount remembers is good for a minute, longer than these tests wait for: that they see what others
// have changed is the work of the server's notices.

// client connects to the server.
func (m *mounted) client() *remote.Client {
	m.t.Helper()
	c, err := remote.Dial(m.t.Context(), remote.Options{Address: m.address, Token: token})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Close() })
	return c
}

// watches returns how many directories the mounts watch.
func watches(t *testing.T, c *remote.Client) (n int) {
	t.Helper()
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, session := range s.Sessions {
		n += session.Watches
	}
	return n
}

// remember looks into directories until they are watched, and then often enough for a mount to remember what
// they hold.
func remember(t *testing.T, c *remote.Client, dirs ...string) {
	t.Helper()
	eventually(t, "the directories are watched", func() bool {
		for _, dir := range dirs {
			show(dir)
		}
		return watches(t, c) >= len(dirs)
	})
	// At full size look-ups are answered from memory, too: of names that have been the same for 10 s.
	end := time.Now()
	if os.Getenv("REMOFILE_TEST_FULL") == "1" {
		end = end.Add(11 * time.Second)
	}
	for i := 0; i < 3 || time.Now().Before(end); i++ {
		for _, dir := range dirs {
			show(dir)
		}
		time.Sleep(time.Until(end) / 50)
	}
}

// show returns what a program sees in a directory, a line for each name.
func show(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Sprint("not there: ", errors.Is(err, os.ErrNotExist))
	}
	var lines []string
	for _, e := range entries {
		lines = append(lines, describe(filepath.Join(dir, e.Name())))
	}
	return strings.Join(lines, "\n")
}

// describe returns what stat tells of a name.
func describe(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Sprint(filepath.Base(path), " ", errors.Is(err, os.ErrNotExist), " is none")
	}
	size := info.Size()
	if info.IsDir() {
		size = 0
	}
	// The protocol keeps about a quarter of a microsecond.
	return fmt.Sprint(info.Name(), " ", info.Mode(), " ", size, " ", info.ModTime().UnixMicro(), " ", info.Sys().(*syscall.Stat_t).Nlink)
}

// wantSame waits until a directory is in the mount as it is in the jail.
func (m *mounted) wantSame(dir string) {
	m.t.Helper()
	var there, here string
	defer func() {
		if m.t.Failed() {
			m.t.Logf("the jail has\n%s\nthe mount\n%s", there, here)
		}
	}()
	eventually(m.t, "the mount shows what the jail has", func() bool {
		there, here = show(m.at(dir)), show(m.in(dir))
		return there == here
	})
}

// TestChangesOfOthersAreSeen although what was there before is remembered.
func TestChangesOfOthersAreSeen(t *testing.T) {
	m := newMount(t, mountRole{})
	other, c := m.second(mountRole{}), m.client()
	ctx := t.Context()
	m.shell(`mkdir $J/d; cd $J/d; echo a > a; echo b > b; mkdir sub; ln -s a link`)
	in := func(dir, name string) string { return filepath.Join(dir, "d", name) }
	remember(t, c, m.in("d"))
	for _, change := range []struct {
		name string
		make func() error
	}{
		{"create", func() error { return os.WriteFile(m.at("d/new"), []byte("new"), 0o600) }},
		{"write", func() error { return os.WriteFile(m.at("d/a"), []byte("other content"), 0) }},
		{"replace", func() error { m.put("d/a", "newer"); return nil }},
		{"chmod", func() error { return os.Chmod(m.at("d/a"), 0o640) }},
		{"rename", func() error { return os.Rename(m.at("d/a"), m.at("d/renamed")) }},
		{"remove", func() error { return os.Remove(m.at("d/renamed")) }},
		{"make a directory", func() error { return os.Mkdir(m.at("d/made"), 0o700) }},
		{"make an entry beneath", func() error { return os.Mkdir(m.at("d/sub/beneath"), 0o700) }},
		{"another file in its place", func() error { return errors.Join(os.Remove(m.at("d/link")), os.Mkdir(m.at("d/link"), 0o700)) }},
		{"a second name", func() error {
			_, err := c.Link(ctx, "/d/b", "/second")
			return err
		}},
		{"a change by it", func() error { return os.WriteFile(m.at("second"), []byte("longer than before"), 0) }},
		{"its end", func() error { return os.Remove(m.at("second")) }},
		{"create in another mount", func() error { return os.WriteFile(in(other, "there"), []byte("there"), 0o600) }},
		{"append there", func() error {
			f, err := os.OpenFile(in(other, "there"), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		}},
		{"truncate there", func() error { return os.Truncate(in(other, "there"), 2) }},
		{"rename there", func() error { return os.Rename(in(other, "there"), in(other, "b")) }},
		{"remove there", func() error { return os.Remove(in(other, "b")) }},
		{"upload", func() error {
			return c.Upload(ctx, "/d/uploaded", strings.NewReader("uploaded"), 8, remote.TransferOptions{})
		}},
		{"remove by a client", func() error { return c.RemoveAll(ctx, "/d/sub") }},
	} {
		if err := change.make(); err != nil {
			t.Fatalf("%s: %v", change.name, err)
		}
		m.wantSame("d")
		if t.Failed() {
			t.Fatal(change.name)
		}
	}
	// The directory itself becomes another.
	m.shell(`mv $J/d $J/old; mkdir $J/d; echo x > $J/d/x`)
	m.wantSame("d")
	m.wantSame("old")
}

// TestOpenIsNeverFromMemory: what others have closed is what the next open reads, at once.
func TestOpenIsNeverFromMemory(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`mkdir $J/d; echo > $J/d/f; echo > $J/d/written`)
	remember(t, m.client(), m.in("d"))
	for i := range 100 {
		show(m.in("d"))
		wantNone(t, m.in("d", fmt.Sprint(i)))
		content := strings.Repeat("x", i)
		m.put(fmt.Sprint("d/", i), content)
		want(t, m.in("d", fmt.Sprint(i)), content)
		m.put("d/f", content)
		want(t, m.in("d/f"), content)
		if err := os.WriteFile(m.at("d/written"), []byte(content), 0); err != nil {
			t.Fatal(err)
		}
		want(t, m.in("d/written"), content)
		if info, err := os.Stat(m.in("d/written")); err != nil || info.Size() != int64(i) {
			t.Fatalf("after it was read it has %v bytes, error %v, want %d", info.Size(), err, i)
		}
		if t.Failed() {
			return
		}
	}
	m.shell(`mkdir $J/e; echo other > $J/e/f`)
	m.shell(`mv $J/d $J/old; mv $J/e $J/d; cat $M/d/f`)
	want(t, m.in("d/f"), "other\n")
}

// TestLocksAreFreeAtOnce, when another mount gives them up, though it is remembered that they were taken.
func TestLocksAreFreeAtOnce(t *testing.T) {
	m := newMount(t, mountRole{})
	other := m.second(mountRole{})
	m.shell(`mkdir $J/d`)
	remember(t, m.client(), m.in("d"), filepath.Join(other, "d"))
	take := func(dir string) (*os.File, error) {
		return os.OpenFile(filepath.Join(dir, "d", "lock"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	}
	dirs := []string{m.path, other}
	for range 50 {
		lock, err := take(dirs[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = take(dirs[1])
		wantError(t, "taking what is taken", err, os.ErrExist)
		show(dirs[1])
		if err := os.Remove(lock.Name()); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(dirs)
	}
}

// TestOwnChangesAreSeen: no notice tells of them.
func TestOwnChangesAreSeen(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`mkdir $J/d $J/d/sub; cd $J/d; for i in 0 1 2 3; do echo $i > $i; done`)
	remember(t, m.client(), m.in("d"), m.in("d/sub"))
	name := func() string { return m.in("d", fmt.Sprint(rand.IntN(6))) }
	var held []*os.File
	defer func() {
		for _, f := range held {
			f.Close()
		}
	}()
	steps := []func(){
		func() { os.WriteFile(name(), []byte("text"), 0o644) },
		func() { os.Rename(name(), name()) },
		func() { os.Rename(name(), m.in("d/sub/moved")) },
		func() { os.Rename(m.in("d/sub/moved"), name()) },
		func() { os.Remove(name()) },
		func() { os.Truncate(name(), rand.Int64N(9)) },
		func() { os.Chmod(name(), iofs.FileMode(0o600+rand.IntN(0o100))) },
		func() { os.Symlink("target", name()) },
		func() { os.Mkdir(name(), 0o700) },
		func() { os.Link(name(), name()) },
		func() {
			if f, err := os.OpenFile(name(), os.O_RDWR|os.O_APPEND, 0); err == nil {
				f.WriteString("more")
				held = append(held, f)
			}
		},
		func() {
			if len(held) > 0 {
				held[0].Close()
				held = held[1:]
			}
		},
	}
	for range 20 {
		for range 10 {
			steps[rand.IntN(len(steps))]()
			show(m.in("d"))
		}
		m.wantSame("d")
		m.wantSame("d/sub")
		if t.Failed() {
			return
		}
	}
}

// TestChangesWithoutALinkAreSeen when it is back, also by another server.
func TestChangesWithoutALinkAreSeen(t *testing.T) {
	m, k := newLinkedMount(t, mountRole{Timeout: silence})
	m.shell(`mkdir $J/d; echo a > $J/d/a; echo b > $J/d/b`)
	c := m.client()
	remember(t, c, m.in("d"))
	k.cut()
	m.shell(`cd $J/d; rm a; echo longer > b; echo c > c`)
	k.mend()
	m.wantSame("d")
	remember(t, c, m.in("d"))
	c.Close()
	m.server.kill()
	m.shell(`cd $J/d; rm b; mv c a; mkdir d`)
	m.serveAgain()
	m.wantSame("d")
	remember(t, m.client(), m.in("d"))
	m.shell(`cd $J/d; rmdir d; mv a e; echo more >> e`)
	m.wantSame("d")
}

// TestManyChangesAreSeen, more than are told one by one.
func TestManyChangesAreSeen(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`mkdir $J/d; cd $J/d; i=0; while [ $i -lt 600 ]; do : > file$i; i=$((i+1)); done`)
	remember(t, m.client(), m.in("d"), m.path)
	m.shell(`cd $J/d; for f in file*; do echo text > $f; done; rm file*7; for f in file*8; do mv $f ../$f; done`)
	m.wantSame("d")
	m.wantSame("")
}

// TestChangesThatAreNotToldAreSeen: the server's jail is a mount itself, whose changes nobody tells it.
func TestChangesThatAreNotToldAreSeen(t *testing.T) {
	m := newMount(t, mountRole{CacheTime: -1})
	above := &mounted{t: t, jail: m.path, path: t.TempDir()}
	above.serve(serverRole{Address: "127.0.0.1:0"})
	above.mount(mountRole{Address: above.address})
	err := above.client().Watch(t.Context(), "/")
	wantError(t, "watch", err, remote.Unsupported)
	m.shell(`mkdir $J/d; echo a > $J/d/a`)
	for i := range 3 {
		m.shell(fmt.Sprintf(`cd $J/d; echo %d >> a; mv a b; echo more > new%d`, i, i))
		above.wantSame("d")
		m.shell(`cd $J/d; mv b a`)
	}
	unmount(t, above.path)
	<-above.daemon.exited
	above.server.stop()
}

// TestStrictSeesAtOnce what others have changed.
func TestStrictSeesAtOnce(t *testing.T) {
	m := newMount(t, mountRole{CacheTime: -1})
	m.shell(`mkdir $J/d; echo a > $J/d/a`)
	for i := range 20 {
		m.shell(fmt.Sprintf(`cd $J/d; echo %d >> a; mv a b; mv b a; echo more > new%d`, i, i))
		if there, here := show(m.at("d")), show(m.in("d")); there != here {
			t.Fatalf("the jail has\n%s\nthe mount\n%s", there, here)
		}
	}
	if n := watches(t, m.client()); n != 0 {
		t.Errorf("%d directories are watched", n)
	}
}

// TestMountUnderAStormOfChanges can be used, and unmounted while it lasts.
func TestMountUnderAStormOfChanges(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`cd $J; for d in a b c d; do mkdir $d; for f in 1 2 3 4 5; do echo $f > $d/$f; done; done`)
	remember(t, m.client(), m.path, m.in("a"), m.in("b"), m.in("c"), m.in("d"))
	storm, end := context.WithCancel(t.Context())
	defer end()
	var running sync.WaitGroup
	for seed := range uint64(2) {
		running.Go(func() { // ends with the storm
			random := rand.New(rand.NewPCG(seed, 0))
			name := func() string { return m.at(string('a'+rune(random.IntN(4))), fmt.Sprint(random.IntN(60))) }
			for storm.Err() == nil {
				os.WriteFile(name(), []byte("text"), 0o600)
				os.Rename(name(), name())
				os.Remove(name())
				dir := m.at(string('a' + rune(random.IntN(4))))
				os.Rename(dir, dir+"x")
				os.Rename(dir+"x", dir)
			}
		})
	}
	for _, script := range []string{`ls -lR $M`, `find $M -type f -exec cat {} +`, `stat $M/*/*`} {
		cmd := exec.Command("sh", "-c", script)
		cmd.Env = append(os.Environ(), "M="+m.path)
		cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
		cmd.Run() // names come and go meanwhile
	}
	if _, err := os.ReadDir(m.path); err != nil {
		t.Error(err)
	}
	unmount(t, m.path)
	<-m.daemon.exited
	end()
	running.Wait()
}

// TestDirectoriesThatAreGoneAreNotWatched any longer.
func TestDirectoriesThatAreGoneAreNotWatched(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`cd $J; for d in a b c d; do mkdir $d; done`)
	c := m.client()
	remember(t, c, m.path, m.in("a"), m.in("b"), m.in("c"), m.in("d"))
	m.shell(`cd $J; rm -r a; mv b e`)
	eventually(t, "those that are gone are not watched", func() bool { return watches(t, c) <= 3 })
}
