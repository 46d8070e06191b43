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
	ready *os.File // an epoll(7) that tells once of events, when it was asked to
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
	n := &inotify{fd: fd}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.ready, err = newReady(fd); err != nil {
		return nil, err
	}
	for i := range n.marks {
		fd, err := unix.MemfdCreate("mark", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, err
		}
		n.marks[i] = os.NewFile(uintptr(fd), "mark")
	}
	return n, n.watchMarks()
}

// newReady returns an epoll of one file that is not asked for it yet. It is for the poller of Go's runtime, which would
// be woken by each event of the file itself, whether somebody waits for it or not.
func newReady(fd int) (*os.File, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	err = errors.Join(unix.SetNonblock(ep, true), unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{}))
	if err != nil {
		return nil, errors.Join(err, unix.Close(ep))
	}
	return os.NewFile(uintptr(ep), "epoll"), nil
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

// wait waits for events, until end. What comes when it has returned wakes nobody.
func (n *inotify) wait() error {
	c, err := n.ready.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	asked := false
	err = c.Read(func(ep uintptr) bool {
		if !asked {
			once := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
			failed = unix.EpollCtl(int(ep), unix.EPOLL_CTL_MOD, n.fd, &once)
			asked = true
		}
		var told [1]unix.EpollEvent
		count := 0
		if failed == nil {
			failed = retry(func() (err error) {
				count, err = unix.EpollWait(int(ep), told[:], 0)
				return err
			})
		}
		return count > 0 || failed != nil
	})
	return errors.Join(err, failed)
}

// next waits for events and returns all that have come, as far as the buffer has room.
func (n *inotify) next(buf []byte) ([]event, error) {
	if err := n.wait(); err != nil {
		return nil, err
	}
	return n.read(buf)
}

func (n *inotify) read(buf []byte) ([]event, error) {
	var size int
	err := retry(func() (err error) {
		size, err = unix.Read(n.fd, buf)
		return err
	})
	if errors.Is(err, unix.EAGAIN) {
		return nil, nil
	}
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

// end ends a wait under way, and all after that.
func (n *inotify) end() error { return n.ready.Close() }

// close is for when nobody uses it any longer.
func (n *inotify) close() error {
	err := unix.Close(n.fd)
	n.fd = -1
	for _, file := range []*os.File{n.ready, n.marks[0], n.marks[1]} {
		if file == nil {
			continue
		}
		if e := file.Close(); !errors.Is(e, os.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}
