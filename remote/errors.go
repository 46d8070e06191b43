package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"unicode"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
)

// Code is the kind of a failure. It is an error itself, so that
// errors.Is(err, remote.NotEmpty) works; where the standard library has an error
// for it (fs.ErrNotExist, fs.ErrExist, fs.ErrInvalid, fs.ErrPermission,
// errors.ErrUnsupported, os.ErrDeadlineExceeded), errors.Is finds that too.
type Code int

// The codes.
const (
	Unknown        Code = iota + 1 // the server failed; Err has its message
	NotFound                       // fs.ErrNotExist
	Exists                         // fs.ErrExist
	InvalidName                    // a name or a path the protocol can't carry, fs.ErrInvalid
	NameTooLong                    // a name or a path, fs.ErrInvalid
	NotAFile                       // a directory or a special file where a file is needed
	NotDirectory                   // a file where a directory is needed
	NotEmpty                       // a directory that still has entries
	TooLarge                       // the server refuses a file of this size
	NoSpace                        // the server's disk is full
	Quota                          // a quota on the server's disk is
	ReadOnly                       // the server, or its file system, takes no changes
	Forbidden                      // the server may not do it, fs.ErrPermission
	Busy                           // somebody else uses the file; Err tells who
	Overloaded                     // the server lacks memory, or too much is open
	BadHandle                      // the file is not open for this
	Stale                          // the file is gone, though it is open, or the session that has it open
	NoData                         // no data, or no hole, from there on
	CrossDevice                    // the names are on different file systems
	TooManyLinks                   // the file has
	BadChunkSize                   // the server refuses the chunk size asked for
	Unsupported                    // this server can't do it, errors.ErrUnsupported
	Cancelled                      // a progress callback returned false
	Changed                        // the source changed while it was transferred
	Unreachable                    // no connection, or lost before the answer came
	Timeout                        // the server was silent too long, os.ErrDeadlineExceeded
	Denied                         // the server refused the token, fs.ErrPermission
	WrongKey                       // the server has another key than Options.PublicKey, fs.ErrPermission
	NotEncrypted                   // the server does not encrypt, and Options.Plain is not set
	EncryptedOnly                  // the server encrypts, and Options.Plain is set
	InUse                          // the server serves another client alone
	Corrupted                      // the server's bytes are not an answer to the request
	OutcomeUnknown                 // it may have been done, or not: the server was lost before it answered
)

var codeTexts = map[Code]string{
	Unknown:        "the server failed",
	NotFound:       "no such file or directory",
	Exists:         "it exists already",
	InvalidName:    "invalid name",
	NameTooLong:    "the name is too long",
	NotAFile:       "not a file",
	NotDirectory:   "not a directory",
	NotEmpty:       "directory not empty",
	TooLarge:       "the server refuses files of this size",
	NoSpace:        "no space left on the server",
	Quota:          "a quota of the server is exceeded",
	ReadOnly:       "the server takes no changes",
	Forbidden:      "the server is not permitted to do it",
	Busy:           "it is in use",
	Overloaded:     "the server has too much to do",
	BadHandle:      "the file is not open for this",
	Stale:          "the file is gone",
	NoData:         "there is no data",
	CrossDevice:    "on different file systems",
	TooManyLinks:   "it has too many links",
	BadChunkSize:   "the server refuses this chunk size",
	Unsupported:    "not supported by this server",
	Cancelled:      "cancelled",
	Changed:        "the source changed during the transfer",
	Unreachable:    "the server can't be reached",
	Timeout:        "the server did not answer in time",
	Denied:         "the server refused the token",
	WrongKey:       "the server has another key",
	NotEncrypted:   "the server does not encrypt",
	EncryptedOnly:  "the server takes encrypted connections only",
	InUse:          "the server is in use",
	Corrupted:      "the server's answer makes no sense",
	OutcomeUnknown: "it may have been done, or not",
}

var codeEquals = map[Code]error{
	NotFound:    fs.ErrNotExist,
	Exists:      fs.ErrExist,
	InvalidName: fs.ErrInvalid,
	NameTooLong: fs.ErrInvalid,
	Unsupported: errors.ErrUnsupported,
	Timeout:     os.ErrDeadlineExceeded,
	Denied:      fs.ErrPermission,
	WrongKey:    fs.ErrPermission,
	Forbidden:   fs.ErrPermission,
	Cancelled:   context.Canceled,
}

// serverCodes are the failures of the server or the link, whatever the path.
var serverCodes = []Code{Unreachable, Timeout, Denied, WrongKey, NotEncrypted, EncryptedOnly, InUse, Corrupted}

func (c Code) Error() string { return codeTexts[c] }

// Is makes errors.Is find the standard library's error for c.
func (c Code) Is(target error) bool { return codeEquals[c] == target && target != nil }

// Error is a failed operation. Every error of a Client is one, or several joined by
// errors.Join for a tree. When its context ended, Err is the context's error.
type Error struct {
	Op   string // the method's operation: "list", "upload", ...
	Path string // the remote path, or the server's address when the server is at fault
	Code Code   // 0: Err says it all (the context's end, a local file's error)
	Err  error  // what lies beneath, or nil
}

func (e *Error) Error() string {
	switch {
	case e.Code == 0:
		return fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Err)
	case e.Err == nil:
		return fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Code)
	default:
		return fmt.Sprintf("%s %s: %v: %v", e.Op, e.Path, e.Code, e.Err)
	}
}

// Unwrap gives errors.Is and errors.As the code and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.Code != 0 {
		errs = append(errs, e.Code)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// reasonCodes maps the protocol's reasons for a refusal.
