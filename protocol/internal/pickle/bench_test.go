package pickle_test

import (
	"fmt"
	"testing"

	"github.com/remofile/remofile/protocol/internal/pickle"
)

const chunkSize = 8192

func BenchmarkDecodeChunk(b *testing.B) {
	benchmarkDecode(b, appendValue(nil, pickle.Tuple{int64(5), make([]byte, chunkSize)}))
}

func BenchmarkDecodeReceive(b *testing.B) {
	benchmarkDecode(b, appendValue(nil, pickle.Tuple{int64(7)}))
}

// The same request with an enumeration, as CPython 3.11 writes it.
func BenchmarkDecodePythonReceive(b *testing.B) {
	for _, g := range golden(b) {
		if g.name == "proto4/receive" {
			benchmarkDecode(b, g.data)
			return
		}
	}
	b.Fatal("not in the golden file")
}

func BenchmarkDecodeListing(b *testing.B) {
	benchmarkDecode(b, listing(nil, false))
}

// A listing with every name and every tuple in the memo, as CPython writes it.
func BenchmarkDecodePythonListing(b *testing.B) {
	benchmarkDecode(b, listing(nil, true))
}

func benchmarkDecode(b *testing.B, in []byte) {
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pickle.Decode(in, pickle.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// The header of a chunk alone: its bytes are put behind it by the caller.
func BenchmarkEncodeChunk(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 64)
	for b.Loop() {
		out := pickle.AppendInt(pickle.AppendStart(buf), 5)
		out = pickle.AppendBytesHeader(out, chunkSize)
		pickle.AppendStop(pickle.AppendTuple(out, 2))
	}
}

func BenchmarkEncodeListing(b *testing.B) {
	buf := listing(nil, false)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = listing(buf[:0], false)
	}
}

var listingNames = func() []string {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("some-file-%05d.txt", i)
	}
	return names
}()

// listing appends the pickle of an answer with 10,000 files.
func listing(dst []byte, memoize bool) []byte {
	memo := func() {
		if memoize {
			dst = append(dst, 0x94)
		}
	}
	dst = pickle.AppendInt(pickle.AppendInt(pickle.AppendStart(dst), 1), 1)
	dst = pickle.AppendEmptyDict(dst)
	memo()
	for group := listingNames; len(group) > 0; group = group[1000:] {
		dst = pickle.AppendMark(dst)
		for i, name := range group[:1000] {
			dst = pickle.AppendString(dst, name)
			memo()
			dst = pickle.AppendBool(dst, i%16 == 0)
			dst = pickle.AppendInt(dst, int64(i)*1000)
			dst = pickle.AppendFloat(dst, 1.7e9+float64(i)/64)
			dst = pickle.AppendTuple(dst, 3)
			memo()
		}
		dst = pickle.AppendSetItems(dst)
	}
	return pickle.AppendStop(pickle.AppendTuple(dst, 3))
}
