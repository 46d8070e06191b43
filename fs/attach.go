package fs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"
)

// attach mounts, and returns the device from which the requests are to be read, without waiting in system calls.
func attach(mountpoint string, o *gofs.Options) (*os.File, error) {
	if os.Geteuid() == 0 {
		return attachDirectly(mountpoint, o)
	}
	return attachByFusermount(mountpoint, o)
}

// attachDirectly mounts as root.
func attachDirectly(mountpoint string, o *gofs.Options) (*os.File, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	data := []string{
		"fd=" + strconv.Itoa(fd), "rootmode=" + strconv.FormatUint(unix.S_IFDIR, 8),
		"user_id=" + strconv.Itoa(os.Geteuid()), "group_id=" + strconv.Itoa(os.Getegid()),
		"max_read=" + strconv.Itoa(o.MaxWrite),
	}
	for _, option := range options(o) {
		switch option {
		case "ro":
			flags |= unix.MS_RDONLY
		case "noexec":
			flags |= unix.MS_NOEXEC
		default:
			data = append(data, option)
		}
	}
	if err := unix.Mount(o.FsName, mountpoint, ourType, flags, strings.Join(data, ",")); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/fuse"), nil
}

// options are those that root and fusermount3 give the same names.
func options(o *gofs.Options) []string {
	if o.AllowOther {
		return append(slices.Clone(o.Options), "allow_other")
	}
	return o.Options
}

// attachByFusermount has fusermount3 mount, which passes the device on over a socket.
func attachByFusermount(mountpoint string, o *gofs.Options) (*os.File, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, its := os.NewFile(uintptr(ends[0]), "fusermount"), os.NewFile(uintptr(ends[1]), "fusermount")
	defer ours.Close()
	escape := strings.NewReplacer(`\`, `\\`, ",", `\,`)
	all := append(options(o), "fsname="+escape.Replace(o.FsName), "subtype="+fsType, fmt.Sprintf("max_read=%d", o.MaxWrite))
	err = runFusermount(its, "-o", strings.Join(all, ","), "--", mountpoint)
	its.Close() // what was not sent by now is not waited for
	if err != nil {
		return nil, err
	}
	fd, err := receive(int(ours.Fd()))
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/fuse"), nil
}

// receive returns the descriptor that was sent over a socket.
func receive(socket int) (int, error) {
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.Join(syscall.EBADMSG, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.Join(syscall.EBADMSG, err)
	}
	return fds[0], nil
}
