package fs

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/remofile/remofile/remote"
)

func TestEveryErrorHasAnErrno(t *testing.T) {
	code := func(c remote.Code, beneath error) error {
		return &remote.Error{Op: "list", Path: "/d", Code: c, Err: beneath}
	}
	for _, c := range []struct {
		name string
		err  error
		want syscall.Errno
	}{
		{"nil", nil, 0},
		{"NotFound", code(remote.NotFound, nil), syscall.ENOENT},
		{"Exists", code(remote.Exists, nil), syscall.EEXIST},
		{"InvalidName", code(remote.InvalidName, nil), syscall.EINVAL},
		{"NameTooLong", code(remote.NameTooLong, nil), syscall.ENAMETOOLONG},
		{"Quota", code(remote.Quota, nil), syscall.EDQUOT},
		{"Busy", code(remote.Busy, nil), syscall.EBUSY},
		{"Overloaded", code(remote.Overloaded, nil), syscall.EAGAIN},
		{"BadHandle", code(remote.BadHandle, nil), syscall.EBADF},
		{"Stale", code(remote.Stale, nil), syscall.ESTALE},
		{"NoData", code(remote.NoData, nil), syscall.ENXIO},
		{"CrossDevice", code(remote.CrossDevice, nil), syscall.EXDEV},
		{"TooManyLinks", code(remote.TooManyLinks, nil), syscall.EMLINK},
		{"NotAFile", code(remote.NotAFile, nil), syscall.EISDIR},
		{"NotDirectory", code(remote.NotDirectory, nil), syscall.ENOTDIR},
		{"NotEmpty", code(remote.NotEmpty, nil), syscall.ENOTEMPTY},
		{"TooLarge", code(remote.TooLarge, nil), syscall.EFBIG},
		{"NoSpace", code(remote.NoSpace, nil), syscall.ENOSPC},
		{"ReadOnly", code(remote.ReadOnly, nil), syscall.EROFS},
		{"Forbidden", code(remote.Forbidden, nil), syscall.EACCES},
		{"BadChunkSize", code(remote.BadChunkSize, nil), syscall.EIO},
		{"Unsupported", code(remote.Unsupported, nil), syscall.EOPNOTSUPP},
		{"Cancelled", code(remote.Cancelled, nil), syscall.EINTR},
		{"Changed", code(remote.Changed, nil), syscall.EIO},
		{"Unreachable", code(remote.Unreachable, nil), syscall.EHOSTDOWN},
		{"an errno of the network beneath", code(remote.Unreachable, syscall.ECONNREFUSED), syscall.EHOSTDOWN},
		{"Timeout", code(remote.Timeout, nil), syscall.EHOSTDOWN},
		{"Denied", code(remote.Denied, nil), syscall.EACCES},
		{"WrongKey", code(remote.WrongKey, nil), syscall.EACCES},
		{"NotEncrypted", code(remote.NotEncrypted, nil), syscall.EACCES},
		{"EncryptedOnly", code(remote.EncryptedOnly, nil), syscall.EACCES},
		{"InUse", code(remote.InUse, nil), syscall.EBUSY},
		{"Corrupted", code(remote.Corrupted, nil), syscall.EIO},
		{"Unknown", code(remote.Unknown, nil), syscall.EIO},
		{"the end of the context", code(0, context.Canceled), syscall.EINTR},
		{"the deadline of the context", code(0, context.DeadlineExceeded), syscall.EHOSTDOWN},
		{"a full local disk", code(0, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}), syscall.ENOSPC},
		{"ours", syscall.ENOTEMPTY, syscall.ENOTEMPTY},
		{"any other", errors.New("?"), syscall.EIO},
	} {
		if got := errnoOf(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
