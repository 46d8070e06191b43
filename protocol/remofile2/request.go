package remofile2

import (
	"fmt"
	"math"
)

// MaxID is the greatest id of a request: every language's numbers hold it.
const MaxID = 1<<53 - 1

// Handle is the client's number of a file that it has open, or is about to open.
type Handle uint32

// Time is in nanoseconds since 1970 in UTC.
type Time int64

// Request is one request. Which of the fields behind Operation count, the table of
// operations in the package comment tells.
type Request struct {
	ID        uint64 // 1 to MaxID
	Operation Operation

	Handle   Handle
	ToHandle Handle
	Path     string // "" where the operation takes a handle or a path, and gets the handle
	ToPath   string
	Target   string // of a symbolic link
	Offset   int64  // bytes
	ToOffset int64  // bytes
	Length   int64  // bytes; most of LIST
	Block    int64  // bytes
	Exponent uint8  // of two: of the length of chunks in bytes
	Flags    Flags
	Mode     uint16 // permission bits
	Changes  Changes
	Part     string // name of a staged file's part
	Cursor   string
	Session  string // 16 bytes, or none
	Secret   string // 32 bytes, or none
	Features []string
	Cancel   uint64 // id of the request that is to end
}

// Changes are new attributes; nil is as before.
type Changes struct {
	Size     *int64  `cbor:"1,keyasint,omitempty"` // bytes
	Mode     *uint16 `cbor:"2,keyasint,omitempty"` // permission bits
	Modified *Time   `cbor:"3,keyasint,omitempty"`
	Accessed *Time   `cbor:"4,keyasint,omitempty"`
}

// inRange reports whether all of c is in the ranges of the CDDL.
func (c *Changes) inRange() bool {
	return (c.Size == nil || *c.Size >= 0) && (c.Mode == nil || *c.Mode <= maxMode)
}

// RequestError tells why bytes are not a request that can be executed.
type RequestError struct {
	ID   uint64 // of the answer to it; 0 where it can't be read: the connection is to end
	Code Code   // of the answer: CodeBadRequest, CodeUnknownOperation or CodeNameTooLong
	Err  error
}

func (e *RequestError) Error() string { return fmt.Sprintf("request %d: %v", e.ID, e.Err) }
func (e *RequestError) Unwrap() error { return e.Err }

// AppendRequest appends the header of r to b. What breaks the specification is sent as it
// is, for the server to refuse.
func AppendRequest(b []byte, r *Request) []byte {
	return appendHeader(b, r.ID, uint16(r.Operation), r.Operation.spec().arguments, r)
}

// DecodeRequest decodes a header. Nothing of the request aliases b. Every error is a
// *RequestError.
func DecodeRequest(b []byte) (Request, error) {
	d := decoder{rest: b}
	var r Request
	elements, id := d.begin(1, MaxID)
	r.ID = id
	if d.err != nil {
		return Request{}, &RequestError{Code: CodeBadRequest, Err: fmt.Errorf("id: %w", d.err)}
	}
	if err := checkForm(b, MaxRequest); err != nil {
		return Request{}, &RequestError{ID: r.ID, Code: CodeBadRequest, Err: err}
	}
	decodeArguments(&d, elements, &r)
	if d.err != nil {
		return Request{}, &RequestError{ID: r.ID, Code: d.code, Err: d.err}
	}
	return r, nil
}

// decodeArguments takes what follows the id.
func decodeArguments(d *decoder, elements uint64, r *Request) {
	r.Operation = Operation(d.unsigned(0, math.MaxUint16))
	if d.err != nil {
		return
	}
	spec := r.Operation.spec()
	if spec.name == "" {
		d.fail(CodeUnknownOperation, r.Operation.String()+" is no operation of this version")
		return
	}
	decodeFields(d, elements-2, spec.arguments, r)
	switch {
	case d.err != nil:
	case !r.Changes.inRange():
		d.fail(CodeBadRequest, "changes: out of range")
	case r.Flags&^spec.flags != 0:
		d.fail(CodeBadRequest, "unknown flags")
	case r.Length > math.MaxInt64-max(r.Offset, r.ToOffset):
		d.fail(CodeBadRequest, "a range that ends beyond 2^63-1")
	}
}

// PeekID returns the id of a header without decoding the rest: that of the request that
// an answer answers, 0 for a notice.
func PeekID(b []byte) (uint64, error) {
	d := decoder{rest: b}
	_, id := d.begin(0, MaxID)
	return id, d.err
}

// AppendSize appends the third frame of a message: the length of a compressed payload
// when decompressed, in bytes.
func AppendSize(b []byte, size int64) []byte {
	return appendHead(b, majorUnsigned, uint64(size))
}

// DecodeSize decodes the third frame of a message.
func DecodeSize(b []byte) (int64, error) {
	d := decoder{rest: b}
	size := d.unsigned(0, math.MaxInt64)
	if d.err == nil && len(d.rest) > 0 {
		d.fail(CodeBadRequest, "bytes behind it")
	}
	if d.err != nil {
		return 0, fmt.Errorf("size: %w", d.err)
	}
	return int64(size), nil
}
