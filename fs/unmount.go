package fs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of CheckMountpoint, Mount and Unmount.
var (
	ErrMounted      = errors.New("it is mounted already")
	ErrNoDevice     = errors.New("/dev/fuse can't be opened")
	ErrRootOnly     = errors.New("only root can mount there")
	ErrAllowOther   = errors.New("only root can mount with allow_other, unless /etc/fuse.conf has the line user_allow_other")
	ErrNoFusermount = errors.New("fusermount3 is missing (package fuse3), without which only root can mount")
	ErrNotMounted   = errors.New("it is not a mount point")
	ErrNotOurs      = errors.New("what is mounted there is not a mount of rmf")
)

// errBusy is the refusal to unmount what is in use.
var errBusy = errors.New("files or directories in it are in use")

// fusermountTime bounds a run of fusermount3.
const fusermountTime = 10 * time.Second

// Unmount unmounts a mount of ours, of whatever process, also one whose process
// has died or does not answer. Where files or directories of it are in use it is
// detached, and Unmount returns true: the path is free, and the process serves on
// until they are closed. It fails with ErrNotMounted or ErrNotOurs.
func Unmount(mountpoint string) (inUse bool, err error) {
	inUse, err = unmountOurs(mountpoint)
	if err != nil {
		return false, &os.PathError{Op: "unmount", Path: mountpoint, Err: bare(err)}
	}
	return inUse, nil
}

func unmountOurs(mountpoint string) (inUse bool, err error) {
	p, err := resolve(mountpoint)
	if err != nil {
		return false, err
	}
	on, err := mountedOn(p)
	switch {
	case err != nil:
		return false, err
	case on.kind == "":
		return false, ErrNotMounted
	case on.kind != ourType:
		return false, fmt.Errorf("%w but of type %s", ErrNotOurs, on.kind)
	}
	return unmount(p)
}

// resolve returns the path of a mount point as the kernel knows it. A mount of ours
// is not looked at for that, only what is above it: its process may be dead, or not
// answer, or be another user's.
func resolve(mountpoint string) (string, error) {
	p, err := filepath.Abs(mountpoint)
	if err != nil {
		return "", err
	}
	above, err := filepath.EvalSymlinks(filepath.Dir(p))
	if err != nil {
		return "", err
	}
	last := filepath.Join(above, filepath.Base(p))
	on, err := mountedOn(last)
	if err != nil || on.kind == ourType {
		return last, err
	}
	return filepath.EvalSymlinks(p)
}

// ourType is the type under which the kernel lists a mount of ours.
const ourType = "fuse." + fsType

// mounted is what the kernel tells of a mounted file system. The zero value is none.
type mounted struct {
	device string // its number, "major:minor", which no other has
	kind   string // its type
}

// mountedOn returns the topmost mount on p.
func mountedOn(p string) (mounted, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	return topmost(string(table), p), err
}

// topmost returns the topmost mount on p by a table in the format of
// proc_pid_mountinfo(5).
func topmost(table, p string) mounted {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\043`, "#", `\134`, `\`)
	var found mounted
	for line := range strings.Lines(table) {
		mount, source, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(mount); len(fields) > 4 && unescape.Replace(fields[4]) == p {
			kind, _, _ := strings.Cut(source, " ")
			found = mounted{device: fields[2], kind: kind}
		}
	}
	return found
}

// isDead reports whether the process behind a mount has gone.
func isDead(p string) bool {
	var st unix.Statfs_t
	err := unix.Statfs(p, &st) // the kernel keeps attributes, but not this
	return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED)
}

// detachDead detaches what a failed mount has left at p.
func detachDead(p string) error {
	if !isDead(p) {
		return nil
	}
	return detach(p)
}

// watcherTime is within what a watcher detaches the mount of a process that has died.
const watcherTime = time.Second

// removeDead detaches a mount of ours whose process has died, when its watcher has had the time for it:
// that must not meet the mount that comes next.
func removeDead(mountpoint string) error {
	p, err := resolve(mountpoint)
	if err != nil {
		return bare(err)
	}
	for end := time.Now().Add(watcherTime); ; time.Sleep(10 * time.Millisecond) {
		on, err := mountedOn(p)
		if err != nil || on.kind != ourType || !isDead(p) {
			return err
		}
		if time.Now().After(end) {
			return detach(p)
		}
	}
}

// unmount unmounts p, or detaches it and reports that it is in use.
func unmount(p string) (inUse bool, err error) {
	if os.Geteuid() == 0 {
		err = unmountDirectly(p, 0)
	} else {
		err = runFusermount(nil, "-u", "--", p)
	}
	if errors.Is(err, errBusy) {
		return true, detach(p)
	}
	return false, err
}

// detach frees the path p. What was mounted there lives on while it is in use.
func detach(p string) error {
	if os.Geteuid() == 0 {
		return unmountDirectly(p, unix.MNT_DETACH)
	}
	return runFusermount(nil, "-u", "-z", "--", p)
}

func unmountDirectly(p string, flags int) error {
	err := unix.Unmount(p, unix.UMOUNT_NOFOLLOW|flags)
	if errors.Is(err, unix.EBUSY) {
		return errBusy
	}
	return err
}

// runFusermount runs fusermount3. Over the socket, nil where it does not mount, it passes the device on.
func runFusermount(socket *os.File, args ...string) error {
	program, err := fusermount()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), fusermountTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if socket != nil {
		cmd.ExtraFiles = []*os.File{socket}
		cmd.Env = append(cmd.Env, "_FUSE_COMMFD=3")
	}
	out, err := cmd.CombinedOutput()
	switch text := strings.TrimSpace(string(out)); {
	case err == nil:
		return nil
	case strings.Contains(text, "busy"):
		return errBusy
	default:
		return errors.New(cmp.Or(text, err.Error()))
	}
}
