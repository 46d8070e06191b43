package remofile2

import (
	"fmt"
	"testing"
)

// BenchmarkRequest encodes a request and decodes it.
func BenchmarkRequest(b *testing.B) {
	for name, r := range map[string]Request{
		"READ":  {ID: 300_000, Operation: OpRead, Handle: 7, Offset: 1 << 33, Length: 1 << 20},
		"WRITE": {ID: 300_000, Operation: OpWrite, Handle: 7, Offset: 1 << 33},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var header []byte
			for b.Loop() {
				header = AppendRequest(header[:0], &r)
				if _, err := DecodeRequest(header); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAnswer encodes an answer and decodes it: to READ and WRITE, whose headers
// are the same, and a listing of 1,000 entries.
func BenchmarkAnswer(b *testing.B) {
	page := Answer{ID: 300_000, Cursor: "file-000999.txt"}
	for i := range 1000 {
		page.Entries = append(page.Entries, Entry{fmt.Sprintf("file-%06d.txt", i), goldenAttr})
	}
	for _, test := range []struct {
		name string
		op   Operation
		a    Answer
	}{{"READ", OpRead, Answer{ID: 300_000}}, {"LIST", OpList, page}} {
		header := AppendAnswer(nil, test.op, &test.a)
		b.Run(test.name+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(header)))
			for b.Loop() {
				header = AppendAnswer(header[:0], test.op, &test.a)
			}
		})
		b.Run(test.name+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(header)))
			for b.Loop() {
				if _, err := DecodeAnswer(test.op, header); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
