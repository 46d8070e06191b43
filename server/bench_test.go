package server

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// BenchmarkSmallFile2 does what a mount does for a program that makes a file, writes 4 KiB, looks at it and removes it,
// each burst when the one before is answered. The time of the processor is that of both sides, which share the
// processors of one runtime here: zmtp.Processors tells why two processes wait for one another in another way.
func BenchmarkSmallFile2(b *testing.B) {
	s := serve(b, Options{})
	s.mkdir("dir")
	c := s.dial2()
	content := pattern(4 << 10)
	b.ReportAllocs()
	before := processorTime(b)
	n := Handle(0)
	for b.Loop() {
		n++
		c.want(CodeNotFound, pathRequest(OpStat, "/dir/file"))
		c.want(CodeDone, stageRequest(n, "/dir/file", StageReserve))
		c.send(writeRequest(n, 0), content...)
		c.send(commitRequest(n, 0))
		c.receiveAll()
		c.send(closeRequest(n))
		c.receiveAll()
		c.want(CodeDone, removeRequest("/dir/file", 0))
	}
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(n), "cpu-ns/op")
}

// processorTime returns what this process has taken.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
