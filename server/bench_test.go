package server

import (
	"fmt"
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
