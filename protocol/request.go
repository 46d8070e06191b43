package protocol

import (
	"errors"

	"github.com/remofile/remofile/protocol/internal/pickle"
)

// Request is one request of Remofile 1. Which fields count depends on Type:
//
//	ListFiles       Directory
//	CreateFile      Name, Directory
//	MakeDirectory   Name, Directory
//	UploadFile      Name, Directory, Size, ChunkSize, Replace
//	SendChunk       Data
//	DownloadFile    Name, Directory, ChunkSize
//	ReceiveChunk
//	CancelTransfer
//	RemoveFile      Name, Directory
type Request struct {
	Type      RequestType
	Name      string // as sent: not checked by DecodeRequest
	Directory string // absolute, see CleanDirectory
	Size      int64  // bytes of the whole file
	ChunkSize int64  // bytes
	Replace   bool   // an existing file is replaced at the end of the upload
	Data      []byte
}

// BadRequestError tells why bytes are not a request. The answer to them is
// (ERROR, BAD_REQUEST).
type BadRequestError struct {
	Type RequestType // 0 where not even that could be read
	Err  error
}

func (e *BadRequestError) Error() string { return "bad request: " + e.Err.Error() }
func (e *BadRequestError) Unwrap() error { return e.Err }

// AppendRequest appends the encoding of r to dst.
func AppendRequest(dst []byte, r *Request) []byte {
	dst = pickle.AppendStart(dst)
	n := arity(r)
	if n > 3 {
		dst = pickle.AppendMark(dst)
	}
	dst = pickle.AppendInt(dst, int64(r.Type))
	switch r.Type {
	case ListFiles:
		dst = pickle.AppendString(dst, r.Directory)
	case CreateFile, MakeDirectory, RemoveFile:
		dst = pickle.AppendString(dst, r.Name)
		dst = pickle.AppendString(dst, r.Directory)
	case UploadFile:
		dst = pickle.AppendString(dst, r.Name)
		dst = pickle.AppendString(dst, r.Directory)
		dst = pickle.AppendInt(dst, r.Size)
		dst = pickle.AppendInt(dst, r.ChunkSize)
		if r.Replace {
			dst = pickle.AppendBool(dst, true)
		}
	case DownloadFile:
		dst = pickle.AppendString(dst, r.Name)
		dst = pickle.AppendString(dst, r.Directory)
		dst = pickle.AppendInt(dst, r.ChunkSize)
	case SendChunk:
		dst = pickle.AppendBytes(dst, r.Data)
	}
	return pickle.AppendStop(pickle.AppendTuple(dst, n))
}

// AppendSendChunk appends a SEND_CHUNK request of n bytes to dst and has fill
// write them in place.
func AppendSendChunk(dst []byte, n int, fill func([]byte) error) ([]byte, error) {
	dst = pickle.AppendStart(dst)
	dst = pickle.AppendInt(dst, int64(SendChunk))
	dst, err := appendFilled(dst, n, fill)
	if err != nil {
		return nil, err
	}
	return pickle.AppendStop(pickle.AppendTuple(dst, 2)), nil
}

// arity returns how many elements the tuple of r has.
func arity(r *Request) int {
	switch r.Type {
	case ListFiles, SendChunk:
		return 2
	case CreateFile, MakeDirectory, RemoveFile:
		return 3
	case DownloadFile:
		return 4
	case UploadFile:
		if r.Replace {
			return 6
		}
		return 5
	default:
		return 1
	}
}

// requestLimits leave room for a path of thousands of parts, and for nothing else
// that is large but a chunk.
var requestLimits = pickle.Limits{Depth: 4, Ops: 40_000}

// DecodeRequest decodes one request. Data aliases b. Every error is a
// *BadRequestError.
func DecodeRequest(b []byte) (Request, error) {
	v, err := pickle.Decode(b, requestLimits)
	if err != nil {
		return Request{}, &BadRequestError{Err: err}
	}
	t, ok := v.(pickle.Tuple)
	if !ok || len(t) == 0 {
		return Request{}, badRequest(0, "not a tuple with a request type")
	}
	n, ok := number(t[0], "Request", requestNames)
	if !ok || n < 1 || n > len(requestNames) {
		return Request{}, badRequest(0, "unknown request type")
	}
	r := Request{Type: RequestType(n)}
	f := fields{rest: t[1:]}
	switch r.Type {
	case ListFiles:
		r.Directory = f.directory()
	case CreateFile, MakeDirectory, RemoveFile:
		r.Name, r.Directory = f.text(), f.directory()
	case UploadFile:
		r.Name, r.Directory, r.Size, r.ChunkSize = f.text(), f.directory(), f.integer(), f.integer()
		if len(f.rest) > 0 {
			r.Replace = f.boolean()
		}
	case SendChunk:
		r.Data = f.bytes()
	case DownloadFile:
		r.Name, r.Directory, r.ChunkSize = f.text(), f.directory(), f.integer()
	}
	if msg := f.end(); msg != "" {
		return Request{}, badRequest(r.Type, msg)
	}
	return r, nil
}

func badRequest(t RequestType, msg string) error {
	return &BadRequestError{Type: t, Err: errors.New(msg)}
}
