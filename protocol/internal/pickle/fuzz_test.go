package pickle_test

import (
	"math"
	"reflect"
	"testing"
	"testing/quick"

	"github.com/remofile/remofile/protocol/internal/cost"
	"github.com/remofile/remofile/protocol/internal/pickle"
)

// Decode never panics, costs no more than its input allows, and a value that can be
// written survives that.
func FuzzDecode(f *testing.F) {
	for _, g := range golden(f) {
		f.Add(g.data)
	}
	f.Add([]byte(tupleGraph(20) + "."))
	f.Add([]byte("]\x94h\x00\x85a."))
	f.Add(appendValue(nil, pickle.Dict{{"\xff", pickle.Tuple{"é\x80", math.NaN(), int64(1) << 40}}}))
	f.Fuzz(func(t *testing.T, in []byte) {
		var v any
		var err error
		cost.Limit(t, 64<<10+256*uint64(len(in)), func() { v, err = pickle.Decode(in, pickle.Limits{}) })
		if err != nil {
			if _, ok := err.(*pickle.Error); !ok {
				t.Fatalf("error of type %T", err)
			}
			return
		}
		if !writable(v) {
			return
		}
		again, err := pickle.Decode(appendValue(nil, v), pickle.Limits{Ops: math.MaxInt})
		if err != nil || !same(v, again) {
			t.Fatalf("got %#v, again %#v, %v", v, again, err)
		}
	})
}

// Every Go string survives, whatever its bytes.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "a", "é", "\x80", "\xff\xfe", "\xc3", "\xed\xb2\x80", "\xe2\x82", "\xf0\x9f\x98"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !survives(s) {
			t.Errorf("%q changes", s)
		}
	})
}

func TestStringsSurvive(t *testing.T) {
	if err := quick.Check(func(b []byte) bool { return survives(string(b)) }, nil); err != nil {
		t.Error(err)
	}
	for a := range 256 {
		for b := range 256 {
			if s := string([]byte{0xed, byte(a), byte(b), 'x'}); !survives(s) {
				t.Errorf("%q changes", s)
			}
		}
	}
}

func survives(s string) bool {
	v, err := pickle.Decode(appendValue(nil, s), pickle.Limits{})
	return err == nil && v == any(s)
}

// same is reflect.DeepEqual, but a NaN equals itself.
func same(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	case pickle.Tuple:
		b, ok := b.(pickle.Tuple)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	case pickle.Dict:
		b, ok := b.(pickle.Dict)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if a[i].Key != b[i].Key || !same(a[i].Value, b[i].Value) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}
