package server

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/remofile2"
)

// refusal is the answer (REFUSED, reason).
type refusal protocol.Reason

func (r refusal) Error() string { return protocol.Reason(r).String() }

// failure is the message of the answer (ERROR, UNKNOWN_ERROR, message). The
// client reads it.
type failure string

func (f failure) Error() string { return string(f) }

// inUse is a failure: somebody else holds what is asked for.
type inUse string

func (i inUse) Error() string { return string(i) }

// Unwrap makes it a failure.
func (i inUse) Unwrap() error { return failure(i) }

// noRoom is a failure: the staging limit is reached.
type noRoom string

func (n noRoom) Error() string { return string(n) }

// Unwrap makes it a failure.
func (n noRoom) Unwrap() error { return failure(n) }

// lostPath is errNoDirectory or errNowhere, for a reason that Remofile 2 tells.
type lostPath struct {
	err  error
	code remofile2.Code
}

func (l lostPath) Error() string { return l.err.Error() }
func (l lostPath) Unwrap() error { return l.err }

var (
	// errBadRequest is the answer (ERROR, BAD_REQUEST).
	errBadRequest = errors.New("bad request")
	// errNoDirectory is a directory that does not exist, or is outside the
	// jail. The answer depends on the request.
	errNoDirectory = errors.New("no such directory in the jail")
	// errReadOnly is a change that a read-only server refuses.
	errReadOnly = failure(protocol.MessageReadOnly)
	// errStagingGone is a part that somebody has removed from the jail.
	errStagingGone = failure("the upload was removed from the staging area")
	// errDisplaced is an upload whose name another one has got, as its client had lost its connection.
	errDisplaced = failure("displaced by another upload of the name")
	// errReserved is a name that a staged file has reserved.
	errReserved = fmt.Errorf("reserved: %w", unix.EEXIST)
	// errThroughLink is a removal on whose way a symbolic link lies.
	errThroughLink = failure(protocol.MessageThroughLink)
	// errNowhere is a link that leads out of the jail or to nothing.
	errNowhere = errors.New("the link leads nowhere in the jail")
)

// responseTo is the one table from errors to responses. Messages are our own or
// those of the system's error numbers, so that no path of the server gets out.
func responseTo(err error) protocol.Response {
	if reason, ok := errors.AsType[refusal](err); ok {
		return refused(protocol.Reason(reason))
	}
	if message, ok := errors.AsType[failure](err); ok {
		return unknownError(string(message))
	}
	if _, ok := errors.AsType[*protocol.BadRequestError](err); ok || errors.Is(err, errBadRequest) {
		return protocol.Response{Type: protocol.Errored, Reason: protocol.BadRequest}
	}
	if errors.Is(err, errNoDirectory) || errors.Is(err, errNowhere) {
		return refused(protocol.FileNotFound)
	}
	errno, ok := errors.AsType[unix.Errno](err)
	if !ok {
		return unknownError("internal error")
	}
	switch errno {
	case unix.ENOENT, unix.ELOOP:
		return refused(protocol.FileNotFound)
	case unix.EEXIST:
		return refused(protocol.FileAlreadyExists)
	case unix.ENOTDIR:
		return refused(protocol.NotADirectory)
	case unix.EISDIR:
		return refused(protocol.NotAFile)
	case unix.ENOTEMPTY:
		return refused(protocol.DirectoryNotEmpty)
	case unix.ENAMETOOLONG:
		return refused(protocol.InvalidFileName)
	default:
		return unknownError(errno.Error())
	}
}

func accepted(reason protocol.Reason) protocol.Response {
	return protocol.Response{Type: protocol.Accepted, Reason: reason}
}

func refused(reason protocol.Reason) protocol.Response {
	return protocol.Response{Type: protocol.Refused, Reason: reason}
}

func unknownError(message string) protocol.Response {
	return protocol.Response{Type: protocol.Errored, Reason: protocol.UnknownError, Message: message}
}
