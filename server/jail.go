package server

import (
	"errors"
	"log/slog"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/remofile2"
)

// maxLinks bounds the symbolic links that are followed from a name, as in the
// kernel.
const maxLinks = 40

// jail is the served directory. Directories come as in requests: absolute paths
// in the jail, with ".." left in. os.Root opens them, so that ".." and links mean
// what they mean to the kernel, and what would leave the jail does not exist. The
// last step, from a directory to a name in it, is a system call relative to the
// open directory that never follows a link.
type jail struct {
	root     *os.Root
	top      *directory // root itself
	log      *slog.Logger
	stagings *stagings
}

// fileID is the identity of a file, valid as long as it exists or is open.
type fileID struct {
	device, inode uint64
}

func idOf(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), uint64(st.Ino)} }

// directory is an open directory of the jail.
type directory struct {
	file *os.File
	path string // by which it was opened
	id   fileID
}

func (d *directory) fd() int { return int(d.file.Fd()) }
func (d *directory) close()  { d.file.Close() }

// target is a name in an open directory, and what it was when it was looked up.
// The directory belongs to it.
type target struct {
	dir  *directory
	name string
	st   unix.Stat_t // zero where there is no such name
}

func (t *target) close()       { t.dir.close() }
func (t *target) exists() bool { return t.st.Mode != 0 }
func (t *target) place() place { return place{t.dir.id, t.name} }

// kind returns the S_IFMT part of the mode, 0 where there is no such name.
func (t *target) kind() uint32 { return kindOf(&t.st) }

func kindOf(st *unix.Stat_t) uint32 { return uint32(st.Mode) & unix.S_IFMT }

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
	j := &jail{root: root, log: log, stagings: newStagings()}
	if j.top, err = j.open("/"); err != nil {
		root.Close()
		return nil, err
	}
	return j, nil
}

// close may be called more than once.
func (j *jail) close() error {
	j.stagings.close()
	j.top.close()
	return j.root.Close()
}

// release gives a use of a staging directory back.
func (j *jail) release(st *staging) {
	if err := j.stagings.release(st); err != nil {
		j.log.Warn("staging directory stays", "path", st.name, "err", err)
	}
}

// open opens a directory. Where it does not exist, is a staging directory or is
// outside the jail, the error is errNoDirectory; where it is another kind of file,
// ENOTDIR.
func (j *jail) open(dir string) (*directory, error) {
	f, err := j.root.OpenFile(inRoot(dir), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, j.openError(dir, err)
	}
	d := &directory{file: f, path: dir}
	var st unix.Stat_t
	if err := fstat(d.fd(), &st); err != nil {
		f.Close()
		return nil, err
	}
	d.id = idOf(&st)
	if j.stagings.hides("", d.id) || isStagingName(path.Base(dir)) && isForeignStaging(f) {
		f.Close()
		return nil, errNoDirectory
	}
	return d, nil
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

// stat fills in st for a name in d, links not followed. A staging directory does
// not exist.
func (j *jail) stat(d *directory, name string, st *unix.Stat_t) error {
	if err := fstatat(d.fd(), name, st); err != nil {
		return err
	}
	if kindOf(st) == unix.S_IFDIR && isStagingName(name) && j.isStaging(d, name, idOf(st)) {
		return unix.ENOENT
	}
	return nil
}

// isForeignStaging reports whether a directory that is named like a staging one is
// that of another server, running or killed.
func isForeignStaging(f *os.File) bool { return lockedElsewhere(f) || isLeftover(f) }

// isStaging reports whether a directory with the name of a staging one is one, of
// this server or of another.
func (j *jail) isStaging(d *directory, name string, id fileID) bool {
	if j.stagings.hides(name, id) {
		return true
	}
	f, err := openat(d.fd(), name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		// Ours is no longer listed if it was removed since id was found.
		return errors.Is(err, unix.ENOENT)
	}
	defer f.Close()
	return isForeignStaging(f)
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
		t.st = unix.Stat_t{}
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
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH}
	fd, err := unix.Openat2(j.top.fd(), inRoot(d.path), &how)
	if err != nil {
		return false // also where Linux is older than 5.6
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	return fstat(fd, &st) == nil && idOf(&st) == d.id
}

// checkInside fails where an open directory has been removed, or moved out of the jail.
func (j *jail) checkInside(d *directory) error {
	var st unix.Stat_t
	if err := fstat(d.fd(), &st); err != nil {
		return err
	}
	if st.Nlink == 0 {
		return errNoDirectory
	}
	if j.leadsTo(d) {
		return nil
	}
	at, id := d.file, d.id
	for id != j.top.id {
		up, _, upID, err := above(at)
		if at != d.file {
			at.Close()
		}
		if err != nil {
			return err
		}
		if upID == id { // the system's root
			up.Close()
			return lostPath{errNoDirectory, remofile2.CodeForbidden}
		}
		at, id = up, upID
	}
	if at != d.file {
		at.Close()
	}
	return nil
}

// checkNoLinks fails where a link lies on the path by which d was opened.
func (j *jail) checkNoLinks(d *directory) error {
	at, err := openat(j.top.fd(), ".", unix.O_PATH|unix.O_DIRECTORY, 0)
	for name := range strings.SplitSeq(strings.Trim(d.path, "/"), "/") {
		if err != nil || name == "" {
			break
		}
		above := at
		at, err = openat(int(above.Fd()), name, unix.O_PATH|unix.O_DIRECTORY, 0)
		above.Close()
	}
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return errThroughLink
	}
	if err != nil {
		return err
	}
	return at.Close()
}
