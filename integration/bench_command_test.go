package integration

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// rmfProgram is rmf with a server, both in processes of their own.
type rmfProgram struct {
	path    string    // of rmf
	jail    string    // in memory
	server  *exec.Cmd // rmf run
	address string    // of the server
	env     []string  // of client commands
}

// startRmf starts a server with an empty jail, which ends with the benchmark. Its clients
// encrypt or not.
func startRmf(t testing.TB, encrypted bool) *rmfProgram {
	t.Helper()
	p := &rmfProgram{path: filepath.Join(buildRmf(t), "rmf"), jail: memoryDir(t)}
	p.server = exec.Command(p.path, "run", "--address", "127.0.0.1", "--log-level", "warn", p.jail, "0", token)
	p.env = append(os.Environ(), "REMOFILE_TOKEN="+token, fmt.Sprintf("REMOFILE_PLAIN=%v", !encrypted))
	p.address = startListening(t, p.server)
	p.connectTo(t, p.address)
	return p
}

// connectTo has clients find the server at another address.
func (p *rmfProgram) connectTo(t testing.TB, address string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	p.env = append(p.env, "REMOFILE_HOSTNAME="+host, "REMOFILE_PORT="+port)
}

// command is a client command.
func (p *rmfProgram) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, args...)
	cmd.Env = p.env
	return cmd
}

// cost is what a command took.
type cost struct {
	elapsed time.Duration
	cpu     time.Duration // of the command and its server
	memory  int64         // the most that the command used, in bytes
}

// measure runs a command, which must succeed. The server is the other process that works
// on it.
func measure(t testing.TB, cmd, server *exec.Cmd) (c cost) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	before := cpuTime(t, server.Process.Pid)
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var watching sync.WaitGroup
	watching.Go(func() { c.memory = watchMemory(cmd.Process.Pid) }) // ends with the command
	err := cmd.Wait()
	c.elapsed = time.Since(start)
	watching.Wait()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	awaitChildren(t, server.Process.Pid)
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() + cpuTime(t, server.Process.Pid) - before
	return c
}

// watchMemory returns the most memory that a process has used at the last moment at which it
// was looked at, until it ends. (The resource usage of an ended one tells that of its
// parent, if that is more.)
func watchMemory(pid int) (peak int64) {
	for {
		now, err := peakMemory(pid)
		if err != nil || now == 0 {
			return peak
		}
		peak = now
		time.Sleep(5 * time.Millisecond)
	}
}

// awaitChildren waits until a process has no children any longer.
func awaitChildren(t testing.TB, pid int) {
	t.Helper()
	name := fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		children, err := os.ReadFile(name)
		if err == nil && len(children) == 0 {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the server has children %q, error %v", children, err)
		}
	}
}

// cpuTime returns what a process and its children that have ended have used, to 10 ms
// (proc_pid_stat(5)).
func cpuTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	const tick = 10 * time.Millisecond
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, fields, _ := strings.Cut(string(stat), ") ")
	var times [4]time.Duration // of itself and of its children, each in user mode and in the kernel
	for i, field := range strings.Fields(fields)[11:15] {
		if _, err := fmt.Sscan(field, (*int64)(&times[i])); err != nil {
			t.Fatal(err)
		}
	}
	return (times[0] + times[1] + times[2] + times[3]) * tick
}

// makeFiles makes a directory with directories in it, with so many files in each of them.
func makeFiles(t testing.TB, path string, directories, files, size int) {
	t.Helper()
	content := random(size)
	for d := range directories {
		directory := filepath.Join(path, fmt.Sprintf("directory %d", d))
		if err := os.MkdirAll(directory, 0o777); err != nil {
			t.Fatal(err)
		}
		for f := range files {
			if err := os.WriteFile(filepath.Join(directory, fmt.Sprintf("file %d", f)), content, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func mustRemove(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
