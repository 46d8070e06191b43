package fs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// CheckMountpoint returns what keeps this process from mounting on a directory with
// these options, as far as it can be known before: that the directory is missing or
// no directory, ErrMounted, ErrNoDevice, and for other users than root
// ErrRootOnly, ErrAllowOther and ErrNoFusermount.
func CheckMountpoint(mountpoint string, o Options) error {
	_, err := checkMountpoint(mountpoint, &o)
	return err
}

// checkMountpoint is CheckMountpoint. It returns the path as the kernel knows it.
func checkMountpoint(mountpoint string, o *Options) (string, error) {
	p, err := resolve(mountpoint)
	if err == nil {
		err = checkDirectory(p)
	}
	if err == nil && os.Geteuid() != 0 && !isDead(p) {
		err = checkUser(p, o.AllowOther)
	}
	if err == nil {
		err = checkDevice()
	}
	if err != nil {
		return "", &os.PathError{Op: "mount", Path: mountpoint, Err: bare(err)}
	}
	return p, nil
}

// bare returns an error without the path that the caller tells itself.
func bare(err error) error {
	if pe, ok := err.(*os.PathError); ok {
		return pe.Err
	}
	return err
}

// checkDirectory checks that p is a directory without a mount of ours on it.
func checkDirectory(p string) error {
	on, err := mountedOn(p)
	switch {
	case err != nil:
		return err
	case on.kind == ourType && isDead(p):
		return nil // Mount removes it
	case on.kind == ourType:
		return ErrMounted
	}
	info, err := os.Stat(p)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	return err
}

// checkUser checks what fusermount3 would refuse to a user, mount.fuse3(8): it tells
// its reasons on standard error only.
func checkUser(p string, allowOther bool) error {
	if err := unix.Faccessat(unix.AT_FDCWD, p, unix.W_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%w: no write access", ErrRootOnly)
	}
	var s unix.Stat_t
	if err := unix.Stat(p, &s); err != nil {
		return err
	}
	if s.Mode&unix.S_ISVTX != 0 && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: the directory has the sticky bit and another owner", ErrRootOnly)
	}
	// Who may not read the configuration leaves the word to fusermount3.
	conf, err := os.ReadFile("/etc/fuse.conf")
	if allowOther && !allowsOther(conf) && (err == nil || errors.Is(err, os.ErrNotExist)) {
		return ErrAllowOther
	}
	_, err = fusermount()
	return err
}

// allowsOther reports whether this text of /etc/fuse.conf lets users mount with
// allow_other.
func allowsOther(conf []byte) bool {
	for lines := bufio.NewScanner(bytes.NewReader(conf)); lines.Scan(); {
		option, _, _ := bytes.Cut(lines.Bytes(), []byte("#"))
		if string(bytes.TrimSpace(option)) == "user_allow_other" {
			return true
		}
	}
	return false
}

// checkDevice checks that the kernel has FUSE, and for this process.
func checkDevice() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrNoDevice, bare(err))
	}
	return f.Close()
}

// fusermount returns the path of the program that mounts for users.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount"} {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", ErrNoFusermount
}
