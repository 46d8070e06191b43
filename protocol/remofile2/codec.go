package remofile2

import (
	"fmt"
	"strings"
)

// codec writes and reads the values of one rule of the CDDL.
type codec[T any] struct {
	rule   string
	append func(b []byte, v *T) []byte
	decode func(d *decoder, v *T)
}

// field is one element of an array, which belongs to one field of the struct M.
type field[M any] struct {
	text   string // as the package comment has it: "name: rule", or the rule alone
	append func(b []byte, m *M) []byte
	decode func(d *decoder, m *M)
}

// element is the field of that name which is at the place that at returns.
func element[M, T any](name string, c codec[T], at func(*M) *T) field[M] {
	text := name
	if name != c.rule {
		text += ": " + c.rule
	}
	return field[M]{
		text:   text,
		append: func(b []byte, m *M) []byte { return c.append(b, at(m)) },
		decode: func(d *decoder, m *M) { c.decode(d, at(m)) },
	}
}

// appendHeader appends the array of id, number and fields: a message's header.
func appendHeader[M any](b []byte, id uint64, number uint16, fields []field[M], m *M) []byte {
	b = appendHead(b, majorArray, 2+uint64(len(fields)))
	b = appendHead(b, majorUnsigned, id)
	b = appendHead(b, majorUnsigned, uint64(number))
	return appendFields(b, fields, m)
}

func appendFields[M any](b []byte, fields []field[M], m *M) []byte {
	for i := range fields {
		b = fields[i].append(b, m)
	}
	return b
}

// decodeFields takes so many elements: those of fields, and others that are of a later version.
func decodeFields[M any](d *decoder, elements uint64, fields []field[M], m *M) {
	for i := range fields {
		if uint64(i) == elements {
			d.fail(CodeBadRequest, "missing")
		}
		fields[i].decode(d, m)
		if d.err != nil {
			d.err = fmt.Errorf("%s: %w", fields[i].text, d.err)
			return
		}
	}
	d.skip(elements - uint64(len(fields)))
}

// record is an array of fields.
func record[M any](rule string, fields []field[M]) codec[M] {
	return codec[M]{
		rule: rule,
		append: func(b []byte, m *M) []byte {
			return appendFields(appendHead(b, majorArray, uint64(len(fields))), fields, m)
		},
		decode: func(d *decoder, m *M) { decodeFields(d, d.array(), fields, m) },
	}
}

// list is an array of at most so many items, each of smallest bytes or more.
func list[T any](rule string, item codec[T], most, smallest int) codec[[]T] {
	return codec[[]T]{
		rule: rule,
		append: func(b []byte, items *[]T) []byte {
			b = appendHead(b, majorArray, uint64(len(*items)))
			for i := range *items {
				b = item.append(b, &(*items)[i])
			}
			return b
		},
		decode: func(d *decoder, items *[]T) {
			n := d.array()
			if n > uint64(most) || n > uint64(len(d.rest)/smallest) {
				d.fail(CodeBadRequest, "too many elements")
			}
			if n == 0 || d.err != nil {
				return
			}
			*items = make([]T, n)
			for i := range *items {
				item.decode(d, &(*items)[i])
				if d.err != nil {
					return
				}
			}
		},
	}
}

// unsigned is an integer of a range.
func unsigned[T ~uint8 | ~uint16 | ~uint32 | ~int64 | ~uint64](rule string, least, most uint64) codec[T] {
	return codec[T]{
		rule:   rule,
		append: func(b []byte, v *T) []byte { return appendHead(b, majorUnsigned, uint64(*v)) },
		decode: func(d *decoder, v *T) { *v = T(d.unsigned(least, most)) },
	}
}

// byteString is a byte string for which check returns CodeDone.
func byteString(rule string, check func(string) Code) codec[string] {
	return codec[string]{
		rule: rule,
		append: func(b []byte, s *string) []byte {
			return append(appendHead(b, majorBytes, uint64(len(*s))), *s...)
		},
		decode: func(d *decoder, s *string) {
			*s = string(d.bytes())
			if d.err != nil {
				return
			}
			switch code := check(*s); code {
			case CodeDone:
			case CodeNameTooLong:
				d.fail(code, "too long")
			default:
				d.fail(code, "not allowed")
			}
		},
	}
}

// textString is a text string of so many bytes. What is no UTF-8 is replaced when it is sent.
func textString(rule string, least, most int) codec[string] {
	return codec[string]{
		rule: rule,
		append: func(b []byte, s *string) []byte {
			text := strings.ToValidUTF8(*s, "\uFFFD")
			return append(appendHead(b, majorText, uint64(len(text))), text...)
		},
		decode: func(d *decoder, s *string) {
			*s = string(d.text())
			if d.err == nil && (len(*s) < least || len(*s) > most) {
				d.fail(CodeBadRequest, "too short or too long")
			}
		},
	}
}

// mapping is a map whose keys the tags of T name.
func mapping[T any](rule string) codec[T] {
	return codec[T]{
		rule: rule,
		append: func(b []byte, v *T) []byte {
			encoded, err := encMode.Marshal(v)
			if err != nil {
				panic(err) // a fault of the tags: every value of T can be encoded
			}
			return append(b, encoded...)
		},
		decode: func(d *decoder, v *T) { d.mapping(v) },
	}
}

var boolRule = codec[bool]{
	rule: "bool",
	append: func(b []byte, v *bool) []byte {
		if *v {
			return append(b, simpleTrue)
		}
		return append(b, simpleFalse)
	},
	decode: func(d *decoder, v *bool) { *v = d.bool() },
}

var timeRule = codec[Time]{
	rule: "time",
	append: func(b []byte, t *Time) []byte {
		if *t < 0 {
			return appendHead(b, majorNegative, uint64(-1-*t))
		}
		return appendHead(b, majorUnsigned, uint64(*t))
	},
	decode: func(d *decoder, t *Time) { *t = Time(d.signed()) },
}
