package server

import (
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// directory is an open directory of the jail. It is a bare descriptor, which belongs to one
// goroutine at a time: an os.File would cost three more system calls.
type directory struct {
	descriptor int    // -1 when it is closed
	path       string // by which it was opened
	id         fileID
	fs         fsID
}

func (d *directory) fd() int { return d.descriptor }

// close may be called more than once.
func (d *directory) close() {
	if d.descriptor >= 0 {
		unix.Close(d.descriptor)
		d.descriptor = -1
	}
}

// open opens a directory. Where it does not exist, is a staging directory or is
// outside the jail, the error is errNoDirectory; where it is another kind of file,
// ENOTDIR.
func (j *jail) open(dir string) (*directory, error) {
	fd, err := j.openDirectory(inRoot(dir))
	if err != nil {
		return nil, j.openError(dir, err)
	}
	d := &directory{descriptor: fd, path: dir}
	if d.fs, d.id, err = identify(fd); err != nil {
		d.close()
		return nil, err
	}
	if j.stagings.hides("", d.id) || isStagingName(path.Base(dir)) && isForeignStaging(fd) {
		d.close()
		return nil, errNoDirectory
	}
	return d, nil
}

// toOpen is how directories are opened: O_NONBLOCK so that nothing else is ever waited for.
const toOpen = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NONBLOCK

// openDirectory opens a directory by its path from the root. What the kernel refuses, os.Root
// tries again, and says why: openat2 is no part of Linux before 5.6, nor of some sandboxes, takes
// no path of unix.PathMax bytes, and gives up where ".." meets a rename.
func (j *jail) openDirectory(path string) (int, error) {
	if j.top != nil {
		if fd, err := openBeneath(j.top.fd(), path, toOpen); err == nil {
			return fd, nil
		}
	}
	return j.openByRoot(path)
}

// openByRoot is openDirectory without openat2.
func (j *jail) openByRoot(path string) (int, error) {
	f, err := j.root.OpenFile(path, toOpen, 0)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

// inRoot returns a path relative to the jail's root.
func inRoot(path string) string {
	if path = strings.Trim(path, "/"); path == "" {
		return "."
	}
	return path
}

// openError returns the error for a directory that os.Root did not open. What is in a staging
// directory does not exist, whatever it is.
func (j *jail) openError(dir string, err error) error {
	err = directoryError(err)
	if parent := path.Dir(dir); errors.Is(err, unix.ENOTDIR) && strings.Contains(parent, "/"+stagingPrefix) {
		if d, err := j.open(parent); err == nil {
			d.close()
		} else {
			return err
		}
	}
	return err
}

// directoryError returns the error for a directory that os.Root did not open. An
// error without a number of the system is its "path escapes from parent".
func directoryError(err error) error {
	errno, ok := errors.AsType[unix.Errno](err)
	if !ok {
		return lostPath{errNoDirectory, remofile2.CodeForbidden}
	}
	switch errno {
	case unix.ENOENT:
		return errNoDirectory
	case unix.ELOOP:
		return lostPath{errNoDirectory, remofile2.CodeLoop}
	case unix.ENAMETOOLONG:
		return lostPath{errNoDirectory, remofile2.CodeNameTooLong}
	}
	return errno
}
