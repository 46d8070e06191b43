package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A part is a local file that an interrupted download has left, or may leave. Its name is made
// of that of its destination, which it also has as an extended attribute (xattr(7)): both, and
// its owner, tell it from all other files. Whoever uses it has a lock (flock) on it, and nobody
// else renames or removes it then.
const (
	partPrefix = ".rmf-part-"
	markName   = "user.remofile.part"
	partMode   = 0o600 // is in the mode of a part, so that it can be resumed
	// partLife is how long a part is kept that nobody goes on with, as the server keeps those
	// of uploads.
	partLife = 24 * time.Hour
)

// errNotOurs is a file with the name of a part that is none, or that somebody else uses.
var errNotOurs = errors.New("not a part of ours")

// partName returns the name of the part for a destination of this name in its directory.
func partName(name string) string { return partPrefix + shortDigest(name) }

// isPartName reports whether a part may have that name.
func isPartName(name string) bool {
	return len(name) == len(partPrefix)+32 && strings.HasPrefix(name, partPrefix)
}

// shortDigest returns 32 characters by which something long is found again.
func shortDigest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// makePart reports whether it has made the file f the part of that path, for a destination of
// that name. It then has the lock, and the path instead of its own.
func makePart(f *os.File, own, path, name string) bool {
	fd := int(f.Fd())
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil || unix.Fsetxattr(fd, markName, []byte(name), 0) != nil {
		return false
	}
	if unix.Renameat2(unix.AT_FDCWD, own, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE) != nil {
		unmark(f)
		return false
	}
	return true
}

// unmark makes a file no part any longer. That it fails does no harm: without the name, the
// mark means nothing.
func unmark(f *os.File) { unix.Fremovexattr(int(f.Fd()), markName) }

// openPart opens and locks the part of that path.
func openPart(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := lockPart(f, path); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// lockPart locks a file that has been opened by that path. It fails with errNotOurs where that
// is no part, or no longer.
func lockPart(f *os.File, path string) error {
	fd := int(f.Fd())
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errNotOurs
	}
	var opened, named unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &opened), unix.Lstat(path, &named)); err != nil {
		return err
	}
	var mark [unix.NAME_MAX]byte
	n, err := unix.Fgetxattr(fd, markName, mark[:])
	if err != nil || partName(string(mark[:n])) != filepath.Base(path) ||
		opened.Mode&unix.S_IFMT != unix.S_IFREG || int(opened.Uid) != os.Geteuid() ||
		opened.Dev != named.Dev || opened.Ino != named.Ino {
		return errNotOurs
	}
	return nil
}

// sweepParts removes the parts in a directory that were last written before that time.
func sweepParts(dir string, before time.Time) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	var failed []error
	for err == nil {
		var names []string
		names, err = d.Readdirnames(1000)
		for _, name := range names {
			if strings.HasPrefix(name, partPrefix) {
				failed = append(failed, sweepPart(filepath.Join(dir, name), before))
			}
		}
	}
	if err != io.EOF {
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

func sweepPart(path string, before time.Time) error {
	f, err := openPart(path)
	if err != nil {
		return nil // it is none of ours, or it is in use
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.ModTime().Before(before) {
		return err
	}
	return os.Remove(path)
}
