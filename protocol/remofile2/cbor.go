package remofile2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Limits of a header.
const (
	MaxRequest = 72 << 10 // bytes in a request: two paths and what is around them
	MaxAnswer  = 1 << 20  // bytes in an answer or a notice

	maxElements = 1 << 16 // of an array
	maxPairs    = 256     // of a map
	maxNesting  = 8       // of arrays and maps
)

// The parts of CBOR that headers are made of: major types in the upper three bits of
// a head (RFC 8949, section 3.1), and two simple values.
const (
	majorUnsigned = 0 << 5
	majorNegative = 1 << 5
	majorBytes    = 2 << 5
	majorText     = 3 << 5
	majorArray    = 4 << 5
	majorMap      = 5 << 5
	majorSimple   = 7 << 5

	simpleFalse = majorSimple | 20
	simpleTrue  = majorSimple | 21
)

// decMode checks what comes from a peer before any of it is used, and decodes maps.
var decMode = must(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthForbidden,
	TagsMd:            cbor.TagsForbidden,
	FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	MaxNestedLevels:   maxNesting,
	MaxArrayElements:  maxElements,
	MaxMapPairs:       maxPairs,
}.DecMode())

// encMode encodes maps.
var encMode = must(cbor.EncOptions{
	Sort:          cbor.SortCoreDeterministic,
	IndefLength:   cbor.IndefLengthForbidden,
	NilContainers: cbor.NilContainerAsEmpty,
}.EncMode())

func must[M any](mode M, err error) M {
	if err != nil {
		panic(err)
	}
	return mode
}

// checkForm reports why b can't be a header of so many bytes, whatever it says.
func checkForm(b []byte, most int) error {
	if len(b) > most {
		return fmt.Errorf("a header of %d bytes, more than %d", len(b), most)
	}
	return decMode.Wellformed(b)
}

// appendHead appends the shortest head of a major type with n, its value or its length.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

// decoder takes the elements of a header one after the other. After its first failure
// it returns zero values.
type decoder struct {
	rest []byte
	err  error // the first failure
	code Code  // which a request that fails so is answered with
}

func (d *decoder) fail(code Code, problem string) {
	if d.err == nil {
		d.err, d.code = errors.New(problem), code
	}
	d.rest = nil
}

// head takes a head: the major type, and its value or length.
func (d *decoder) head() (major byte, n uint64) {
	if len(d.rest) == 0 {
		d.fail(CodeBadRequest, "it ends early")
		return 0, 0
	}
	major, info := d.rest[0]&0xe0, d.rest[0]&0x1f
	d.rest = d.rest[1:]
	if info < 24 {
		return major, uint64(info)
	}
	if info > 27 {
		d.fail(CodeBadRequest, "a head of no definite length")
		return 0, 0
	}
	for _, b := range d.take(1 << (info - 24)) {
		n = n<<8 | uint64(b)
	}
	return major, n
}

// expect takes a head of this major type, and fails with the problem at another.
func (d *decoder) expect(major byte, problem string) uint64 {
	if len(d.rest) > 0 && d.rest[0]&0xe0 != major {
		d.fail(CodeBadRequest, problem)
	}
	_, n := d.head()
	return n
}

// take takes n bytes.
func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail(CodeBadRequest, "it ends early")
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) unsigned(least, most uint64) uint64 {
	n := d.expect(majorUnsigned, "not an unsigned integer")
	if d.err == nil && (n < least || n > most) {
		d.fail(CodeBadRequest, "out of range")
	}
	if d.err != nil {
		return 0
	}
	return n
}

func (d *decoder) signed() int64 {
	if len(d.rest) == 0 || d.rest[0]&0xe0 != majorNegative {
		return int64(d.unsigned(0, math.MaxInt64))
	}
	_, n := d.head()
	if n > math.MaxInt64 {
		d.fail(CodeBadRequest, "out of range")
		return 0
	}
	return -1 - int64(n)
}

func (d *decoder) bool() bool {
	if len(d.rest) == 0 || d.rest[0] != simpleFalse && d.rest[0] != simpleTrue {
		d.fail(CodeBadRequest, "neither false nor true")
		return false
	}
	return d.take(1)[0] == simpleTrue
}

// bytes takes a byte string, which aliases what is decoded.
func (d *decoder) bytes() []byte { return d.take(d.expect(majorBytes, "not a byte string")) }

// text takes a text string, which aliases what is decoded.
func (d *decoder) text() []byte {
	b := d.take(d.expect(majorText, "not a text string"))
	if !utf8.Valid(b) {
		d.fail(CodeBadRequest, "text that is not UTF-8")
		return nil
	}
	return b
}

// array takes the head of an array and returns how many elements follow.
func (d *decoder) array() uint64 { return d.expect(majorArray, "not an array") }

// begin takes the beginning of a message: how many elements it has, and its id.
func (d *decoder) begin(leastID, mostID uint64) (elements, id uint64) {
	elements = d.array()
	if elements == 0 {
		d.fail(CodeBadRequest, "an empty array")
	}
	return elements, d.unsigned(leastID, mostID)
}

// skip takes so many elements, with all that is in them: what this version does not know.
func (d *decoder) skip(elements uint64) {
	for ; elements > 0 && d.err == nil; elements-- {
		if len(d.rest) == 0 {
			d.fail(CodeBadRequest, "it ends early")
			return
		}
		switch d.rest[0] & 0xe0 {
		case majorUnsigned, majorNegative:
			d.head()
		case majorBytes:
			d.bytes()
		case majorText:
			d.text()
		case majorArray:
			elements += d.array()
		case majorMap:
			elements += 2 * d.expect(majorMap, "not a map")
		default:
			d.bool()
		}
	}
}

// mapping decodes a map into the struct at v, whose tags name its keys.
func (d *decoder) mapping(v any) {
	b := d.rest
	if len(b) > 0 && b[0]&0xe0 != majorMap {
		d.fail(CodeBadRequest, "not a map")
	}
	d.skip(1)
	if d.err != nil {
		return
	}
	if err := decMode.Unmarshal(b[:len(b)-len(d.rest)], v); err != nil {
		d.fail(CodeBadRequest, err.Error())
	}
}
