package remofile2

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const rounds = 100 // random messages of each operation

// TestRandomRequests holds that every request in the ranges of the CDDL comes through.
func TestRandomRequests(t *testing.T) {
	r := random{rand.New(rand.NewPCG(1, 2))}
	for op := OpAttach; int(op) < len(operations); op++ {
		for range rounds {
			want := r.request(op)
			b := AppendRequest(nil, &want)
			got, err := DecodeRequest(b)
			if err != nil {
				t.Fatalf("%+v: %v", want, err)
			}
			checkFields(t, got, want)
			if again := AppendRequest(nil, &got); !bytes.Equal(again, b) {
				t.Fatalf("%+v: encoded again % x, not % x", want, again, b)
			}
		}
	}
}

// TestRandomAnswers holds the same of answers.
func TestRandomAnswers(t *testing.T) {
	r := random{rand.New(rand.NewPCG(3, 4))}
	for op := OpAttach; int(op) < len(operations); op++ {
		for range rounds {
			want := r.answer()
			b := AppendAnswer(nil, op, &want)
			got, err := DecodeAnswer(op, b)
			if err != nil {
				t.Fatalf("%v: %+v: %v", op, want, err)
			}
			checkFields(t, got, want)
			if again := AppendAnswer(nil, op, &got); !bytes.Equal(again, b) {
				t.Fatalf("%v: %+v: encoded again % x, not % x", op, want, again, b)
			}
		}
	}
}

// checkFields checks that each field is as it was, or is not of that operation.
func checkFields(t *testing.T, got, want any) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		if name := g.Type().Field(i).Name; !g.Field(i).IsZero() && !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) && name != "Space" {
			t.Errorf("%s is %v, not %v", name, g.Field(i), w.Field(i))
		}
	}
}

// random makes values in the ranges of the CDDL, small and large ones.
type random struct{ *rand.Rand }

func (r random) request(op Operation) Request {
	length := r.length() / 2
	q := Request{
		ID: 1 + r.Uint64N(MaxID), Operation: op, Handle: Handle(r.Uint32()), ToHandle: Handle(r.Uint32()),
		Path: r.path(), ToPath: r.path(), Target: r.bytes(1, MaxTarget), Offset: r.length() / 2, ToOffset: r.length() / 2, Length: length,
		Block: 1 + length, Exponent: uint8(MinExponent + r.IntN(MaxExponent-MinExponent+1)), Flags: Flags(r.Uint32()) & op.spec().flags, Mode: r.mode(),
		Part: r.bytes(0, MaxPart), Cursor: r.bytes(1, MaxName), Session: r.bytes(16, 16), Secret: r.bytes(32, 32),
		Features: slices.Repeat([]string{"naïve"}, 1+r.IntN(MaxFeatures)), Cancel: 1 + r.Uint64N(MaxID),
	}
	if r.coin() {
		q.Changes.Size, q.Changes.Modified = new(r.length()), new(r.time())
	}
	if r.coin() {
		q.Changes.Mode, q.Changes.Accessed = new(r.mode()), new(r.time())
	}
	if argument := op.spec().arguments; r.coin() && len(argument) > 0 && argument[0].text == "file" {
		q.Path = ""
	}
	return q
}

func (r random) answer() Answer {
	a := Answer{
		ID: 1 + r.Uint64N(MaxID), Attr: r.attr(), Offset: r.length(), Length: r.length(),
		Cursor: r.bytes(1, MaxName), Target: r.bytes(1, MaxTarget), Removed: r.uint(), Session: r.bytes(16, 16), Secret: r.bytes(32, 32),
		Space:   Space{Total: r.length(), Free: r.length(), Available: r.length(), Files: r.uint(), FreeFiles: r.uint()},
		Resumed: r.coin(),
		Info: Info{Version: "1.é", Protocol: r.uint(), Features: []string{"zstd"}, ReadOnly: r.coin(), Exclusive: r.coin(), PortableNames: r.coin(),
			FileSizeLimit: r.uint(), Requests: r.uint(), Bytes: r.uint(), Payload: r.uint(), Handles: r.uint(), Watches: r.uint(), Grace: r.uint()},
		Status: Status{Started: r.time(), Sessions: []Peer{{"x", r.time(), r.uint(), r.uint(), r.uint()}}, Holder: "y", Staged: r.uint()},
	}
	if r.IntN(10) == 0 {
		a.Code, a.Message = Code(1+r.IntN(1<<16-1)), strings.Repeat("é", r.IntN(100))
	}
	for range r.IntN(20) {
		a.Entries = append(a.Entries, Entry{r.bytes(1, MaxName), r.attr()})
	}
	return a
}

func (r random) attr() Attr {
	return Attr{Kind(r.IntN(7)), r.mode(), r.length(), r.time(), r.time(), r.time(), r.uint(), r.uint(), r.uint()}
}

func (r random) coin() bool    { return r.IntN(2) == 0 }
func (r random) uint() uint64  { return r.Uint64() >> r.IntN(64) }
func (r random) length() int64 { return r.Int64() >> r.IntN(63) }
func (r random) time() Time    { return Time(r.Uint64()) >> r.IntN(64) }
func (r random) mode() uint16  { return uint16(r.IntN(maxMode + 1)) }

// bytes returns least to most bytes that are a name, too.
func (r random) bytes(least, most int) string {
	b := make([]byte, least+r.IntN(most-least+1))
	for i := range b {
		b[i] = byte('0' + r.IntN(256-'0'))
	}
	return string(b)
}

func (r random) path() string {
	if r.IntN(10) == 0 {
		return "/"
	}
	p := ""
	for range 1 + r.IntN(20) {
		p += "/" + r.bytes(1, MaxName)
	}
	return p
}
