package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// pidfileFlag is a flag of start and stop.
type pidfileFlag struct {
	Pidfile string `default:"daemon.pid" placeholder:"FILE" help:"File that tells the process of the server (${default})."`
}

// A pidfile tells which process is the server: the one that holds an fcntl lock on
// it. The number in it is for people; a number that survived its process would
// name another one.
type pidfile struct {
	path string
	file *os.File // open, and so locked, until the process has gone
}

// claimPidfile locks the file at path for this process, which must be the server,
// and writes its number to it.
func claimPidfile(path string) (*pidfile, error) {
	for {
		file, err := openPidfile(path, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return nil, err
		}
		p := &pidfile{path, file}
		switch current, err := p.lock(); {
		case err != nil:
			file.Close()
			return nil, err
		case !current:
			file.Close() // its server has just removed it
			continue
		}
		if err := p.write(); err != nil {
			return nil, errors.Join(err, p.remove())
		}
		return p, nil
	}
}

// lock locks the file and reports whether it still is the one at its path.
func (p *pidfile) lock() (current bool, err error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err = unix.FcntlFlock(p.file.Fd(), unix.F_SETLK, &lock)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		pid, err := p.holder()
		if err != nil || pid == 0 {
			return false, err // gone meanwhile
		}
		return false, failed(fmt.Sprintf("%s: a server is running, process %d", p.path, pid), "rmf stop --pidfile "+p.path+" ends it")
	}
	if err != nil {
		return false, &os.PathError{Op: "lock", Path: p.path, Err: err}
	}
	return p.current()
}

func (p *pidfile) current() (bool, error) {
	opened, err := p.file.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Lstat(p.path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(opened, named), err
}

func (p *pidfile) write() error {
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	_, err := p.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder returns the process that holds the lock, or 0.
func (p *pidfile) holder() (int, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(p.file.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, &os.PathError{Op: "lock", Path: p.path, Err: err}
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	if lock.Pid <= 0 {
		return 0, failed(p.path+": the server runs where its process can't be seen", "stop it there")
	}
	return int(lock.Pid), nil
}

// remove removes the file, if it still is the one at its path. The lock ends with
// the process, so that who waits for it waits for all of the server.
func (p *pidfile) remove() error {
	if current, err := p.current(); err != nil || !current {
		return err
	}
	return os.Remove(p.path)
}

// openPidfile opens a file that is no other than a pidfile: it is going to be
// overwritten or removed.
func openPidfile(path string, flags int) (*os.File, error) {
	file, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return nil, err
	}
	if err := checkPidfile(file); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// checkPidfile refuses a file whose content no pidfile can have: that is a number,
// or nothing as long as it has not been written.
func checkPidfile(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() && info.Size() <= 32 {
		content, err := io.ReadAll(file)
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(content))
		if _, err := strconv.Atoi(text); text == "" || err == nil {
			return nil
		}
	}
	return failed(file.Name()+": not a pidfile", "--pidfile names another file")
}
