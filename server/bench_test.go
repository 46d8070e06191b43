package server

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// BenchmarkTransfer2 reads and writes a file in Remofile 2, 8 requests at a time, without
// encryption.
func BenchmarkTransfer2(b *testing.B) {
	for _, op := range []Operation{OpRead, OpWrite} {
		for _, size := range []int{4 << 10, 128 << 10, MaxPayload} {
			b.Run(fmt.Sprintf("%s/%d", op, size), func(b *testing.B) {
				s := serve(b, Options{})
				s.write("f", string(pattern(MaxPayload)))
				c := s.dial2()
				c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite))
				content := pattern(size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					c.id++
					r := Request{ID: c.id, Operation: op, Handle: 1, Length: int64(size)}
					frames := [][]byte{AppendRequest(nil, &r)}
					if op == OpWrite {
						frames = append(frames, content)
					}
					if err := c.conn.WriteMessage(frames...); err != nil {
						b.Fatal(err)
					}
					if n < 8 {
						continue
					}
					if _, err := c.conn.ReadMessage(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkList lists a directory of 20,000 entries in pages, with REMOFILE_TEST_FULL=1 one of
// 1,000,000.
func BenchmarkList(b *testing.B) {
	s := serve(b, Options{})
	s.makeFiles(entriesToList())
	c := s.dial2()
	for b.Loop() {
		r := Request{Operation: OpList, Path: "/", Length: math.MaxInt64}
		entries := 0
		for more := true; more; more = r.Cursor != "" {
			page := c.want(CodeDone, r)
			entries += len(page.Entries)
			r.Cursor = page.Cursor
		}
		if entries != entriesToList() {
			b.Fatalf("%d entries", entries)
		}
	}
}

func entriesToList() int {
	if os.Getenv("REMOFILE_TEST_FULL") == "1" {
		return 1_000_000
	}
	return 20_000
}

// makeFiles makes so many entries of the jail. Links are made faster than files.
func (s *served) makeFiles(n int) {
	s.t.Helper()
	for i := range n {
		first := filepath.Join(s.jail, fmt.Sprint("f", i-i%10_000))
		var err error
		if i%10_000 == 0 {
			err = os.WriteFile(first, nil, 0o644)
		} else {
			err = os.Link(first, filepath.Join(s.jail, fmt.Sprint("f", i)))
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}
