package pickle

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Decode reads the one pickle that fills b. Byte strings in the result are parts
// of b, not copies (but for those of protocols 0 to 2, which are spelled as
// text), so b must stay unchanged for as long as they are used. Strings are
// copies. An error is an *Error.
func Decode(b []byte, l Limits) (any, error) {
	l = l.withDefaults(len(b))
	if len(b) > l.Size {
		return nil, &Error{Offset: l.Size, Msg: "input longer than the limit"}
	}
	d := &decoder{
		in:     b,
		limits: l,
		ops:    l.Ops,
		shared: l.Ops,
		spare:  len(b) + spareBytes,
	}
	d.stack = d.firstStack[:0]
	d.memo.dense = d.firstMemo[:0]
	return d.run()
}

// decoder is the state of one Decode: the machine that pickletools describes.
type decoder struct {
	in     []byte
	pos    int // offset of the next unread byte
	op     int // offset of the opcode under way, for errors
	limits Limits

	ops    int // opcodes left of limits.Ops
	shared int // values left that tuples from the memo may hold, in all
	spare  int // bytes left that REDUCE may make

	stack []slot
	marks []int // lengths that the stack had at its open marks
	memo  memo

	// Where stack and memo start, with room for a request.
	firstStack [8]slot
	firstMemo  [16]slot
}

// run executes the opcodes up to STOP.
func (d *decoder) run() (any, error) {
	for {
		d.op = d.pos
		if d.ops--; d.ops < 0 {
			return nil, d.errorf("more opcodes than the limit of %d", d.limits.Ops)
		}
		op, err := d.take(1)
		if err != nil {
			return nil, err
		}
		if op[0] == opStop {
			return d.stop()
		}
		if err := d.execute(op[0]); err != nil {
			return nil, err
		}
	}
}

// stop returns the value of the whole pickle.
func (d *decoder) stop() (any, error) {
	if d.pos != len(d.in) {
		return nil, d.errorf("%d bytes after STOP", len(d.in)-d.pos)
	}
	if len(d.stack) != 1 || len(d.marks) != 0 {
		return nil, d.errorf("%d values and %d marks at STOP", len(d.stack), len(d.marks))
	}
	v, ok := sealed(d.stack[0].value)
	if !ok {
		return nil, d.errorf("the result is a global that is not called")
	}
	return v, nil
}

func (d *decoder) execute(op byte) error {
	switch op {
	case opProto:
		return d.proto()
	case opFrame:
		return d.frame()
	case opMark:
		return d.mark()

	case opNone:
		return d.pushValue(nil)
	case opNewTrue:
		return d.pushValue(true)
	case opNewFalse:
		return d.pushValue(false)
	case opInt:
		return d.intLine()
	case opBinInt:
		return d.binInt()
	case opBinInt1:
		return d.binUint(1)
	case opBinInt2:
		return d.binUint(2)
	case opLong:
		return d.longLine()
	case opLong1:
		return d.long1()
	case opFloat:
		return d.floatLine()
	case opBinFloat:
		return d.binFloat()

	case opUnicode:
		return d.unicodeLine()
	case opShortBinUnicode:
		return d.binUnicode(1)
	case opBinUnicode:
		return d.binUnicode(4)
	case opBinUnicode8:
		return d.binUnicode(8)
	case opShortBinBytes:
		return d.binBytes(1)
	case opBinBytes:
		return d.binBytes(4)
	case opBinBytes8:
		return d.binBytes(8)

	case opEmptyTuple:
		return d.tuple(0)
	case opTuple1:
		return d.tuple(1)
	case opTuple2:
		return d.tuple(2)
	case opTuple3:
		return d.tuple(3)
	case opTuple:
		return d.tuple(marked)
	case opEmptyList:
		return d.list(0)
	case opList:
		return d.list(marked)
	case opAppend:
		return d.extend(1)
	case opAppends:
		return d.extend(marked)
	case opEmptyDict:
		return d.dict(0)
	case opDict:
		return d.dict(marked)
	case opSetItem:
		return d.update(2)
	case opSetItems:
		return d.update(marked)

	case opPut:
		return d.putLine()
	case opBinPut:
		return d.binPut(1)
	case opLongBinPut:
		return d.binPut(4)
	case opMemoize:
		return d.put(uint64(d.memo.len()))
	case opGet:
		return d.getLine()
	case opBinGet:
		return d.binGet(1)
	case opLongBinGet:
		return d.binGet(4)

	case opGlobal:
		return d.globalLines()
	case opStackGlobal:
		return d.stackGlobal()
	case opReduce:
		return d.reduce()
	}
	return d.errorf("opcode 0x%02x is not allowed", op)
}

func (d *decoder) proto() error {
	v, err := d.take(1)
	if err != nil {
		return err
	}
	if d.op != 0 {
		return d.errorf("PROTO is not at the start")
	}
	if v[0] > maxProtocol {
		return d.errorf("protocol %d is not known", v[0])
	}
	return nil
}

// frame skips the header of a frame, whose length says how much to read from a
// file at once and here only has to be possible.
func (d *decoder) frame() error {
	n, err := d.uint(8)
	if err != nil {
		return err
	}
	if left := len(d.in) - d.pos; n > uint64(left) {
		return d.errorf("frame of %d bytes, %d are left", n, left)
	}
	return nil
}

// take returns the next n bytes of the input, not copied.
func (d *decoder) take(n uint64) ([]byte, error) {
	left := len(d.in) - d.pos
	if n > uint64(left) {
		return nil, d.errorf("%d bytes wanted, %d are left", n, left)
	}
	end := d.pos + int(n)
	b := d.in[d.pos:end:end]
	d.pos = end
	return b, nil
}

// uint reads a little-endian number of at most 8 bytes without sign.
func (d *decoder) uint(size int) (uint64, error) {
	b, err := d.take(uint64(size))
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// counted reads a length of size bytes, then as many bytes, not copied.
func (d *decoder) counted(size int) ([]byte, error) {
	n, err := d.uint(size)
	if err != nil {
		return nil, err
	}
	return d.take(n)
}

// line returns the input up to the next newline, which is read too, not copied.
func (d *decoder) line() ([]byte, error) {
	n := bytes.IndexByte(d.in[d.pos:], '\n')
	if n < 0 {
		return nil, d.errorf("line without an end")
	}
	b := d.in[d.pos : d.pos+n]
	d.pos += n + 1
	return b, nil
}

func (d *decoder) errorf(format string, args ...any) error {
	return &Error{Offset: d.op, Msg: fmt.Sprintf(format, args...)}
}
