package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"
)

// abortTime is how long a command in the background may take to end when the wait
// for its begin is interrupted.
const abortTime = 10 * time.Second

// daemonFlag is what a command has that can run in the background. Such a command
// runs itself again with the flag set, in a session of its own and in /, and waits
// for a byte on that process's standard output: it runs. Until then the process
// tells what fails on the standard error that it shares with its parent, and its
// exit status becomes the parent's.
type daemonFlag struct {
	Detached bool `hidden:"" help:"Be the process in the background."`
}

// detach runs the command again in the background. It returns when that runs, or
// with its exit status.
func detach(ctx context.Context, command *kong.Context) error {
	ready, stdout, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	args, env := again(command)
	child, err := self(slices.Insert(args, 1, "--detached")...)
	if err != nil {
		return errors.Join(err, stdout.Close())
	}
	child.Env = append(os.Environ(), env...)
	child.Dir = "/"
	child.Stdout, child.Stderr = stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = child.Start()
	stdout.Close()
	if err != nil {
		return err
	}
	err = awaitReady(ctx, ready, child.Process)
	if err == nil {
		return child.Process.Release()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		child.Process.Kill()
	}
	if err := child.Wait(); child.ProcessState == nil {
		return err
	}
	return outcome(ctx, child.ProcessState)
}

// self returns the command that runs this program, whatever its name is, as rmf.
func self(args ...string) (*exec.Cmd, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(executable, args...)
	cmd.Args[0] = "rmf"
	return cmd, nil
}

// awaitReady waits for the byte that tells that the child runs; what the child
// does until then is bounded by timeouts of its own. io.EOF means that it ends
// instead. At the end of ctx the child is asked to end.
func awaitReady(ctx context.Context, ready *os.File, child *os.Process) error {
	stop := context.AfterFunc(ctx, func() {
		child.Signal(unix.SIGTERM)
		ready.SetReadDeadline(time.Now().Add(abortTime))
	})
	_, err := io.ReadFull(ready, make([]byte, 1))
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return err
}

// outcome returns the error for a child that ended before it was ready.
func outcome(ctx context.Context, child *os.ProcessState) error {
	switch {
	case child.Exited() && child.ExitCode() != exitDone:
		return alreadyTold(child.ExitCode())
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return failed("the process in the background ended: "+child.String(), "")
	}
}

// detached, in the process in the background, lets go of the parent's standard
// error, unless that is a file, and tells the parent that the command runs.
func detached() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	info, err := os.Stderr.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		if err := replace(os.Stderr, null); err != nil {
			return err
		}
	}
	if _, err := os.Stdout.Write([]byte{'\n'}); err != nil {
		return err
	}
	return replace(os.Stdout, null)
}

// replace makes the descriptor of old refer to the file of with.
func replace(old, with *os.File) error {
	return os.NewSyscallError("dup3", unix.Dup3(int(with.Fd()), int(old.Fd()), 0))
}
