package server

import (
	"fmt"
	"testing"
	"path/filepath"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/remofile/remofile/protocol"
)

func BenchmarkTransfer(b *testing.B) {
	for _, chunk := range []int{8192, 1 << 20} {
		s := serve(b, Options{MaxChunkSize: 1 << 20})
		c := s.dial()
		const size = 256 << 20
		data := pattern(chunk)
		b.Run(fmt.Sprintf("up%d", chunk), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			var enc []byte
			for range b.N {
				c.want(protocol.TransferAccepted, protocol.Request{Type: protocol.UploadFile, Name: "f", Directory: "/", Size: size, ChunkSize: int64(chunk), Replace: true})
				for range size / chunk {
					enc = protocol.AppendRequest(enc[:0], &protocol.Request{Type: protocol.SendChunk, Data: data})
					if err := c.conn.WriteMessage(nil, enc); err != nil { b.Fatal(err) }
					f, err := c.conn.ReadMessage()
					if err != nil { b.Fatal(err) }
					r, err := protocol.DecodeResponse(f[1])
					if err != nil || r.Type != protocol.Accepted { b.Fatal(err, r) }
				}
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "MiBsys")
			st, _ := os.ReadFile("/proc/self/status")
			for _, l := range strings.Split(string(st), "\n") { if strings.HasPrefix(l, "VmHWM") { n, _ := strconv.Atoi(strings.Fields(l)[1]); b.ReportMetric(float64(n)/1024, "MiBpeak") } }
		})
		b.Run(fmt.Sprintf("down%d", chunk), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			req := protocol.AppendRequest(nil, &protocol.Request{Type: protocol.ReceiveChunk})
			for range b.N {
				c.want(protocol.TransferAccepted, protocol.Request{Type: protocol.DownloadFile, Name: "f", Directory: "/", ChunkSize: int64(chunk)})
				for range size / chunk {
					if err := c.conn.WriteMessage(nil, req); err != nil { b.Fatal(err) }
					f, err := c.conn.ReadMessage()
					if err != nil { b.Fatal(err) }
					r, err := protocol.DecodeResponse(f[1])
					if err != nil || r.Type != protocol.Accepted { b.Fatal(err, r) }
				}
			}
		})
	}
}

func BenchmarkList(b *testing.B) {
	s := serve(b, Options{})
	s.mkdir("big")
	for i := range 50000 { s.write(filepath.Join("big", fmt.Sprint("file-", i)), "") }
	c := s.dial()
	b.ResetTimer()
	b.ReportAllocs()
	for range b.N {
		t := time.Now()
		c.conn.WriteMessage(nil, protocol.AppendRequest(nil, &protocol.Request{Type: protocol.ListFiles, Directory: "/big"}))
		c.conn.ReadMessage()
		b.ReportMetric(float64(time.Since(t).Microseconds())/50000, "µs/entry")
	}
}

func BenchmarkSmall(b *testing.B) {
	s := serve(b, Options{})
	c := s.dial()
	for i := range b.N { c.upload("/", fmt.Sprint("f", i), []byte("hello"), 512, false) }
}