var reasonCodes = map[protocol.Reason]Code{
	protocol.InvalidFileName:    InvalidName,
	protocol.FileNotFound:       NotFound,
	protocol.FileAlreadyExists:  Exists,
	protocol.NotAFile:           NotAFile,
	protocol.NotADirectory:      NotDirectory,
	protocol.IncorrectFileSize:  TooLarge,
	protocol.IncorrectChunkSize: BadChunkSize,
	protocol.DirectoryNotEmpty:  NotEmpty,
}

// messageCodes maps the messages of UNKNOWN_ERROR that mean something to us: the
// protocol's own, and those of system errors.
var messageCodes = map[string]Code{
	protocol.MessageReadOnly:    ReadOnly,
	protocol.MessageThroughLink: Forbidden,
	syscall.EROFS.Error():       ReadOnly,
	syscall.ENOSPC.Error():      NoSpace,
	syscall.EDQUOT.Error():      Quota,
	syscall.EFBIG.Error():       TooLarge,
	syscall.EACCES.Error():      Forbidden,
	syscall.EPERM.Error():       Forbidden,
}

// refusal returns the error that a response other than ACCEPTED means.
func refusal(r *protocol.Response) *Error {
	if code, ok := reasonCodes[r.Reason]; ok {
		return &Error{Code: code}
	}
	message := r.Message
	if message == "" {
		message = r.Reason.String()
	}
	e := &Error{Code: Unknown, Err: errors.New(printable(message))}
	if code, ok := messageCodes[message]; ok {
		e.Code = code
	}
	return e
}

// codes maps the codes of Remofile 2.
var codes = map[remofile2.Code]Code{
	remofile2.CodeUnknownOperation: Unsupported,
	remofile2.CodeNotFound:         NotFound,
	remofile2.CodeExists:           Exists,
	remofile2.CodeNotAFile:         NotAFile,
	remofile2.CodeNotADirectory:    NotDirectory,
	remofile2.CodeNotEmpty:         NotEmpty,
	remofile2.CodeInvalidName:      InvalidName,
	remofile2.CodeNameTooLong:      NameTooLong,
	remofile2.CodeLoop:             NotFound,
	remofile2.CodeTooLarge:         TooLarge,
	remofile2.CodeNoSpace:          NoSpace,
	remofile2.CodeQuota:            Quota,
	remofile2.CodeReadOnly:         ReadOnly,
	remofile2.CodeForbidden:        Forbidden,
	remofile2.CodeInUse:            Busy,
	remofile2.CodeBadHandle:        BadHandle,
	remofile2.CodeStale:            Stale,
	remofile2.CodeUnsupported:      Unsupported,
	remofile2.CodeTooMany:          Overloaded,
	remofile2.CodeBusy:             Overloaded,
	remofile2.CodeNoData:           NoData,
	remofile2.CodeCrossDevice:      CrossDevice,
	remofile2.CodeTooManyLinks:     TooManyLinks,
	remofile2.CodeCancelled:        Cancelled,
	remofile2.CodeOutcomeUnknown:   OutcomeUnknown,
}

// codeError returns the error that an answer of Remofile 2 is. Where the code does not
// tell all, it has the server's words.
func codeError(a *remofile2.Answer) *Error {
	message := printable(a.Message)
	if message == "" {
		message = a.Code.String()
	}
	e := &Error{Code: codes[a.Code]}
	switch e.Code {
	case 0:
		e.Code, e.Err = Unknown, errors.New(message)
	case Busy, ReadOnly, NoSpace, Forbidden:
		e.Err = errors.New(message)
	}
	return e
}

// printable keeps a peer's control characters from the user's terminal, and all
// that is too long for a line.
func printable(s string) string {
	const longest = 1000
	if len(s) > longest {
		s = s[:longest] + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

// corrupted is the error of a server that does not follow the protocol.
func corrupted(err error) *Error { return &Error{Code: Corrupted, Err: err} }

var errLost = errors.New("the connection was lost")

// hungUp reports whether err is the end of a connection that the peer caused.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// lost returns what the end of a connection means to the request under way.
func lost(err error) *Error {
	var e *Error
	var errno syscall.Errno
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Code: Timeout}
	case errors.As(err, &errno):
		return &Error{Code: Unreachable, Err: errno}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return &Error{Code: Unreachable, Err: errLost}
	default:
		return corrupted(err)
	}
}

// undialled returns what a failed dial means.
func (o *Options) undialled(err error) *Error {
	var refused *zmtp.RefusedError
	var dns *net.DNSError
	switch {
	case errors.As(err, &refused):
		return o.refused(refused)
	case errors.Is(err, zmtp.ErrPeerPlain):
		return &Error{Code: NotEncrypted}
	case errors.Is(err, zmtp.ErrPeerEncrypts):
		return &Error{Code: EncryptedOnly}
	case errors.As(err, &dns):
		return &Error{Code: Unreachable, Err: errors.New(dns.Err)}
	}
	e := lost(err)
	switch {
	case e.Code == Corrupted:
		return &Error{Code: Unreachable, Err: errors.New("it does not speak Remofile")}
	case e.Err == errLost:
		return &Error{Code: Unreachable, Err: errors.New("it hung up at once")}
	}
	return e
}

// refused returns what the server's refusal of the handshake means. Where the key
// was made of the token, it is the token that is wrong.
func (o *Options) refused(err *zmtp.RefusedError) *Error {
	if by, ok := err.InUse(); ok {
		return &Error{Code: InUse, Err: errors.New(by)}
	}
	if err.Key() && o.PublicKey != "" {
		return &Error{Code: WrongKey}
	}
	return &Error{Code: Denied}
}
