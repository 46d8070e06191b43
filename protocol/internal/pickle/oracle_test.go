package pickle_test

import (
	"bytes"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	ogorek "github.com/kisielk/og-rek"

	"github.com/remofile/remofile/protocol/internal/pickle"
)

// og-rek is an independent pickle library. It is fit for trusted input only.

func TestDecodeAgreesWithOgorek(t *testing.T) {
	for _, g := range golden(t) {
		got, err := pickle.Decode(g.data, pickle.Limits{})
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		if want := ogorekDecode(t, g.data); !reflect.DeepEqual(sorted(got), want) {
			t.Errorf("%s:\n got %v\nwant %v", g.name, got, want)
		}
	}
}

func TestOgorekReadsWhatWeWrite(t *testing.T) {
	values := []any{
		nil, true, false, "", "a", "é€😀", strings.Repeat("x", 255), strings.Repeat("x", 256),
		[]byte{}, []byte("\x00\xff"), make([]byte, 255), make([]byte, 256), make([]byte, 1<<16),
		0.0, -1.5, math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64,
		pickle.Tuple{}, pickle.Dict{},
		pickle.Tuple{int64(1)}, pickle.Tuple{int64(1), "b"}, pickle.Tuple{int64(1), "b", nil},
		pickle.Tuple{int64(1), "b", nil, true}, pickle.Tuple{pickle.Tuple{pickle.Tuple{}}},
		pickle.Dict{{"a", pickle.Tuple{false, int64(1), 2.5}}, {"b", pickle.Dict{{"c", nil}}}},
	}
	for _, v := range interestingInts() {
		values = append(values, v)
	}
	for _, v := range values {
		if got := ogorekDecode(t, appendValue(nil, v)); !reflect.DeepEqual(got, v) {
			t.Errorf("wrote %v, og-rek reads %v", v, got)
		}
	}
}

// ogorekDecode returns what og-rek reads as a value of this package, the keys of
// dicts in order.
func ogorekDecode(t *testing.T, data []byte) any {
	t.Helper()
	config := &ogorek.DecoderConfig{StrictUnicode: true, PyDict: true}
	v, err := ogorek.NewDecoderWithConfig(bytes.NewReader(data), config).Decode()
	if err != nil {
		t.Fatal(err)
	}
	return fromOgorek(t, v)
}

func fromOgorek(t *testing.T, v any) any {
	switch v := v.(type) {
	case ogorek.None:
		return nil
	case bool, int64, float64, string:
		return v
	case *big.Int:
		return v.Int64()
	case ogorek.Bytes:
		return []byte(v)
	case ogorek.Tuple:
		tuple := pickle.Tuple{}
		for _, e := range v {
			tuple = append(tuple, fromOgorek(t, e))
		}
		return tuple
	case []any:
		list := pickle.List{}
		for _, e := range v {
			list = append(list, fromOgorek(t, e))
		}
		return list
	case ogorek.Dict:
		dict := pickle.Dict{}
		v.Iter()(func(key, value any) bool {
			dict = append(dict, pickle.Item{Key: key.(string), Value: fromOgorek(t, value)})
			return true
		})
		return sorted(dict)
	case ogorek.Call:
		return fromCall(t, v)
	}
	t.Fatalf("og-rek gives a %T", v)
	return nil
}

func fromCall(t *testing.T, call ogorek.Call) any {
	switch call.Callable.Name {
	case "getattr":
		class := call.Args[0].(ogorek.Class)
		return pickle.Enum{Class: class.Name, Name: call.Args[1].(string)}
	case "Request", "Response", "Reason":
		return pickle.Enum{Class: call.Callable.Name, Number: call.Args[0].(int64)}
	case "PurePosixPath", "PosixPath":
		var parts []string
		for _, part := range call.Args {
			parts = append(parts, part.(string))
		}
		joined := strings.Join(parts, "/")
		return pickle.Path("/" + strings.TrimLeft(joined, "/")) // all golden paths are absolute
	}
	t.Fatalf("og-rek gives a call of %v", call.Callable)
	return nil
}

// sorted puts the keys of the dicts in v into order; v itself changes.
func sorted(v any) any {
	switch v := v.(type) {
	case pickle.Tuple:
		for _, e := range v {
			sorted(e)
		}
	case pickle.Dict:
		slices.SortFunc(v, func(a, b pickle.Item) int { return strings.Compare(a.Key, b.Key) })
	}
	return v
}
