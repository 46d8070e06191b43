package server

import (
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
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(dirfd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func fstat(fd int, st *unix.Stat_t) error {
	return retry(func() error { return unix.Fstat(fd, st) })
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
func identify(f *os.File) (fsID, fileID, error) {
	fd := int(f.Fd())
	var st unix.Stat_t
	if err := fstat(fd, &st); err != nil {
		return fsID{}, fileID{}, err
	}
	id := idOf(&st)
	var stx unix.Statx_t
	err := retry(func() error { return unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &stx) })
	if err != nil || stx.Mask&unix.STATX_MNT_ID == 0 {
		return fsID{device: id.device}, id, nil
	}
	return fsID{device: id.device, mount: stx.Mnt_id}, id, nil
}
