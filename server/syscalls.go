package server

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The system calls of the jail. A signal can interrupt them where the jail is on
// FUSE or NFS; they are repeated then, as package os does.

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// openat never follows a link.
func openat(dirfd int, name string, flags int, mode uint32) (*os.File, error) {
	fd, err := openAt(dirfd, name, flags, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openAt is openat for a bare descriptor.
func openAt(dirfd int, name string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dirfd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

// openBeneath opens a path from a directory, links followed. Neither "..", nor a link, nor what somebody
// renames meanwhile leads out of the directory (openat2(2), RESOLVE_BENEATH).
func openBeneath(dirfd int, path string, flags int) (fd int, err error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_BENEATH}
	err = retry(func() error {
		fd, err = unix.Openat2(dirfd, path, &how)
		return err
	})
	return fd, err
}

func fstat(fd int, st *unix.Stat_t) error {
	return retry(func() error { return unix.Fstat(fd, st) })
}

// statx never follows a link. With the empty name it is about the file that fd is.
func statx(fd int, name string, st *unix.Statx_t) error {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags = unix.AT_EMPTY_PATH
	}
	return retry(func() error { return unix.Statx(fd, name, flags, statxMask, st) })
}

// fstatat never follows a link.
func fstatat(dirfd int, name string, st *unix.Stat_t) error {
	return retry(func() error { return unix.Fstatat(dirfd, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

func readlinkat(dirfd int, name string) (string, error) {
	var text [unix.PathMax]byte
	var n int
	err := retry(func() (err error) {
		n, err = unix.Readlinkat(dirfd, name, text[:])
		return err
	})
	return string(text[:max(n, 0)]), err
}

func mkdirat(dirfd int, name string, mode uint32) error {
	return retry(func() error { return unix.Mkdirat(dirfd, name, mode) })
}

func unlinkat(dirfd int, name string, flags int) error {
	return retry(func() error { return unix.Unlinkat(dirfd, name, flags) })
}

func renameat(olddirfd int, oldname string, newdirfd int, newname string) error {
	return retry(func() error { return unix.Renameat(olddirfd, oldname, newdirfd, newname) })
}

func renameat2(olddirfd int, oldname string, newdirfd int, newname string, flags uint) error {
	return retry(func() error { return unix.Renameat2(olddirfd, oldname, newdirfd, newname, flags) })
}

func linkat(olddirfd int, oldname string, newdirfd int, newname string) error {
	return retry(func() error { return unix.Linkat(olddirfd, oldname, newdirfd, newname, 0) })
}

func flock(fd, how int) error {
	return retry(func() error { return unix.Flock(fd, how) })
}

// fsID identifies a file system and the mount by which it is reached: no rename
// crosses either. The mount is 0 where the kernel does not tell (before 5.8).
type fsID struct {
	device, mount uint64
}

// identify returns on which file system a file is, and its identity.
func identify(fd int) (fsID, fileID, error) {
	var st unix.Statx_t
	const mask = unix.STATX_TYPE | unix.STATX_INO | unix.STATX_MNT_ID
	if err := retry(func() error { return unix.Statx(fd, "", unix.AT_EMPTY_PATH, mask, &st) }); err != nil {
		return fsID{}, fileID{}, err
	}
	id := idOfX(&st)
	fs := fsID{device: id.device}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		fs.mount = st.Mnt_id
	}
	return fs, id, nil
}

func symlinkat(target string, dirfd int, name string) error {
	return retry(func() error { return unix.Symlinkat(target, dirfd, name) })
}

// chmod changes the permission bits of a name in a directory, or with the empty name
// those of the file that fd is. Links have none.
func chmod(fd int, name string, mode uint32) error {
	if name == "" {
		return retry(func() error { return unix.Fchmod(fd, mode) })
	}
	err := retry(func() error { return unix.Fchmodat(fd, name, mode, unix.AT_SYMLINK_NOFOLLOW) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		return chmodOpened(fd, name, mode)
	}
	return err
}

// chmodOpened is chmod where the kernel has no fchmodat2 (before 6.6): through the name that
// an open file has in /proc.
func chmodOpened(dirfd int, name string, mode uint32) error {
	f, err := openat(dirfd, name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if kindOf(&st) == unix.S_IFLNK {
		return unix.EOPNOTSUPP
	}
	path := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	return retry(func() error { return unix.Chmod(path, mode) })
}

func ftruncate(fd int, size int64) error {
	return retry(func() error { return unix.Ftruncate(fd, size) })
}

// utimens changes the times of a name in a directory, links not followed, or with the
// empty name those of the file that fd is.
func utimens(fd int, name string, accessed, modified unix.Timespec) error {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags = unix.AT_EMPTY_PATH
	}
	times := []unix.Timespec{accessed, modified}
	return retry(func() error { return unix.UtimesNanoAt(fd, name, times, flags) })
}

// writeAtEnd writes at the end of the file, wherever that is by then, and returns where
// what it has written begins. It moves the file's position, which RWF_APPEND with an offset
// of -1 leaves behind what was written.
func writeAtEnd(fd int, p []byte) (offset int64, err error) {
	if len(p) == 0 {
		return unix.Seek(fd, 0, unix.SEEK_END)
	}
	var n int
	err = retry(func() (err error) {
		n, err = unix.Pwritev2(fd, [][]byte{p}, -1, unix.RWF_APPEND)
		return err
	})
	if err != nil {
		return 0, err
	}
	end, err := unix.Seek(fd, 0, unix.SEEK_CUR)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return end - int64(n), err
}
