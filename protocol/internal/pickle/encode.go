package pickle

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A pickle is AppendStart, one value, AppendStop. The functions write the
// smallest form that CPython 3.4 and later read: protocol 4, without frames and
// without the memo. A container comes after what is in it:
//
//	(7,)         AppendInt 7, AppendTuple 1
//	(a, b, c, d) AppendMark, a, b, c, d, AppendTuple 4
//	{k: v, ...}  AppendEmptyDict, AppendMark, k, v, ..., AppendSetItems

// MaxBytesHeader is the length of the longest header that AppendBytesHeader
// writes, in bytes.
const MaxBytesHeader = 9

// AppendStart starts a pickle.
func AppendStart(dst []byte) []byte {
	return append(dst, opProto, 4)
}

// AppendStop ends a pickle; exactly one value stands before it.
func AppendStop(dst []byte) []byte {
	return append(dst, opStop)
}

// AppendBool appends a bool.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, opNewTrue)
	}
	return append(dst, opNewFalse)
}

// AppendInt appends an int.
func AppendInt(dst []byte, v int64) []byte {
	switch {
	case v >= 0 && v <= math.MaxUint8:
		return append(dst, opBinInt1, byte(v))
	case v >= 0 && v <= math.MaxUint16:
		return binary.LittleEndian.AppendUint16(append(dst, opBinInt2), uint16(v))
	case v >= math.MinInt32 && v <= math.MaxInt32:
		return binary.LittleEndian.AppendUint32(append(dst, opBinInt), uint32(v))
	}
	significant := bits.Len64(uint64(v ^ v>>63))
	size := significant/8 + 1 // room for the sign bit
	dst = append(dst, opLong1, byte(size))
	for range size {
		dst = append(dst, byte(v))
		v >>= 8
	}
	return dst
}

// AppendFloat appends a float.
func AppendFloat(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, opBinFloat), math.Float64bits(v))
}

// AppendString appends a str. Bytes of s that are not UTF-8 are written as
// surrogates (see Text in the package documentation).
func AppendString(dst []byte, s string) []byte {
	dst = appendCount(dst, textSize(s), opShortBinUnicode, opBinUnicode, opBinUnicode8)
	return appendText(dst, s)
}

// AppendBytes appends bytes.
func AppendBytes(dst []byte, b []byte) []byte {
	return append(AppendBytesHeader(dst, len(b)), b...)
}

// AppendBytesHeader appends bytes of length n but for the n bytes themselves,
// which the caller puts behind it.
func AppendBytesHeader(dst []byte, n int) []byte {
	return appendCount(dst, n, opShortBinBytes, opBinBytes, opBinBytes8)
}

// appendCount appends the length n behind the opcode that has room for it.
func appendCount(dst []byte, n int, op1, op4, op8 byte) []byte {
	switch count := uint64(n); {
	case count <= math.MaxUint8:
		return append(dst, op1, byte(count))
	case count <= math.MaxUint32:
		return binary.LittleEndian.AppendUint32(append(dst, op4), uint32(count))
	default:
		return binary.LittleEndian.AppendUint64(append(dst, op8), count)
	}
}

// AppendMark starts the values of a tuple of more than three, or the items of a
// dict.
func AppendMark(dst []byte) []byte {
	return append(dst, opMark)
}

// AppendTuple makes a tuple of the n values before it. If n is more than three,
// an AppendMark stands before these.
func AppendTuple(dst []byte, n int) []byte {
	switch n {
	case 0:
		return append(dst, opEmptyTuple)
	case 1:
		return append(dst, opTuple1)
	case 2:
		return append(dst, opTuple2)
	case 3:
		return append(dst, opTuple3)
	default:
		return append(dst, opTuple)
	}
}

// AppendEmptyDict appends a dict without items.
func AppendEmptyDict(dst []byte) []byte {
	return append(dst, opEmptyDict)
}

// AppendSetItems puts the keys and values since the last AppendMark into the
// dict before that mark. A large dict may get its items in several such groups,
// which keeps the stack of its reader small; CPython makes groups of 1000.
func AppendSetItems(dst []byte) []byte {
	return append(dst, opSetItems)
}
