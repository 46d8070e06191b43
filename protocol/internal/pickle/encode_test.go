package pickle_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol/internal/pickle"
)

func TestAppend(t *testing.T) {
	tests := []struct {
		name string
		got  []byte
		want string // hexadecimal
	}{
		{"start", pickle.AppendStart(nil), "80 04"},
		{"stop", pickle.AppendStop(nil), "2e"},
		{"true", pickle.AppendBool(nil, true), "88"},
		{"false", pickle.AppendBool(nil, false), "89"},
		{"0", pickle.AppendInt(nil, 0), "4b 00"},
		{"255", pickle.AppendInt(nil, 255), "4b ff"},
		{"256", pickle.AppendInt(nil, 256), "4d 0001"},
		{"65535", pickle.AppendInt(nil, 65535), "4d ffff"},
		{"65536", pickle.AppendInt(nil, 65536), "4a 00000100"},
		{"-1", pickle.AppendInt(nil, -1), "4a ffffffff"},
		{"2^31-1", pickle.AppendInt(nil, math.MaxInt32), "4a ffffff7f"},
		{"-2^31", pickle.AppendInt(nil, math.MinInt32), "4a 00000080"},
		{"2^31", pickle.AppendInt(nil, math.MaxInt32+1), "8a 05 0000008000"},
		{"-2^31-1", pickle.AppendInt(nil, math.MinInt32-1), "8a 05 ffffff7fff"},
		{"2^39-1", pickle.AppendInt(nil, 1<<39-1), "8a 05 ffffffff7f"},
		{"2^39", pickle.AppendInt(nil, 1<<39), "8a 06 000000008000"},
		{"2^63-1", pickle.AppendInt(nil, math.MaxInt64), "8a 08 ffffffffffffff7f"},
		{"-2^63", pickle.AppendInt(nil, math.MinInt64), "8a 08 0000000000000080"},
		{"1.5", pickle.AppendFloat(nil, 1.5), "47 3ff8000000000000"},
		{"str", pickle.AppendString(nil, "aé"), "8c 03 61 c3a9"},
		{"str that is not UTF-8", pickle.AppendString(nil, "\x80\xbf\xc0\xff"), "8c 0c edb280 edb2bf edb380 edb3bf"},
		{"bytes", pickle.AppendBytes(nil, []byte("ab")), "43 02 6162"},
		{"no bytes", pickle.AppendBytes(nil, nil), "43 00"},
		{"header of 255 bytes", pickle.AppendBytesHeader(nil, 255), "43 ff"},
		{"header of 256 bytes", pickle.AppendBytesHeader(nil, 256), "42 00010000"},
		{"mark", pickle.AppendMark(nil), "28"},
		{"()", pickle.AppendTuple(nil, 0), "29"},
		{"tuple of 1", pickle.AppendTuple(nil, 1), "85"},
		{"tuple of 2", pickle.AppendTuple(nil, 2), "86"},
		{"tuple of 3", pickle.AppendTuple(nil, 3), "87"},
		{"tuple of 4", pickle.AppendTuple(nil, 4), "74"},
		{"empty dict", pickle.AppendEmptyDict(nil), "7d"},
		{"set items", pickle.AppendSetItems(nil), "75"},
	}
	for _, test := range tests {
		want, err := hex.DecodeString(strings.ReplaceAll(test.want, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(test.got, want) {
			t.Errorf("%s: got %x, want %x", test.name, test.got, want)
		}
	}
}

func TestLongestHeader(t *testing.T) {
	const n = math.MaxInt
	if got := len(pickle.AppendBytesHeader(nil, n)); uint64(n) > math.MaxUint32 && got != pickle.MaxBytesHeader {
		t.Errorf("header of %d bytes, MaxBytesHeader is %d", got, pickle.MaxBytesHeader)
	}
}

func TestIntsRoundTrip(t *testing.T) {
	for _, v := range interestingInts() {
		got, err := pickle.Decode(appendValue(nil, v), pickle.Limits{})
		if err != nil || got != any(v) {
			t.Errorf("%d: got %v, %v", v, got, err)
		}
	}
}

// A text longer than the smallest header allows, by its surrogates alone.
func TestLongText(t *testing.T) {
	for _, s := range []string{
		strings.Repeat("\xff", 85),
		strings.Repeat("\xff", 86),
		strings.Repeat("é", 1<<16) + "\xff",
	} {
		got, err := pickle.Decode(appendValue(nil, s), pickle.Limits{})
		if err != nil || got != any(s) {
			t.Errorf("%d bytes: %v", len(s), err)
		}
	}
}

// interestingInts are the powers of two and their neighbours.
func interestingInts() []int64 {
	values := []int64{0, math.MinInt64, math.MaxInt64}
	for shift := range 63 {
		p := int64(1) << shift
		values = append(values, p-1, p, p+1, -p-1, -p, 1-p)
	}
	return values
}

// appendValue appends the pickle of v, which is of the kinds that can be written.
func appendValue(dst []byte, v any) []byte {
	return pickle.AppendStop(appendPart(pickle.AppendStart(dst), v))
}

func appendPart(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, 'N') // the wire has no None
	case bool:
		return pickle.AppendBool(dst, v)
	case int64:
		return pickle.AppendInt(dst, v)
	case float64:
		return pickle.AppendFloat(dst, v)
	case string:
		return pickle.AppendString(dst, v)
	case []byte:
		return pickle.AppendBytes(dst, v)
	case pickle.Tuple:
		if len(v) > 3 {
			dst = pickle.AppendMark(dst)
		}
		for _, e := range v {
			dst = appendPart(dst, e)
		}
		return pickle.AppendTuple(dst, len(v))
	case pickle.Dict:
		dst = pickle.AppendMark(pickle.AppendEmptyDict(dst))
		for _, item := range v {
			dst = appendPart(pickle.AppendString(dst, item.Key), item.Value)
		}
		return pickle.AppendSetItems(dst)
	}
	panic("no form to write a " + reflect.TypeOf(v).String())
}

// writable tells whether appendValue can write v.
func writable(v any) bool {
	switch v := v.(type) {
	case pickle.List, pickle.Enum, pickle.Path:
		return false
	case pickle.Tuple:
		for _, e := range v {
			if !writable(e) {
				return false
			}
		}
	case pickle.Dict:
		for _, item := range v {
			if !writable(item.Value) {
				return false
			}
		}
	}
	return true
}
