package pickle_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol/internal/pickle"
)

// goldenPickle is a pickle that CPython wrote.
type goldenPickle struct {
	name string
	data []byte
	repr string // of the value; empty if unknown
	cut  bool   // repr is only the beginning
}

// golden returns the pickles that were captured from the Python Remofile, and
// those that various versions of CPython wrote of the same messages.
func golden(tb testing.TB) []goldenPickle {
	tb.Helper()
	text, err := os.ReadFile("../../testdata/python-remofile.json")
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Exchanges []struct {
			Name         string
			Request      string
			RequestRepr  string `json:"request_repr"`
			Response     string
			ResponseRepr string `json:"response_repr"`
		}
		PickleProtocols []struct{ Name, Hex, Repr string } `json:"pickle_protocols"`
		OtherPythons    []struct{ Name, Hex string }       `json:"other_pythons"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		tb.Fatal(err)
	}
	var pickles []goldenPickle
	add := func(name, digits, repr string, longest int) {
		data, err := hex.DecodeString(digits)
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		pickles = append(pickles, goldenPickle{name, data, repr, len([]rune(repr)) == longest})
	}
	for _, e := range file.Exchanges {
		add(e.Name+" request", e.Request, e.RequestRepr, 300)
		add(e.Name+" response", e.Response, e.ResponseRepr, 300)
	}
	for _, p := range file.PickleProtocols {
		add(p.Name, p.Hex, p.Repr, 200)
	}
	for _, p := range file.OtherPythons {
		add(p.Name, p.Hex, "", 0)
	}
	if len(pickles) < 300 {
		tb.Fatalf("only %d pickles", len(pickles))
	}
	return pickles
}

func TestGoldenValues(t *testing.T) {
	for _, g := range golden(t) {
		v, err := pickle.Decode(g.data, pickle.Limits{})
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		if g.repr == "" {
			continue // see TestOtherPythons
		}
		got, want := pyRepr(v), strings.ReplaceAll(g.repr, "PurePosixPath(", "PosixPath(")
		if got != want && !(g.cut && strings.HasPrefix(got, want)) {
			t.Errorf("%s:\n got %.400s\nwant %s", g.name, got, want)
		}
	}
}

// The same message is the same value in all protocols, but for the two forms of
// an enumeration, of which one CPython writes one.
func TestGoldenProtocolsAgree(t *testing.T) {
	first := make(map[string]any)
	count := 0
	for _, g := range golden(t) {
		protocol, message, ok := strings.Cut(g.name, "/")
		if !ok || !strings.HasPrefix(protocol, "proto") {
			continue
		}
		count++
		v, err := pickle.Decode(g.data, pickle.Limits{})
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		if want, ok := first[message]; !ok {
			first[message] = v
		} else if !reflect.DeepEqual(v, want) {
			t.Errorf("%s: got %v, want %v", g.name, v, want)
		}
	}
	if count != 6*len(first) {
		t.Errorf("%d pickles of %d messages in 6 protocols", count, len(first))
	}
}

func TestOtherPythons(t *testing.T) {
	request := func(number int64) pickle.Enum { return pickle.Enum{Class: "Request", Number: number} }
	want := map[string]any{
		"list":                 pickle.Tuple{request(1), "/foo"},
		"create purepath":      pickle.Tuple{request(2), "qaz.bin", pickle.Path("/foo/bar")},
		"create posixpath":     pickle.Tuple{request(2), "qaz.bin", pickle.Path("/foo/../bar")},
		"create purepath root": pickle.Tuple{request(2), "q", pickle.Path("/")},
		"create joined path":   pickle.Tuple{request(2), "q", pickle.Path("/a/b")},
		"receive":              pickle.Tuple{request(7)},
		"resp": pickle.Tuple{
			pickle.Enum{Class: "Response", Number: 1},
			pickle.Enum{Class: "Reason", Number: 1},
			pickle.Dict{{Key: "a", Value: pickle.Tuple{false, int64(1), 2.5}}},
		},
	}
	for _, g := range golden(t) {
		version, message, _ := strings.Cut(g.name, "/")
		if !strings.HasPrefix(version, "py") {
			continue
		}
		expected, ok := want[message]
		if !ok {
			t.Errorf("%s: no expectation", g.name)
			continue
		}
		got, err := pickle.Decode(g.data, pickle.Limits{})
		if err != nil || !reflect.DeepEqual(got, expected) {
			t.Errorf("%s: got %v, %v, want %v", g.name, got, err, expected)
		}
	}
}

// A chunk is read where it lies, and can't be appended to over its end.
func TestBytesAreNotCopied(t *testing.T) {
	in := appendValue(nil, pickle.Tuple{int64(5), []byte("chunk"), []byte{}})
	v, err := pickle.Decode(in, pickle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	chunk := v.(pickle.Tuple)[1].([]byte)
	at := bytes.Index(in, []byte("chunk"))
	if &chunk[0] != &in[at] || cap(chunk) != len(chunk) {
		t.Errorf("not the bytes of the input, or with capacity %d for %d", cap(chunk), len(chunk))
	}
	if empty := v.(pickle.Tuple)[2].([]byte); empty == nil {
		t.Error("empty bytes are nil")
	}
}

func TestGoldenPrefixesFail(t *testing.T) {
	for _, g := range golden(t) {
		for n := range g.data {
			if v, err := pickle.Decode(g.data[:n:n], pickle.Limits{}); err == nil {
				t.Errorf("%s: first %d bytes of %d: got %v", g.name, n, len(g.data), v)
			}
		}
	}
}

// Whatever byte changes, decoding ends, without a panic.
func TestGoldenMutations(t *testing.T) {
	for i, g := range golden(t) {
		if i%20 != 0 || len(g.data) > 400 {
			continue
		}
		data := bytes.Clone(g.data)
		for at := range data {
			for b := range math.MaxUint8 + 1 {
				data[at] = byte(b)
				pickle.Decode(data, pickle.Limits{})
			}
			data[at] = g.data[at]
		}
	}
}
