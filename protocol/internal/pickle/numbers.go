package pickle

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// maxNumberLine is the length of the longest decimal line that is parsed: 64
// bits need 20 characters, repr(float) 24.
const maxNumberLine = 32

// numberLine reads a decimal line.
func (d *decoder) numberLine() (string, error) {
	b, err := d.line()
	if err != nil {
		return "", err
	}
	if len(b) > maxNumberLine {
		return "", d.errorf("number of %d characters", len(b))
	}
	return string(b), nil
}

func (d *decoder) intLine() error {
	s, err := d.numberLine()
	if err != nil {
		return err
	}
	switch s {
	case "00":
		return d.pushValue(false)
	case "01":
		return d.pushValue(true)
	}
	return d.pushDecimal(s)
}

func (d *decoder) longLine() error {
	s, err := d.numberLine()
	if err != nil {
		return err
	}
	return d.pushDecimal(strings.TrimSuffix(s, "L"))
}

// pushDecimal pushes an integer. It is refused in any spelling but Python's own,
// for a zero at its start makes it octal to some readers.
func (d *decoder) pushDecimal(s string) error {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(v, 10) != s {
		return d.errorf("not an integer of 64 bits: %q", s)
	}
	return d.pushValue(v)
}

func (d *decoder) binUint(size int) error {
	v, err := d.uint(size)
	if err != nil {
		return err
	}
	return d.pushValue(int64(v))
}

func (d *decoder) binInt() error {
	v, err := d.uint(4)
	if err != nil {
		return err
	}
	return d.pushValue(int64(int32(v)))
}

// long1 reads an integer of 0 to 8 bytes in two's complement. CPython writes no
// more bytes than it needs, so a longer one does not fit.
func (d *decoder) long1() error {
	b, err := d.counted(1)
	if err != nil {
		return err
	}
	if len(b) > 8 {
		return d.errorf("integer of %d bytes", len(b))
	}
	var v uint64
	if len(b) > 0 && b[len(b)-1] >= 0x80 {
		v = math.MaxUint64 // the sign, shifted up below
	}
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return d.pushValue(int64(v))
}

func (d *decoder) floatLine() error {
	s, err := d.numberLine()
	if err != nil {
		return err
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return d.errorf("not a float: %q", s)
	}
	return d.pushValue(v)
}

func (d *decoder) binFloat() error {
	b, err := d.take(8)
	if err != nil {
		return err
	}
	return d.pushValue(math.Float64frombits(binary.BigEndian.Uint64(b)))
}
