package pickle

import (
	"strconv"
	"unicode/utf8"
)

// The bytes 0x80 to 0xFF that are not UTF-8 stand in a str as U+DC80 to U+DCFF,
// which in Python's UTF-8 for pickles are
//
//	0x80 to 0xBF    ED B2 80 to ED B2 BF
//	0xC0 to 0xFF    ED B3 80 to ED B3 BF
//
// Go's UTF-8 takes these for three invalid bytes, as it does all surrogates.

func (d *decoder) binUnicode(size int) error {
	b, err := d.counted(size)
	if err != nil {
		return err
	}
	s, ok := decodeText(b)
	if !ok {
		return d.errorf("str that is not UTF-8")
	}
	return d.pushValue(s)
}

func (d *decoder) unicodeLine() error {
	b, err := d.line()
	if err != nil {
		return err
	}
	s, ok := decodeEscapes(b)
	if !ok {
		return d.errorf("str that is not raw-unicode-escape")
	}
	return d.pushValue(s)
}

func (d *decoder) binBytes(size int) error {
	b, err := d.counted(size)
	if err != nil {
		return err
	}
	return d.pushValue(b)
}

// decodeText returns the string of a str in UTF-8, with the bytes that its
// surrogates stand for.
func decodeText(b []byte) (s string, ok bool) {
	if utf8.Valid(b) {
		return string(b), true
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		if raw, ok := rawByte(b); ok {
			out = append(out, raw)
			b = b[3:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return "", false
		}
		out = append(out, b[:n]...)
		b = b[n:]
	}
	return string(out), true
}

// rawByte returns the byte that the surrogate at the start of b stands for, and
// false if there is no such surrogate.
func rawByte(b []byte) (raw byte, ok bool) {
	if len(b) < 3 || b[0] != 0xed || b[1]|1 != 0xb3 || b[2]&0xc0 != 0x80 {
		return 0, false
	}
	return 0x80 | b[1]&1<<6 | b[2]&0x3f, true
}

// decodeEscapes returns the string of a str in raw-unicode-escape: latin-1, with
// \uXXXX and \UXXXXXXXX for what is not. A backslash before any other character
// stands for itself, and so does that character.
func decodeEscapes(b []byte) (s string, ok bool) {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		if b[0] != '\\' || len(b) == 1 {
			out = utf8.AppendRune(out, rune(b[0]))
			b = b[1:]
			continue
		}
		digits := 0
		switch b[1] {
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		default:
			out = append(out, '\\')
			out = utf8.AppendRune(out, rune(b[1]))
			b = b[2:]
			continue
		}
		if len(b) < 2+digits {
			return "", false
		}
		code, err := strconv.ParseUint(string(b[2:2+digits]), 16, 32)
		switch {
		case err != nil:
			return "", false
		case code >= 0xdc80 && code <= 0xdcff:
			out = append(out, byte(code))
		case code <= utf8.MaxRune && utf8.ValidRune(rune(code)):
			out = utf8.AppendRune(out, rune(code))
		default:
			return "", false
		}
		b = b[2+digits:]
	}
	return string(out), true
}

// textSize returns the number of bytes that appendText appends.
func textSize(s string) int {
	if utf8.ValidString(s) {
		return len(s)
	}
	size := len(s)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			size += 2
		}
		i += n
	}
	return size
}

// appendText appends s in UTF-8, with surrogates for the bytes that are not.
func appendText(dst []byte, s string) []byte {
	if utf8.ValidString(s) {
		return append(dst, s...)
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, 0xed, 0xb2|s[i]>>6&1, 0x80|s[i]&0x3f)
		} else {
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return dst
}
