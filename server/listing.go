package server

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol"
)

// appendListing appends the answer to LIST_FILES to dst, piece by piece: of a
// large directory only the encoded form is held, of limit bytes at most. admit is
// asked at each entry whether the listing, of so many bytes, may go on. On an error
// too the buffer is returned, for what comes instead.
func (j *jail) appendListing(dst []byte, dir string, limit int, admit func(size int) error) ([]byte, error) {
	d, err := j.open(dir)
	if err != nil {
		return dst, err
	}
	defer d.close()
	start, entries := len(dst), 0
	dst = protocol.BeginListing(dst)
	err = forEachName(d.fd(), func(name string) error {
		e, ok := j.entry(d, name)
		if !ok {
			return nil
		}
		dst = protocol.AppendEntry(dst, &e)
		if entries++; len(dst)-start >= limit || entries >= protocol.MaxEntries {
			return failure(fmt.Sprintf("the listing of %s is longer than %d bytes or %d entries", dir, limit, protocol.MaxEntries))
		}
		return admit(len(dst) - start)
	})
	if err != nil {
		return dst, err
	}
	return protocol.EndListing(dst), nil
}

// entry returns what a listing tells of a name in d; ok is false for one that is
// hidden, or was removed since it was read. A link is what it leads to. A link
// that can't be followed, a special file and one that can't be looked at (a dead
// mount) are files of 0 bytes.
func (j *jail) entry(d *directory, name string) (e protocol.Entry, ok bool) {
	var st unix.Statx_t
	err := j.stat(d, name, &st)
	if errors.Is(err, unix.ENOENT) {
		return e, false
	}
	if err != nil {
		j.log.Warn("entry can't be looked at", "path", d.path+"/"+name, "err", err)
	}
	if kindOfX(&st) == unix.S_IFLNK {
		if t, err := j.locate(d.path, name); err == nil {
			if kind := t.kind(); kind == unix.S_IFDIR || kind == unix.S_IFREG {
				st = t.st
			}
			t.close()
		}
	}
	e = protocol.Entry{
		Name:      name,
		Directory: kindOfX(&st) == unix.S_IFDIR,
		Modified:  time.Unix(st.Mtime.Sec, int64(st.Mtime.Nsec)),
	}
	if kindOfX(&st) == unix.S_IFREG {
		e.Size = int64(st.Size)
	}
	return e, true
}

// forEachName calls f for the names in a directory until it fails.
func forEachName(dirfd int, f func(name string) error) error {
	buf := make([]byte, 32<<10)
	for names := []string(nil); ; names = names[:0] {
		var n int
		err := retry(func() (err error) {
			n, err = unix.ReadDirent(dirfd, buf)
			return err
		})
		if err != nil || n <= 0 {
			return err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
		for _, name := range names {
			if err := f(name); err != nil {
				return err
			}
		}
	}
}
