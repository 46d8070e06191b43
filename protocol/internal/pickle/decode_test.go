package pickle_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol/internal/pickle"
)

// Forms that CPython writes and the golden file lacks, and the small print.
func TestDecode(t *testing.T) {
	tests := []struct {
		in   string
		want any
	}{
		// Numbers.
		{"I00\n.", false},
		{"I01\n.", true},
		{"I-5\n.", int64(-5)},
		{"I0\n.", int64(0)},
		{"L9223372036854775807L\n.", int64(math.MaxInt64)},
		{"L-9223372036854775808L\n.", int64(math.MinInt64)},
		{"L5\n.", int64(5)},
		{"J\xff\xff\xff\xff.", int64(-1)},
		{"\x8a\x00.", int64(0)},
		{"\x8a\x01\xff.", int64(-1)},
		{"\x8a\x02\xff\x00.", int64(255)},
		{"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", int64(math.MinInt64)},
		{"F-1.5e-07\n.", -1.5e-07},
		{"Finf\n.", math.Inf(1)},
		{"G\xbf\xf8\x00\x00\x00\x00\x00\x00.", -1.5},

		// Text.
		{"V\n.", ""},
		{"V\xe9 \\u20ac \\U0001f600 \\u005c\n.", "é € 😀 \\"},
		{"V\\x\\\\u0041\\\n.", `\x\\u0041\`},
		{"Va\\udc80\\udcff\n.", "a\x80\xff"},
		{"\x8d\x01\x00\x00\x00\x00\x00\x00\x00a.", "a"},
		{"X\x04\x00\x00\x00a\xed\xb2\x80.", "a\x80"},
		{"\x8c\x06\xed\xb3\x83\xed\xb2\xa9.", "é"}, // as os.fsencode gives

		// Bytes.
		{"\x8e\x01\x00\x00\x00\x00\x00\x00\x00a.", []byte("a")},
		{"c__builtin__\nbytes\n)R.", []byte{}},
		{"cbuiltins\nbytes\n(tR.", []byte{}},
		{"c_codecs\nencode\n(V\xe9a\nVlatin1\ntR.", []byte("\xe9a")},

		// Containers.
		{"(t.", pickle.Tuple{}},
		{"(NNNNt.", pickle.Tuple{nil, nil, nil, nil}},
		{"(l.", pickle.List{}},
		{"(NI1\nl.", pickle.List{nil, int64(1)}},
		{"]p0\nNaNa.", pickle.List{nil, nil}},
		{"(d.", pickle.Dict{}},
		{"(Va\nNd.", pickle.Dict{{"a", nil}}},
		{"}(Va\nNVb\nNu(Vc\nNVa\n\x88u.", pickle.Dict{{"a", true}, {"b", nil}, {"c", nil}}},

		// The memo; the fourth is a constant tuple that stands in a listing twice.
		{"Va\np7\ng7\n\x86.", pickle.Tuple{"a", "a"}},
		{"Va\nr\xff\xff\xff\xffj\xff\xff\xff\xff\x86.", pickle.Tuple{"a", "a"}},
		{"K\x01q\x05K\x02\x94h\x01h\x05\x86\x87.", pickle.Tuple{int64(1), int64(2), pickle.Tuple{int64(2), int64(1)}}},
		{"}(Va\n\x89\x85\x94Vb\nh\x00u.", pickle.Dict{{"a", pickle.Tuple{false}}, {"b", pickle.Tuple{false}}}},
		{"}\x94(Va\n]\x94(NNeu.", pickle.Dict{{"a", pickle.List{nil, nil}}}},

		// Enumerations and paths.
		{"cremofile.protocol\nReason\nK\x63\x85R.", pickle.Enum{Class: "Reason", Number: 99}},
		{"cbuiltins\ngetattr\n(cremofile.protocol\nResponse\nVNONE\ntR.", pickle.Enum{Class: "Response", Name: "NONE"}},
		{"cpathlib\nPosixPath\n)R.", pickle.Path(".")},
		{"cpathlib\nPosixPath\n(V/\nVa\nVb\ntR.", pickle.Path("/a/b")},
		{"cpathlib\nPosixPath\n(V/a\nVb\nV/c/\nV./d//e\ntR.", pickle.Path("/c/d/e")},
		{"cpathlib\nPosixPath\n(Va/.\nV\nV..\nVb\ntR.", pickle.Path("a/../b")},
		{"cpathlib\nPosixPath\n(V//a\ntR.", pickle.Path("/a")},
		{"cpathlib\nPosixPath\n(V/..\ntR.", pickle.Path("/..")},
		{"cpathlib\nPosixPath\n(V.\ntR.", pickle.Path(".")},
		{"\x8c\x0epathlib._local\x8c\x09PosixPath\x93\x8c\x01a\x85R.", pickle.Path("a")},
	}
	for _, test := range tests {
		got, err := pickle.Decode([]byte(test.in), pickle.Limits{})
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: got %#v, %v, want %#v", test.in, got, err, test.want)
		}
	}
}

func TestErrorSaysWhere(t *testing.T) {
	_, err := pickle.Decode([]byte("\x80\x04NNc"+strings.Repeat("x", 1000)+"\n\n."), pickle.Limits{})
	var e *pickle.Error
	if !errors.As(err, &e) || e.Offset != 4 {
		t.Fatalf("got %#v", err)
	}
	if len(err.Error()) > 200 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

func TestLimits(t *testing.T) {
	tests := []struct {
		in     string
		enough pickle.Limits
	}{
		{"\x80\x04N.", pickle.Limits{Size: 4}},
		{"\x80\x04N.", pickle.Limits{Ops: 3}},
		{"N\x85\x85.", pickle.Limits{Depth: 2}},
		{"]]a.", pickle.Limits{Depth: 2}},
		{"}Va\n)s.", pickle.Limits{Depth: 2}},
		{"N\x94\x85\x94.", pickle.Limits{Memo: 2}},
		{"Nq\x63\x85q\x62.", pickle.Limits{Memo: 2}},
		{"(NNNNt.", pickle.Limits{Stack: 5}},
		{"((tt.", pickle.Limits{Stack: 2}},

		// 14 opcodes, and 4 times a tuple of 4 values from the memo.
		{"((NNNNt\x94h\x00h\x00h\x00h\x00t.", pickle.Limits{Ops: 16}},
	}
	for _, test := range tests {
		if _, err := pickle.Decode([]byte(test.in), test.enough); err != nil {
			t.Errorf("%q with %+v: %v", test.in, test.enough, err)
		}
		short := test.enough
		for _, field := range []*int{&short.Size, &short.Depth, &short.Ops, &short.Memo, &short.Stack} {
			if *field > 0 {
				*field--
			}
		}
		if v, err := pickle.Decode([]byte(test.in), short); err == nil {
			t.Errorf("%q with %+v: got %v", test.in, short, v)
		}
	}
}
