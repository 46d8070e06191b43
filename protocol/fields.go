package protocol

import (
	"slices"

	"github.com/remofile/remofile/protocol/internal/pickle"
)

// fields takes the elements of a decoded tuple one after the other. The first
// element that is missing or of another type fails the whole; end tells.
type fields struct {
	rest   pickle.Tuple
	failed string
}

func (f *fields) next() any {
	if len(f.rest) == 0 {
		f.fail("an element is missing")
		return nil
	}
	v := f.rest[0]
	f.rest = f.rest[1:]
	return v
}

func (f *fields) fail(msg string) {
	if f.failed == "" {
		f.failed = msg
	}
}

// take returns the next element as a T.
func take[T any](f *fields, msg string) T {
	v, ok := f.next().(T)
	if !ok {
		f.fail(msg)
	}
	return v
}

func (f *fields) text() string   { return take[string](f, "not a str") }
func (f *fields) bytes() []byte  { return take[[]byte](f, "not bytes") }
func (f *fields) integer() int64 { return take[int64](f, "not an int") }
func (f *fields) boolean() bool  { return take[bool](f, "not a bool") }

// directory takes a str or any path of Python's pathlib.
func (f *fields) directory() string {
	var dir string
	switch v := f.next().(type) {
	case string:
		dir = v
	case pickle.Path:
		dir = string(v)
	default:
		f.fail("not a path")
	}
	if len(dir) > MaxDirectory {
		f.fail("the path of the directory is too long")
	}
	return CleanDirectory(dir)
}

// end returns what was wrong with the tuple, or "".
func (f *fields) end() string {
	if len(f.rest) > 0 {
		f.fail("too many elements")
	}
	return f.failed
}

// number reads an enumeration's member: a plain integer, or either form in which
// Python pickles its own enumeration of that class.
func number(v any, class string, names []string) (int, bool) {
	switch v := v.(type) {
	case int64:
		return int(v), int64(int(v)) == v
	case pickle.Enum:
		if v.Class != class {
			return 0, false
		}
		if v.Name != "" {
			return slices.Index(names, v.Name) + 1, true
		}
		return int(v.Number), int64(int(v.Number)) == v.Number
	}
	return 0, false
}

// appendFilled appends a byte string of n bytes that fill writes in place.
func appendFilled(dst []byte, n int, fill func([]byte) error) ([]byte, error) {
	dst = pickle.AppendBytesHeader(dst, n)
	start := len(dst)
	dst = slices.Grow(dst, n)[:start+n]
	return dst, fill(dst[start:])
}
