// Package pickle is the codec for the part of Python's pickle format that the
// Remofile 1 wire uses.
//
// # Values
//
//	Python                                   Go
//	None                                     nil
//	bool                                     bool
//	int, if it fits 64 bits with sign        int64
//	float                                    float64
//	str                                      string (see Text)
//	bytes                                    []byte
//	tuple                                    Tuple
//	list (decoded only)                      List
//	dict whose keys are str                  Dict
//	remofile.protocol.Request, Response,
//	Reason members (decoded only)            Enum
//	pathlib.PurePosixPath, PosixPath
//	(decoded only)                           Path
//
// # What is accepted
//
// Decode takes what the picklers of CPython write for these values in the
// protocols 0 to 5. The opcodes, as pickletools names them:
//
//	PROTO FRAME STOP MARK
//	NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT
//	UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
//	BINBYTES SHORT_BINBYTES BINBYTES8
//	EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
//	EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS
//	PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET
//	GLOBAL STACK_GLOBAL REDUCE
//
// and the globals, each of which means something only when REDUCE calls it:
//
//	remofile.protocol    Request, Response, Reason    called with one int
//	builtins             getattr    called with one of these classes and a str
//	builtins             bytes      called without arguments (b'' before protocol 3)
//	_codecs              encode     called with a str and 'latin1' (bytes before protocol 3)
//	pathlib              PurePosixPath, PosixPath     called with any number of str
//
// builtins may be called __builtin__ (its name in Python 2), pathlib may be
// called pathlib._local (its name in CPython 3.13). Nothing is looked up or run:
// the names are compared with this list, and everything else is an error.
//
// A tuple may be used again through the memo, as CPython does for one that
// stands in a message twice. A list or dict may not, so no value contains itself.
//
// # Text
//
// A file name that is not UTF-8 has no str of its own. Python carries each of
// its undecodable bytes 0x80 to 0xFF as the lone surrogate U+DC80 to U+DCFF (PEP
// 383, "surrogateescape"). Here a string holds the bytes of the name themselves:
// decoding turns such a surrogate into its byte, as os.fsencode does, and
// AppendString turns each byte that is not part of valid UTF-8 into its
// surrogate, as os.fsdecode does. So every Go string survives encoding and
// decoding. In the other direction, surrogates whose bytes together form valid
// UTF-8 ('\udcc3\udca9') become that text ('é'): two str of Python, but one file
// name. All other surrogates are an error.
//
// # Limits
//
// The input comes from strangers. Every length is compared with the bytes that
// are left before anything is allocated for it, there is no recursion, and the
// work is proportional to the input. One opcode costs at most about 300 bytes of
// memory, garbage included, apart from the text, which is copied once or twice.
// See Limits.
package pickle

import "fmt"

// Tuple is a Python tuple.
type Tuple []any

// List is a Python list.
type List []any

// Dict is a Python dict in the order of the stream. A key appears once: a
// repeated one keeps its first place and gets its last value, as in Python.
type Dict []Item

// Item is one key of a Dict with its value.
type Item struct {
	Key   string
	Value any
}

// Enum is a member of an enumeration of the module remofile.protocol. CPython
// 3.11 pickles the member's name, all others its number: one of the two is set,
// and neither is checked against the enumeration.
type Enum struct {
	Class  string // "Request", "Response" or "Reason"
	Name   string // "LIST_FILES"; empty if the stream has the number
	Number int64  // zero if the stream has the name
}

// Path is a POSIX path of pathlib, its parts joined as pathlib joins them: an
// absolute part starts anew, empty and "." components are dropped, ".." is kept,
// and no component at all is ".". Two slashes at the start, which pathlib keeps,
// become one.
type Path string

// Limits bound what Decode reads. A field that is zero has its default.
type Limits struct {
	// Size is the longest input, in bytes. Default 64 MiB.
	Size int

	// Depth is how deep tuples, lists and dicts may stand in one another; a
	// tuple of numbers has depth 1. Default 16.
	Depth int

	// Ops is the number of opcodes, and so bounds the memory of all values but
	// text. The values in tuples that are taken from the memo again are
	// counted too, apart: as a tree, the result has at most twice Ops values.
	// Default 256 and one for every two bytes of input, which any listing of
	// files stays below. A request needs far less, however large its chunk: a
	// few dozen, and two for each part of a path.
	Ops int

	// Entries is the number of entries of each dict. Default Ops.
	Entries int

	// Memo is the number of values that the memo holds. Default Ops.
	Memo int

	// Stack is the number of values and marks on the stack. CPython writes a
	// dict 1000 items at a time. Default Ops.
	Stack int
}

const (
	defaultSize  = 64 << 20
	defaultDepth = 16
	minimumOps   = 256 // default for an empty input
)

// withDefaults replaces the zeros of l; size is the length of the input.
func (l Limits) withDefaults(size int) Limits {
	if l.Size == 0 {
		l.Size = defaultSize
	}
	if l.Depth == 0 {
		l.Depth = defaultDepth
	}
	if l.Ops == 0 {
		l.Ops = minimumOps + size/2
	}
	if l.Entries == 0 {
		l.Entries = l.Ops
	}
	if l.Memo == 0 {
		l.Memo = l.Ops
	}
	if l.Stack == 0 {
		l.Stack = l.Ops
	}
	return l
}

// Error says why an input is refused.
type Error struct {
	Offset int // of the opcode at fault, in bytes from the start of the input
	Msg    string
}

func (e *Error) Error() string {
	return fmt.Sprintf("pickle: byte %d: %s", e.Offset, e.Msg)
}
