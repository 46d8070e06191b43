package server

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/remofile2"
)

// maxLinks bounds the symbolic links that are followed from a name, as in the
// kernel.
const maxLinks = 40

// jail is the served directory. Directories come as in requests: absolute paths
// in the jail, with ".." left in. openat2 opens them, or where that can't os.Root, so that
// ".." and links mean what they mean to the kernel, and what would leave the jail does not
// exist. The last step, from a directory to a name in it, is a system call relative to the
// open directory that never follows a link.
type jail struct {
	root     *os.Root
	top      *directory // root itself
	log      *slog.Logger
	stagings *stagings
	closed   sync.Once
}

// fileID is the identity of a file, valid as long as it exists or is open.
type fileID struct {
	device, inode uint64
}

func idOf(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), uint64(st.Ino)} }

func idOfX(st *unix.Statx_t) fileID {
	return fileID{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino}
}

// target is a name in an open directory, and what it was when it was looked up.
// The directory belongs to it.
type target struct {
	dir  *directory
	name string
	st   unix.Statx_t // zero where there is no such name
}

func (t *target) close()       { t.dir.close() }
func (t *target) exists() bool { return t.st.Mode != 0 }
func (t *target) place() place { return place{t.dir.id, t.name} }

// kind returns the S_IFMT part of the mode, 0 where there is no such name.
func (t *target) kind() uint32 { return kindOfX(&t.st) }

func kindOf(st *unix.Stat_t) uint32   { return uint32(st.Mode) & unix.S_IFMT }
func kindOfX(st *unix.Statx_t) uint32 { return uint32(st.Mode) & unix.S_IFMT }

