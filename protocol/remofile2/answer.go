package remofile2

import (
	"fmt"
	"math"
)

// Answer is what a request came to. Which of the fields behind Message count, the table
// of operations in the package comment tells; none of them where Code is not CodeDone.
type Answer struct {
	ID      uint64 // of the request
	Code    Code
	Message string // for people; "" where Code is CodeDone

	Attr    Attr
	Offset  int64 // bytes
	Length  int64 // bytes
	Entries []Entry
	Cursor  string
	Target  string // of a symbolic link
	Removed uint64 // files and directories
	Space   Space
	Session string // 16 bytes
	Secret  string // 32 bytes
	Resumed bool
	Info    Info
	Status  Status
}

// Attr are the attributes of a file.
type Attr struct {
	Kind     Kind
	Mode     uint16 // permission bits
	Size     int64  // bytes
	Modified Time
	Changed  Time
	Born     Time // 0 where the file system does not tell
	Links    uint64
	Device   uint64
	Inode    uint64
}

// Entry is one entry of a directory.
type Entry struct {
	Name string
	Attr Attr
}

// What a listing takes in a header, in bytes, at most.
const (
	EntryOverhead = 71  // an entry, besides its name
	ListOverhead  = 273 // all that is not an entry
)

// Space is that of a file system.
type Space struct {
	Total     int64 // bytes
	Free      int64 // bytes
	Available int64 // bytes that the server may use
	Files     uint64
	FreeFiles uint64
}

// AppendAnswer appends the header of the answer a to a request for op to b.
func AppendAnswer(b []byte, op Operation, a *Answer) []byte {
	return appendHeader(b, a.ID, uint16(a.Code), resultsOf(op, a.Code), a)
}

func resultsOf(op Operation, code Code) []field[Answer] {
	if code != CodeDone {
		return failure
	}
	return op.spec().results
}

// DecodeAnswer decodes the header of an answer to a request for op, which PeekID helps to
// find. Nothing of the answer aliases b. A code of a later version is no error.
func DecodeAnswer(op Operation, b []byte) (Answer, error) {
	if err := checkForm(b, MaxAnswer); err != nil {
		return Answer{}, fmt.Errorf("answer to %v: %w", op, err)
	}
	d := decoder{rest: b}
	var a Answer
	elements, id := d.begin(1, MaxID)
	a.ID = id
	a.Code = Code(d.unsigned(0, math.MaxUint16))
	if d.err == nil {
		decodeFields(&d, elements-2, resultsOf(op, a.Code), &a)
	}
	if d.err != nil {
		return Answer{}, fmt.Errorf("answer to %v: %w", op, d.err)
	}
	return a, nil
}
