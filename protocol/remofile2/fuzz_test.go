package remofile2

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol/internal/cost"
)

// budget is how many bytes the decoding of n bytes may allocate: what the types need for the
// shortest elements that there are, and an error's text.
func budget(n int) uint64 { return 64<<10 + 64*uint64(n) }

// TestDecodingIsCheap is about messages that are made to be expensive, and too large for a fuzzer.
func TestDecodingIsCheap(t *testing.T) {
	many := func(start string, count string, n int, item string) []byte {
		return []byte(start + count + strings.Repeat(item, n))
	}
	const entry = "\x82\x41a\x89\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, test := range []struct {
		name   string
		decode func([]byte) (any, error)
		bytes  []byte
	}{
		{"entries", decodeAnswer(OpList), many("\x84\x01\x00\x40", "\x99\xff\xff", 0xffff, entry)},
		{"entries that are bad from the first on", decodeAnswer(OpList), many("\x84\x01\x00\x40", "\x99\xff\xff", 0xffff, strings.Replace(entry, "a", "/", 1))},
		{"entries that are none", decodeAnswer(OpList), many("\x84\x01\x00\x40", "\x99\xff\xff", 0xffff, "\x80")},
		{"names", decodeNotice, many("\x84\x00\x01\x41/", "\x99\xff\xff", 0xffff, "\x41a")},
		{"sessions", decodeAnswer(OpStatus), many("\x84\x01\x00\xa0\xa1\x68sessions", "\x99\xff\xff", 0xffff, "\xa0")},
		{"features", decodeAnswer(OpStatus), many("\x84\x01\x00\xa1\x68features", "\x99\xff\xff", 0xffff, "\x60")},
		{"maps that are unknown", decodeRequest, many("\x83\x01\x02", "\x99\x20\x00", 0x2000, "\xa1\xa1\x00\x00\x00")},
		{"keys that are maps", decodeRequest, many("\x85\x01\x07\x03\x00", "\xb8\xff", 0xff, "\xa1\x00\x00\x00")},
		{"components", decodeRequest, many("\x83\x01\x18\x1b", "\x59\x80\x00", 0x4000, "/a")},
	} {
		cost.Limit(t, budget(len(test.bytes)), func() { test.decode(test.bytes) })
	}
}

// Requests that are refused say what to answer, and those that are taken can be sent again.
func FuzzDecodeRequest(f *testing.F) {
	for _, m := range goldenMessages() {
		f.Add(m.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		var err error
		cost.Limit(t, budget(len(b)), func() { r, err = DecodeRequest(b) })
		if err != nil {
			if e, ok := err.(*RequestError); !ok || e.Code == CodeDone || e.ID > MaxID {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if id, err := PeekID(b); err != nil || id != r.ID {
			t.Fatalf("the id is %d, peeked %d, error %v", r.ID, id, err)
		}
		checkRange(t, &r)
		again, err := DecodeRequest(AppendRequest(nil, &r))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v is %+v after encoding, error %v", r, again, err)
		}
	})
}

// checkRange checks what a server relies on.
func checkRange(t *testing.T, r *Request) {
	if r.Offset+r.Length < r.Offset || r.ToOffset+r.Length < r.ToOffset || r.Offset < 0 || r.ToOffset < 0 || r.Length < 0 {
		t.Fatalf("a range from %d or %d of %d bytes", r.Offset, r.ToOffset, r.Length)
	}
	if r.Path != "" && !ValidPath(r.Path) || r.ToPath != "" && !ValidPath(r.ToPath) || r.Cursor != "" && !ValidName(r.Cursor) {
		t.Fatalf("the paths %q and %q, the cursor %q", r.Path, r.ToPath, r.Cursor)
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	for name, a := range goldenAnswers {
		op := operationOf(name)
		f.Add(uint16(op), AppendAnswer(nil, op, &a))
	}
	f.Fuzz(func(t *testing.T, op uint16, b []byte) {
		var a Answer
		var err error
		cost.Limit(t, budget(len(b)), func() { a, err = DecodeAnswer(Operation(op), b) })
		if err != nil {
			return
		}
		for _, e := range a.Entries {
			if !ValidName(e.Name) {
				t.Fatalf("entry %q leads elsewhere", e.Name)
			}
		}
		sent := AppendAnswer(nil, Operation(op), &a)
		again, err := DecodeAnswer(Operation(op), sent)
		if err != nil || !bytes.Equal(AppendAnswer(nil, Operation(op), &again), sent) {
			t.Fatalf("%+v is %+v after encoding, error %v", a, again, err)
		}
	})
}

func FuzzDecodeNotice(f *testing.F) {
	for _, m := range goldenMessages() {
		f.Add(m.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var n Notice
		var err error
		cost.Limit(t, budget(len(b)), func() { n, err = DecodeNotice(b) })
		if err != nil {
			return
		}
		for _, name := range n.Names {
			if !ValidName(name) {
				t.Fatalf("entry %q leads elsewhere", name)
			}
		}
		again, err := DecodeNotice(AppendNotice(nil, &n))
		if err != nil || !reflect.DeepEqual(again, n) {
			t.Fatalf("%+v is %+v after encoding, error %v", n, again, err)
		}
	})
}