func openJail(name string, log *slog.Logger) (*jail, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() { // os.OpenRoot would wait at a FIFO
		return nil, &os.PathError{Op: "open", Path: name, Err: unix.ENOTDIR}
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	j := &jail{root: root, log: log, stagings: newStagings(log)}
	if j.top, err = j.open("/"); err != nil {
		root.Close()
		return nil, err
	}
	return j, nil
}

// close may be called more than once, at a time, too. Only the first call returns an error.
func (j *jail) close() (err error) {
	j.closed.Do(func() {
		j.stagings.close()
		j.top.close()
		err = j.root.Close()
	})
	return err
}

// stat fills in st for a name in d, links not followed. A staging directory does
// not exist.
func (j *jail) stat(d *directory, name string, st *unix.Statx_t) error {
	if err := statx(d.fd(), name, st); err != nil {
		return err
	}
	if kindOfX(st) == unix.S_IFDIR && isStagingName(name) && j.isStaging(d.fd(), name, idOfX(st)) {
		return unix.ENOENT
	}
	return nil
}

// isForeignStaging reports whether a directory that is named like a staging one is
// that of another server, running or killed.
func isForeignStaging(fd int) bool { return lockedElsewhere(fd) || isLeftover(fd) }

// isStaging reports whether a directory with the name of a staging one is one, of
// this server or of another.
func (j *jail) isStaging(dirfd int, name string, id fileID) bool {
	if j.stagings.hides(name, id) {
		return true
	}
	fd, err := openAt(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		// Ours is no longer listed if it was removed since id was found.
		return errors.Is(err, unix.ENOENT)
	}
	defer unix.Close(fd)
	return isForeignStaging(fd)
}

// find looks a name up, links not followed.
func (j *jail) find(dir, name string) (*target, error) {
	d, err := j.open(dir)
	if err != nil {
		return nil, err
	}
	t := &target{dir: d, name: name}
	err = j.stat(d, name, &t.st)
	if errors.Is(err, unix.ENOENT) {
		t.st = unix.Statx_t{}
	} else if err != nil {
		d.close()
		return nil, err
	}
	return t, nil
}

// locate looks a name up and follows links, each by its text from the directory
// where it is. One that leads nowhere, or out of the jail, is errNowhere.
func (j *jail) locate(dir, name string) (*target, error) {
	t, err := j.find(dir, name)
	for hops := 0; err == nil && t.kind() == unix.S_IFLNK; hops++ {
		toDir, toName, readErr := t.readLink()
		t.close()
		switch {
		case hops == maxLinks:
			return nil, lostPath{errNowhere, remofile2.CodeLoop}
		case errors.Is(readErr, unix.EINVAL): // no link any longer: look again
			t, err = j.find(dir, name)
		case readErr != nil:
			return nil, readErr
		default:
			dir, name = toDir, toName
			t, err = j.findLinked(dir, name)
		}
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// findLinked is find where a link has led.
func (j *jail) findLinked(dir, name string) (*target, error) {
	t, err := j.find(dir, name)
	if lost, ok := errors.AsType[lostPath](err); ok {
		return nil, lostPath{errNowhere, lost.code}
	}
	if errors.Is(err, errNoDirectory) || errors.Is(err, unix.ENOTDIR) {
		return nil, errNowhere
	}
	if err == nil && !t.exists() {
		t.close()
		return nil, errNowhere
	}
	return t, err
}

// readLink returns where the link t leads, not cleaned: only os.Root may
// interpret "..".
func (t *target) readLink() (dir, name string, err error) {
	text, err := readlinkat(t.dir.fd(), t.name)
	if err != nil {
		return "", "", err
	}
	if strings.HasPrefix(text, "/") {
		return "", "", lostPath{errNowhere, remofile2.CodeForbidden}
	}
	full := t.dir.path + "/" + text
	last := strings.LastIndexByte(full, '/')
	switch dir, name = full[:last], full[last+1:]; name {
	case "", ".", "..":
		return full, ".", nil
	}
	return dir, name, nil
}

// openFile opens a regular file for reading, links followed, and returns its size
// in bytes. No other kind of file is ever opened: that could wait for ever.
func (j *jail) openFile(dir, name string) (*os.File, int64, error) {
	t, err := j.locate(dir, name)
	if err != nil {
		return nil, 0, err
	}
	defer t.close()
	if !t.exists() {
		return nil, 0, unix.ENOENT
	}
	if t.kind() != unix.S_IFREG {
		return nil, 0, refusal(protocol.NotAFile)
	}
	f, err := openat(t.dir.fd(), t.name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	var st unix.Stat_t
	err = fstat(int(f.Fd()), &st)
	if err == nil && kindOf(&st) != unix.S_IFREG {
		err = refusal(protocol.NotAFile)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size, nil
}

// remove removes a file, a link itself or an empty directory. Links on the way to
// it are not followed: a client that sees a link as the directory it leads to, and
// removes all that is in it, means the link.
func (j *jail) remove(dir, name string) error {
	t, err := j.find(dir, name)
	if err != nil {
		return err
	}
	defer t.close()
	if err := j.checkNoLinks(t.dir); err != nil {
		return err
	}
	switch t.kind() {
	case 0:
		return unix.ENOENT
	case unix.S_IFDIR:
		return unlinkat(t.dir.fd(), name, unix.AT_REMOVEDIR)
	default:
		return unlinkat(t.dir.fd(), name, 0)
	}
}

// leadsTo reports whether a directory still has its path, inside the jail: that costs less than to
// climb up from it.
func (j *jail) leadsTo(d *directory) bool {
	fd, err := openBeneath(j.top.fd(), inRoot(d.path), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return false // also where there is no openat2
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	return fstat(fd, &st) == nil && idOf(&st) == d.id
}

// checkInside fails where an open directory has been removed, or moved out of the jail.
func (j *jail) checkInside(d *directory) error {
	if d.id == j.top.id || j.leadsTo(d) {
		return nil
	}
	var st unix.Stat_t
	if err := fstat(d.fd(), &st); err != nil {
		return err
	}
	if st.Nlink == 0 {
		return errNoDirectory
	}
	at, id := d.fd(), d.id
	for id != j.top.id {
		up, _, upID, err := above(at)
		if at != d.fd() {
			unix.Close(at)
		}
		if err != nil {
			return err
		}
		if upID == id { // the system's root
			unix.Close(up)
			return lostPath{errNoDirectory, remofile2.CodeForbidden}
		}
		at, id = up, upID
	}
	if at != d.fd() {
		unix.Close(at)
	}
	return nil
}

// checkNoLinks fails where a link lies on the path by which d was opened.
func (j *jail) checkNoLinks(d *directory) error {
	at, err := openAt(j.top.fd(), ".", unix.O_PATH|unix.O_DIRECTORY, 0)
	for name := range strings.SplitSeq(strings.Trim(d.path, "/"), "/") {
		if err != nil || name == "" {
			break
		}
		above := at
		at, err = openAt(above, name, unix.O_PATH|unix.O_DIRECTORY, 0)
		unix.Close(above)
	}
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return errThroughLink
	}
	if err != nil {
		return err
	}
	return unix.Close(at)
}
