package fs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// watcher is a process that detaches the mount when this one dies: nobody could use the path before. It
// knows that by the end of its standard input, a pipe whose other end no other process has.
type watcher struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// startWatcher starts the program, nil where there is none. It has to be done before the mount: the
// descriptor of the kernel's device is inherited.
func startWatcher(cmd *exec.Cmd) (*watcher, error) {
	if cmd == nil {
		return nil, nil
	}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a signal to our group is not for it
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("the watcher: %w", err)
	}
	return &watcher{cmd, pipe}, nil
}

// tell tells what to detach.
func (w *watcher) tell(mountpoint string, m mounted) error {
	if w == nil {
		return nil
	}
	_, err := fmt.Fprintf(w.pipe, "%s %q\n", m.device, mountpoint)
	return err
}

// end ends the process, which has nothing to detach then. That it was killed is no matter any longer.
func (w *watcher) end() {
	if w == nil {
		return
	}
	fmt.Fprintln(w.pipe)
	w.pipe.Close()
	w.cmd.Wait()
}

// Watch is what the program of Options.Watcher has to call, with its standard input: it returns when the
// process of the mount has ended, and has detached what that left.
func Watch(r io.Reader) error {
	var m mounted
	var mountpoint string
	lines := bufio.NewReader(r)
	line, err := lines.ReadString('\n')
	if err == nil {
		_, err = fmt.Sscanf(line, "%s %q", &m.device, &mountpoint)
	}
	if err != nil {
		return nil // it has not mounted
	}
	if _, err := lines.ReadString('\n'); !errors.Is(err, io.EOF) {
		return err // it has ended in good order
	}
	m.kind = ourType
	on, err := mountedOn(mountpoint)
	if err == nil && on == m {
		err = detach(mountpoint)
	}
	if err != nil {
		return &os.PathError{Op: "detach", Path: mountpoint, Err: err}
	}
	return nil
}
