package fs

import (
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

// Errors of Mount and Unmount.
var (
	ErrNotMounted   = errors.New("it is not a mount point")
	ErrNotOurs      = errors.New("what is mounted there is not a mount of rmf")
	ErrBusy         = errors.New("files or directories in it are in use")
	ErrNoFusermount = errors.New("fusermount3 is missing (package fuse3), without which only root can mount")
)

// unmountTime bounds the run of fusermount3.
const unmountTime = 10 * time.Second

// Unmount unmounts a mount of ours, of whatever process, also one whose process
// has died. It fails with ErrNotMounted, ErrNotOurs or ErrBusy.
func Unmount(mountpoint string) error {
	err := unmountOurs(mountpoint)
	if err != nil {
		return &os.PathError{Op: "unmount", Path: mountpoint, Err: bare(err)}
	}
	return nil
}

func unmountOurs(mountpoint string) error {
	p, err := resolve(mountpoint)
	if err != nil {
		return err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	switch mounted := mountedType(string(table), p); mounted {
	case ourType:
	case "":
		return ErrNotMounted
	default:
		return fmt.Errorf("%w but of type %s", ErrNotOurs, mounted)
	}
	err = unmount(p, false)
	if errors.Is(err, ErrBusy) && isDead(p) {
		return unmount(p, true)
	}
	return err
}

// resolve returns the path of a mount point as the kernel knows it. A dead mount
// can't be looked at, only what is above it.
func resolve(mountpoint string) (string, error) {
	p, err := filepath.Abs(mountpoint)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(p)
	if !errors.Is(err, syscall.ENOTCONN) {
		return resolved, err
	}
	above, err := filepath.EvalSymlinks(filepath.Dir(p))
	return filepath.Join(above, filepath.Base(p)), err
}

// ourType is the type under which the kernel lists a mount of ours.
const ourType = "fuse." + fsType

// mountedType returns the type of the topmost mount on p, or "" where nothing is
// mounted. The table is in the format of proc_pid_mountinfo(5).
func mountedType(table, p string) string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\043`, "#", `\134`, `\`)
	found := ""
	for line := range strings.Lines(table) {
		mount, device, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(mount); len(fields) > 4 && unescape.Replace(fields[4]) == p {
			found, _, _ = strings.Cut(device, " ")
		}
	}
	return found
}

// isDead reports whether the process behind a mount has gone.
func isDead(p string) bool {
	_, err := os.Stat(p)
	return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED)
}

// detachDead detaches what a failed mount has left at p.
func detachDead(p string) error {
	if !isDead(p) {
		return nil
	}
	return unmount(p, true)
}

// unmount unmounts p; detach: also while it is in use.
func unmount(p string, detach bool) error {
	if os.Geteuid() != 0 {
		return runFusermount(p, detach)
	}
	flags := unix.UMOUNT_NOFOLLOW
	if detach {
		flags |= unix.MNT_DETACH
	}
	err := unix.Unmount(p, flags)
	if errors.Is(err, unix.EBUSY) {
		return ErrBusy
	}
	return err
}

func runFusermount(p string, detach bool) error {
	program, err := fusermount()
	if err != nil {
		return err
	}
	args := []string{"-u", "--", p}
	if detach {
		args = []string{"-u", "-z", "--", p}
	}
	ctx, cancel := context.WithTimeout(context.Background(), unmountTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(string(out), "busy") {
		return ErrBusy
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
