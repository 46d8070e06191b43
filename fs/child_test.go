package fs_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// child is a process in a role.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	killed bool          // or failed to start: that it fails is part of the test
	exited chan struct{} // closed after err is set
	err    error
	log    lockedBuffer // standard error
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs a child until the end of the test, and returns the first line of its
// standard output.
func start(t *testing.T, r role) (*child, string, error) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(os.Args[0]), exited: make(chan struct{})}
	// The race detector otherwise sleeps a second at the end of each process.
	c.cmd.Env = append(os.Environ(), roleVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	if r.Serve != nil && r.Serve.Watches > 0 {
		c.cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	c.cmd.Stderr = &c.log
	c.stdin, err = c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	go func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	if err != nil {
		c.killed = true
		<-c.exited
		return c, "", errors.New(strings.TrimSpace(c.log.String()))
	}
	return c, strings.TrimSpace(line), nil
}

// stop ends the child and waits for it.
func (c *child) stop() {
	c.stdin.Close()
	select {
	case <-c.exited:
	case <-time.After(patience):
		c.t.Errorf("process %d does not end", c.cmd.Process.Pid)
		c.kill()
	}
	if c.err != nil && !c.killed { // what the race detector finds ends here too
		c.t.Errorf("a process of the test failed: %v", c.err)
	}
	if c.t.Failed() {
		c.t.Logf("standard error of the process:\n%s", c.log.String())
	}
}

// kill ends the child as kill -9 does.
func (c *child) kill() {
	c.killed = true
	c.cmd.Process.Kill()
	<-c.exited
}
