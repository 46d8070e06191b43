package server

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// The operations on open files.

// open is OPEN.
func (t *task) open() error {
	const writes = remofile2.OpenWrite | remofile2.OpenCreate | remofile2.OpenTruncate
	switch {
	case t.Flags&(remofile2.OpenRead|remofile2.OpenWrite) == 0,
		t.Flags&remofile2.OpenTruncate != 0 && t.Flags&remofile2.OpenWrite == 0,
		t.Flags&remofile2.OpenExclusive != 0 && t.Flags&remofile2.OpenCreate == 0:
		return code(remofile2.CodeBadRequest)
	case t.Flags&writes != 0 && t.session.server.options.ReadOnly:
		return errReadOnly
	}
	f, err := t.openPath()
	if err != nil {
		return err
	}
	if t.answer.Attr, err = attrAt(int(f.Fd()), ""); err == nil && t.answer.Attr.Kind != remofile2.KindFile {
		err = unix.EISDIR
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	t.file.file, t.file.write = f, t.Flags&remofile2.OpenWrite != 0
	return nil
}

// openedAt takes note of where the handle is, if it may change the file.
func (t *task) openedAt(p place) {
	if t.Flags&remofile2.OpenWrite != 0 {
		t.session.openedAt(t.file, p)
	}
}

// openPath opens the file of OPEN, or makes it. What others do to the name meanwhile makes it
// look again.
func (t *task) openPath() (*os.File, error) {
	const attempts = 10
	create, exclusive := t.Flags&remofile2.OpenCreate != 0, t.Flags&remofile2.OpenExclusive != 0
	unreserved := false // the path, before it was looked at: what is not found then is not there
	for range attempts {
		f, err := t.openExisting()
		if !errors.Is(err, unix.ENOENT) {
			return f, err
		}
		if t.Flags&remofile2.OpenWrite != 0 && !exclusive {
			published, err := t.publishReserved()
			if err != nil {
				return nil, err
			}
			if published || !create && !unreserved {
				unreserved = !published
				continue
			}
		}
		if !create {
			return nil, err
		}
		err = t.makeName(t.Path, func(d *directory, name string) (err error) {
			f, err = openat(d.fd(), name, t.access()|unix.O_CREAT|unix.O_EXCL, uint32(t.Mode))
			t.openedAt(place{d.id, name})
			return err
		})
		if !errors.Is(err, unix.EEXIST) || exclusive || errors.Is(err, errReserved) && t.Flags&remofile2.OpenWrite == 0 {
			return f, err
		}
	}
	return nil, inUse("others make and remove it all the time")
}

// publishReserved makes the file visible for which the path is reserved, if it is.
func (t *task) publishReserved() (bool, error) {
	dir, name := split(t.Path)
	d, err := t.session.server.jail.open(dir)
	if err != nil {
		return false, err
	}
	defer d.close()
	return t.session.server.uploads.publishReserved(place{d.id, name})
}

// openExisting opens a regular file, and nothing else: of another kind that could make it
// wait for ever.
func (t *task) openExisting() (*os.File, error) {
	exclusive := t.Flags&remofile2.OpenExclusive != 0
	found, err := t.lookUp(t.Path, t.Flags&remofile2.OpenFollow != 0 && !exclusive)
	if err != nil {
		return nil, err
	}
	defer found.close()
	if exclusive {
		return nil, unix.EEXIST
	}
	if found.kind() != unix.S_IFREG {
		return nil, unix.EISDIR
	}
	f, err := t.openFound(found)
	if errors.Is(err, unix.ENXIO) {
		err = unix.EISDIR // it has become a pipe
	}
	return f, err
}

func (t *task) openFound(found *target) (f *os.File, err error) {
	p := place{found.dir.id, found.name}
	t.openedAt(p)
	flags := t.access() | unix.O_NONBLOCK
	if t.Flags&remofile2.OpenTruncate == 0 {
		return openat(found.dir.fd(), found.name, flags, 0)
	}
	err = t.own(p, unix.IN_MODIFY, func() (err error) {
		f, err = openat(found.dir.fd(), found.name, flags|unix.O_TRUNC, 0)
		return err
	})
	return f, err
}

func (t *task) access() int {
	switch t.Flags & (remofile2.OpenRead | remofile2.OpenWrite) {
	case remofile2.OpenRead:
		return unix.O_RDONLY
	case remofile2.OpenWrite:
		return unix.O_WRONLY
	default:
		return unix.O_RDWR
	}
}

// opened returns the file of the task's handle.
func (t *task) opened() (*os.File, error) { return t.file.opened() }

// closeFile is CLOSE. It fails where what it follows, OPEN or STAGE, has failed.
func (t *task) closeFile() error {
	if t.file.closed {
		return code(remofile2.CodeBadHandle)
	}
	return t.file.close(t.Flags&remofile2.CloseDiscard != 0)
}

func (t *task) statFile() error {
	f, err := t.opened()
	if err == nil {
		t.answer.Attr, err = attrAt(int(f.Fd()), "")
	}
	return err
}

// read is READ.
func (t *task) read() error {
	f, err := t.opened()
	if err != nil {
		return err
	}
	if t.Length > remofile2.MaxPayload {
		return code(remofile2.CodeBadRequest)
	}
	t.out = t.session.server.buffers.get(int(t.Length))
	n, err := f.ReadAt(t.out, t.Offset)
	t.out = t.out[:n]
	if err == io.EOF {
		err = nil
	}
	return err
}

// write is WRITE.
func (t *task) write() error {
	f, done, err := t.file.changing()
	if err != nil {
		return err
	}
	defer done()
	if err := t.file.grow(t.Offset+int64(len(t.payload)), int64(len(t.payload))); err != nil {
		return err
	}
	_, err = f.WriteAt(t.payload, t.Offset)
	return err
}

// appendBytes is APPEND. The server's end of the file counts, for all who append.
func (t *task) appendBytes() error {
	f, done, err := t.file.changing()
	if err != nil {
		return err
	}
	defer done()
	attr, err := attrAt(int(f.Fd()), "")
	if err != nil {
		return err
	}
	if err := t.file.grow(attr.Size+int64(len(t.payload)), int64(len(t.payload))); err != nil {
		return err
	}
	t.answer.Offset, err = writeAtEnd(int(f.Fd()), t.payload)
	return err
}

// sync is SYNC.
func (t *task) sync() error {
	if t.file == nil {
		return t.syncPath()
	}
	if _, err := t.opened(); err != nil {
		return err
	}
	return t.file.sync(t.Flags&remofile2.SyncData != 0)
}

// syncPath puts a directory's entries, or a file, on stable storage.
func (t *task) syncPath() error {
	found, err := t.lookUp(t.Path, false)
	if err != nil {
		return err
	}
	defer found.close()
	if kind := found.kind(); kind != unix.S_IFDIR && kind != unix.S_IFREG {
		return unix.EINVAL
	}
	f, err := openat(found.dir.fd(), found.name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// seek is SEEK.
func (t *task) seek() error {
	f, err := t.opened()
	if err != nil {
		return err
	}
	whence := unix.SEEK_DATA
	if t.Flags&remofile2.SeekHole != 0 {
		whence = unix.SEEK_HOLE
	}
	t.answer.Offset, err = unix.Seek(int(f.Fd()), t.Offset, whence)
	return err
}

// allocate is ALLOCATE.
func (t *task) allocate() error {
	f, done, err := t.file.changing()
	if err != nil {
		return err
	}
	defer done()
	var mode uint32
	switch t.Flags {
	case 0:
	case remofile2.AllocateKeepSize:
		mode = unix.FALLOC_FL_KEEP_SIZE
	case remofile2.AllocatePunch, remofile2.AllocatePunch | remofile2.AllocateKeepSize:
		mode = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	case remofile2.AllocateZero:
		mode = unix.FALLOC_FL_ZERO_RANGE
	case remofile2.AllocateZero | remofile2.AllocateKeepSize:
		mode = unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE
	default:
		return code(remofile2.CodeBadRequest)
	}
	if t.Length == 0 {
		return code(remofile2.CodeBadRequest)
	}
	if mode&unix.FALLOC_FL_PUNCH_HOLE == 0 {
		if err := t.file.grow(t.Offset+t.Length, t.Length); err != nil {
			return err
		}
	}
	return retry(func() error { return unix.Fallocate(int(f.Fd()), mode, t.Offset, t.Length) })
}
