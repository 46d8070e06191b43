package server

import (
	"context"
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// code is an error that is a code of Remofile 2, and no more.
type code remofile2.Code

func (c code) Error() string { return remofile2.Code(c).String() }

// codes is the table from the system's error numbers to codes.
var codes = map[unix.Errno]remofile2.Code{
	unix.ENOENT:       remofile2.CodeNotFound,
	unix.EEXIST:       remofile2.CodeExists,
	unix.EISDIR:       remofile2.CodeNotAFile,
	unix.ENOTDIR:      remofile2.CodeNotADirectory,
	unix.ENOTEMPTY:    remofile2.CodeNotEmpty,
	unix.EINVAL:       remofile2.CodeUnsupported,
	unix.ELOOP:        remofile2.CodeLoop,
	unix.EFBIG:        remofile2.CodeTooLarge,
	unix.ENOSPC:       remofile2.CodeNoSpace,
	unix.EDQUOT:       remofile2.CodeQuota,
	unix.EROFS:        remofile2.CodeReadOnly,
	unix.EACCES:       remofile2.CodeForbidden,
	unix.EPERM:        remofile2.CodeForbidden,
	unix.ETXTBSY:      remofile2.CodeInUse,
	unix.EBUSY:        remofile2.CodeInUse,
	unix.EBADF:        remofile2.CodeBadHandle,
	unix.ESTALE:       remofile2.CodeStale,
	unix.EOPNOTSUPP:   remofile2.CodeUnsupported,
	unix.ENOSYS:       remofile2.CodeUnsupported,
	unix.ENOTTY:       remofile2.CodeUnsupported,
	unix.EMFILE:       remofile2.CodeBusy,
	unix.ENFILE:       remofile2.CodeBusy,
	unix.ENOMEM:       remofile2.CodeBusy,
	unix.ENXIO:        remofile2.CodeNoData,
	unix.EXDEV:        remofile2.CodeCrossDevice,
	unix.EMLINK:       remofile2.CodeTooManyLinks,
	unix.ENAMETOOLONG: remofile2.CodeNameTooLong,
	unix.EIO:          remofile2.CodeInputOutput,
}

// answerTo returns the answer that an error is.
func answerTo(id uint64, err error) remofile2.Answer {
	c, message := codeOf(err)
	return remofile2.Answer{ID: id, Code: c, Message: message}
}

// codeOf is the one table from errors to codes. Messages are our own or those of the
// system's error numbers, so that no path of the server gets out.
func codeOf(err error) (remofile2.Code, string) {
	if c, ok := errors.AsType[code](err); ok {
		return remofile2.Code(c), c.Error()
	}
	if message, ok := errors.AsType[inUse](err); ok {
		return remofile2.CodeInUse, string(message)
	}
	if message, ok := errors.AsType[noRoom](err); ok {
		return remofile2.CodeNoSpace, string(message)
	}
	if lost, ok := errors.AsType[lostPath](err); ok {
		return lost.code, lost.code.String()
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		c, known := codes[errno]
		if !known {
			c = remofile2.CodeFailed
		}
		return c, errno.Error()
	}
	switch {
	case errors.Is(err, errStagingGone):
		return remofile2.CodeStale, string(errStagingGone)
	case errors.Is(err, errDisplaced):
		return remofile2.CodeStale, string(errDisplaced)
	case errors.Is(err, errReadOnly):
		return remofile2.CodeReadOnly, string(errReadOnly)
	case errors.Is(err, errThroughLink):
		return remofile2.CodeForbidden, string(errThroughLink)
	case errors.Is(err, errNoDirectory), errors.Is(err, errNowhere):
		return remofile2.CodeNotFound, err.Error()
	case errors.Is(err, context.Canceled):
		return remofile2.CodeCancelled, "cancelled"
	case errors.Is(err, io.ErrShortWrite):
		return remofile2.CodeNoSpace, "short write"
	default:
		return remofile2.CodeFailed, errInternal.Error()
	}
}
