package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// entryEvents are what is told of a directory's entries. A file that has lost its name
	// causes none.
	entryEvents = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
		unix.IN_ATTRIB | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_EXCL_UNLINK
	// endEvents are the end of a directory, or of its path. IN_UNMOUNT and IN_IGNORED need
	// not be asked for.
	endEvents = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT | unix.IN_IGNORED
)

// inotify is an instance of inotify(7): a queue of the events in watched directories. Into the
// same queue come marks, events of private files: events of others that were equal would be
// merged with what stands last in the queue, but not across a mark.
type inotify struct {
	fd    int
	queue *os.File // fd
	marks [2]*os.File
	wds   [2]int32 // of marks
	last  uint64   // number of the last mark
}

// event is one of a watch descriptor.
type event struct {
	wd   int32
	mask uint32
	name string // "" is the directory itself
}

func newInotify() (_ *inotify, err error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	n := &inotify{fd: fd, queue: os.NewFile(uintptr(fd), "inotify")}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	for i := range n.marks {
		fd, err := unix.MemfdCreate("mark", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, err
		}
		n.marks[i] = os.NewFile(uintptr(fd), "mark")
	}
	return n, n.watchMarks()
}

// watchMarks makes marks of an earlier call no marks any longer. The next has the number 1.
// On an error there are none.
func (n *inotify) watchMarks() error {
	n.last = 0
	for i, file := range n.marks {
		if n.wds[i] > 0 {
			n.remove(n.wds[i])
		}
		var err error
		if n.wds[i], err = n.watch(int(file.Fd()), unix.IN_ATTRIB); err != nil {
			return err
		}
	}
	return nil
}

// add watches a directory, and returns the same descriptor as long as it is watched. The
// directory need not stay open.
func (n *inotify) add(dirfd int) (wd int32, err error) {
	return n.watch(dirfd, entryEvents|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_ONLYDIR)
}

func (n *inotify) watch(fd int, mask uint32) (int32, error) {
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	var wd int
	err := retry(func() (err error) {
		wd, err = unix.InotifyAddWatch(n.fd, path, mask)
		return err
	})
	return int32(wd), watchError(err)
}

// others are the file systems that other machines, or programs, can change without an event.
var others = map[int64]bool{
	unix.AFS_FS_MAGIC: true, unix.AFS_SUPER_MAGIC: true, unix.CEPH_SUPER_MAGIC: true, unix.CIFS_SUPER_MAGIC: true,
	unix.CODA_SUPER_MAGIC: true, unix.FUSE_SUPER_MAGIC: true, unix.NCP_SUPER_MAGIC: true, unix.NFS_SUPER_MAGIC: true,
	unix.OCFS2_SUPER_MAGIC: true, unix.SMB2_SUPER_MAGIC: true, unix.SMB_SUPER_MAGIC: true, unix.V9FS_MAGIC: true,
}

// tellsAll is nil where all changes in a directory cause events.
func tellsAll(d *directory) error {
	var st unix.Statfs_t
	err := retry(func() error { return unix.Fstatfs(d.fd(), &st) })
	if err == nil && others[int64(st.Type)] {
		err = unix.EOPNOTSUPP
	}
	return err
}

// watchError returns the error for a watch that the system refuses, in the sense that it has
// elsewhere.
func watchError(err error) error {
	switch err {
	case unix.ENOSPC:
		return unix.EMFILE // the user has no watch left
	case unix.ENOENT:
		return unix.ENOSYS // there is no /proc
	default:
		return err
	}
}

// remove ends a watch, which may have ended by itself.
func (n *inotify) remove(wd int32) { unix.InotifyRmWatch(n.fd, uint32(wd)) }

// mark puts a mark into the queue and returns its number: each is one more than the one
// before. Two in sequence are of different files, so that they are not merged either.
func (n *inotify) mark() (uint64, error) {
	next := n.last + 1
	if n.wds[next%2] <= 0 {
		return 0, unix.EMFILE
	}
	// Writes to a file like this cause no event (since Linux 6.14).
	if err := chmod(int(n.marks[next%2].Fd()), "", 0o600); err != nil {
		return 0, err
	}
	n.last = next
	return next, nil
}

// isMark reports whether an event is a mark.
func (n *inotify) isMark(e *event) bool { return e.wd == n.wds[0] || e.wd == n.wds[1] }

// read waits for events, until close.
func (n *inotify) read(buf []byte) ([]event, error) {
	size, err := n.queue.Read(buf)
	if err != nil {
		return nil, err
	}
	var events []event
	for b := buf[:size]; len(b) >= unix.SizeofInotifyEvent; {
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
		events = append(events, event{
			wd:   int32(binary.NativeEndian.Uint32(b)),
			mask: binary.NativeEndian.Uint32(b[4:]),
			name: string(name),
		})
		b = b[end:]
	}
	return events, nil
}

// close ends a read under way, too.
func (n *inotify) close() error {
	err := n.queue.Close()
	for _, file := range n.marks {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}
