package fs

import (
	"context"
	"errors"
	"syscall"

	"github.com/remofile/remofile/remote"
)

// errnoOf is the one table from errors to errno. A code of remote comes first:
// beneath it may lie an errno of the network that means nothing to a program
// that works with files.
func errnoOf(err error) syscall.Errno {
	var code remote.Code
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return errnoOfCode(code)
	case errors.Is(err, context.Canceled):
		return syscall.EINTR
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.EHOSTDOWN
	case errors.As(err, &errno):
		return errno
	default:
		return syscall.EIO
	}
}

func errnoOfCode(code remote.Code) syscall.Errno {
	switch code {
	case remote.NotFound:
		return syscall.ENOENT
	case remote.Exists:
		return syscall.EEXIST
	case remote.InvalidName:
		return syscall.EINVAL
	case remote.NameTooLong:
		return syscall.ENAMETOOLONG
	case remote.NotAFile:
		return syscall.EISDIR
	case remote.NotDirectory:
		return syscall.ENOTDIR
	case remote.NotEmpty:
		return syscall.ENOTEMPTY
	case remote.TooLarge:
		return syscall.EFBIG
	case remote.NoSpace:
		return syscall.ENOSPC
	case remote.Quota:
		return syscall.EDQUOT
	case remote.ReadOnly:
		return syscall.EROFS
	case remote.Unsupported:
		return syscall.EOPNOTSUPP
	case remote.Cancelled:
		return syscall.EINTR
	case remote.Unreachable, remote.Timeout:
		return syscall.EHOSTDOWN
	case remote.Denied, remote.WrongKey, remote.NotEncrypted, remote.EncryptedOnly, remote.Forbidden:
		return syscall.EACCES
	case remote.InUse, remote.Busy:
		return syscall.EBUSY
	case remote.Overloaded:
		return syscall.EAGAIN
	case remote.BadHandle:
		return syscall.EBADF
	case remote.Stale:
		return syscall.ESTALE
	case remote.NoData:
		return syscall.ENXIO
	case remote.CrossDevice:
		return syscall.EXDEV
	case remote.TooManyLinks:
		return syscall.EMLINK
	default:
		return syscall.EIO
	}
}
