package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// The link of BenchmarkLink.
const (
	linkDelay    = 20 * time.Millisecond // round trip
	linkRate     = 1e9                   // bits a second
	linkFileSize = 64 << 20
)

// BenchmarkLink has rmf transfer and list through a link of 20 ms round trip and 1 Gbit/s.
// x-link is how many times as long as the link itself a file takes: its bytes at the
// link's rate, and five round trips. TCP alone shows what of that is the proxy's.
func BenchmarkLink(b *testing.B) {
	b.Run("file/tcp", func(b *testing.B) {
		l := startSlowLink(b, startEcho(b), linkDelay, linkRate)
		content := random(linkFileSize)
		for b.Loop() {
			if err := echoed(l.address, content); err != nil {
				b.Fatal(err)
			}
		}
		reportLink(b, l)
	})
	b.Run("file/upload", func(b *testing.B) {
		p, l, local := startRmfOnLink(b)
		file, arrives := filepath.Join(local, "file"), filepath.Join(p.jail, "file")
		write(b, file, string(random(linkFileSize)))
		p.transferAgain(b, file, arrives, "upload", file)
		reportLink(b, l)
	})
	b.Run("file/download", func(b *testing.B) {
		p, l, local := startRmfOnLink(b)
		file, arrives := filepath.Join(p.jail, "file"), filepath.Join(local, "file")
		write(b, file, string(random(linkFileSize)))
		p.transferAgain(b, file, arrives, "download", "/file", local)
		reportLink(b, l)
	})
	b.Run("200 files/upload", func(b *testing.B) {
		p, _, local := startRmfOnLink(b)
		tree, arrives := filepath.Join(local, "tree"), filepath.Join(p.jail, "tree")
		makeFiles(b, tree, 20, 10, 4<<10)
		p.transferAgain(b, tree, arrives, "upload", "-r", tree)
	})
	b.Run("200 files/download", func(b *testing.B) {
		p, _, local := startRmfOnLink(b)
		tree, arrives := filepath.Join(p.jail, "tree"), filepath.Join(local, "tree")
		makeFiles(b, tree, 20, 10, 4<<10)
		p.transferAgain(b, tree, arrives, "download", "-r", "/tree", local)
	})
	for _, directories := range []int{20, 200} {
		b.Run(fmt.Sprintf("2000 files/list/%d directories", directories), func(b *testing.B) {
			p, _, _ := startRmfOnLink(b)
			makeFiles(b, p.jail, directories, 2000/directories, 0)
			for b.Loop() {
				measure(b, p.command("list", "-r"), p.server)
			}
		})
	}
}

// startRmfOnLink returns also the link between both sides, and a directory in memory.
func startRmfOnLink(b *testing.B) (*rmfProgram, *slowLink, string) {
	b.Helper()
	p := startRmf(b, true)
	l := startSlowLink(b, p.address, linkDelay, linkRate)
	p.connectTo(b, l.address)
	return p, l, memoryDir(b)
}

// transferAgain transfers source, which must arrive, again and again.
func (p *rmfProgram) transferAgain(b *testing.B, source, arrives string, args ...string) {
	b.Helper()
	for b.Loop() {
		measure(b, p.command(args...), p.server)
		b.StopTimer()
		run(b, "diff", "-r", source, arrives)
		mustRemove(b, arrives)
		b.StartTimer()
	}
}

// reportLink reports x-link of a file.
func reportLink(b *testing.B, l *slowLink) {
	const roundTrips = 5
	own := l.ownTime(linkFileSize, roundTrips)
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/own.Seconds(), "x-link")
}

// echoed sends bytes to a server that sends them back, and waits for all of them.
func echoed(address string, content []byte) error {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer nc.Close()
	sent := make(chan error, 1)
	go func() { // ends with the connection
		_, err := nc.Write(content)
		sent <- err
	}()
	_, received := io.CopyN(io.Discard, nc, int64(len(content)))
	nc.Close()
	return errors.Join(<-sent, received)
}
