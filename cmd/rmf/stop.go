package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// How long stop waits for the server's end, and how often it looks.
const (
	stopTime   = 30 * time.Second
	stopPeriod = 20 * time.Millisecond
)

type stopCommand struct {
	pidfileFlag
}

func (*stopCommand) Help() string {
	return `It returns when the server has gone.

Example:

	rmf stop --pidfile /run/music.pid`
}

func (c *stopCommand) Run(ctx context.Context) error {
	file, err := openPidfile(c.Pidfile, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		return failed(c.Pidfile+": no server is running", "--pidfile names the file that it was started with")
	}
	if err != nil {
		return err
	}
	defer file.Close()
	p := &pidfile{c.Pidfile, file}
	pid, err := p.holder()
	if err != nil {
		return err
	}
	if pid == 0 {
		return c.notRunning(p)
	}
	return p.end(ctx, pid)
}

// notRunning removes a pidfile that outlived its server.
func (c *stopCommand) notRunning(p *pidfile) error {
	// Locked, it can't become a new server's meanwhile.
	if _, err := p.lock(); err != nil {
		return err
	}
	if err := p.remove(); err != nil {
		return err
	}
	return failed(c.Pidfile+": no server is running", "")
}

// end asks process pid, which holds the lock, to end and waits until it has.
func (p *pidfile) end(ctx context.Context, pid int) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer process.Release()
	// The process that was found is the holder only if the lock still is held
	// by that number: it might have ended just before.
	holder, err := p.holder()
	if err != nil {
		return err
	}
	if holder == pid {
		if err := process.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return failed(fmt.Sprintf("process %d: %s", pid, cause(err)), "")
		}
	}
	return p.awaitUnlocked(ctx, pid)
}

func (p *pidfile) awaitUnlocked(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime,
		failed(fmt.Sprintf("process %d has not ended in %v", pid, stopTime), "its log may tell why"))
	defer cancel()
	tick := time.NewTicker(stopPeriod)
	defer tick.Stop()
	for {
		holder, err := p.holder()
		if err != nil || holder != pid {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
