package integration

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The link of BenchmarkCompression.
const (
	thinDelay = 20 * time.Millisecond // round trip
	thinRate  = 100e6                 // bits a second
)

// thinFileSize is how large its file is.
func thinFileSize() int {
	if os.Getenv("REMOFILE_TEST_FULL") == "1" {
		return 1 << 30
	}
	return 16 << 20
}

// BenchmarkCompression has rmf transfer logs and random bytes through a link of 20 ms round
// trip and 100 Mbit/s, in turns with and without compression. x-time is how many times as fast
// it makes the transfer, x-cpu how many times the CPU time of both processes it takes.
func BenchmarkCompression(b *testing.B) {
	for _, content := range []struct {
		name string
		make func(n int) []byte
	}{{"logs", logs}, {"random", random}} {
		file := filepath.Join(memoryDir(b), "file")
		write(b, file, string(content.make(thinFileSize())))
		for _, way := range []string{"upload", "download"} {
			b.Run(content.name+"/"+way, func(b *testing.B) {
				var on, off cost
				for b.Loop() {
					on.add(thinTransfer(b, way, file, true))
					off.add(thinTransfer(b, way, file, false))
				}
				b.ReportMetric(off.elapsed.Seconds()/on.elapsed.Seconds(), "x-time")
				b.ReportMetric(on.cpu.Seconds()/off.cpu.Seconds(), "x-cpu")
				b.ReportMetric(on.elapsed.Seconds()/float64(b.N), "s/op")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func (c *cost) add(other cost) {
	c.elapsed += other.elapsed
	c.cpu += other.cpu
}

// thinTransfer transfers a file between a client and a server of their own. Where they are not
// to compress, the link changes the name of that feature as the client tells it.
func thinTransfer(b *testing.B, way, file string, compress bool) cost {
	b.Helper()
	p := startRmf(b, false)
	l := startSlowLink(b, p.address, thinDelay, thinRate)
	if !compress {
		l.up.replace = [2][]byte{[]byte("zstd"), []byte("none")}
	}
	p.connectTo(b, l.address)
	arrives := filepath.Join(p.jail, "file")
	if way == "upload" {
		c := measure(b, p.command("upload", file), p.server)
		run(b, "cmp", file, arrives)
		return c
	}
	run(b, "cp", file, arrives)
	local := memoryDir(b)
	c := measure(b, p.command("download", "/file", local), p.server)
	run(b, "cmp", filepath.Join(local, "file"), arrives)
	return c
}

// logs returns n bytes that look like a server's log.
func logs(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "2026-11-28T01:%02d:%02d.%03dZ INFO request op=READ id=%d len=262144 dur=%dus\n",
			random.IntN(60), random.IntN(60), random.IntN(1000), b.Len(), random.IntN(100000))
	}
	return b.Bytes()[:n]
}
