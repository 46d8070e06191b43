package integration

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// garbler changes some of what is read from a connection, after as many bytes as the
// handshake has.
type garbler struct {
	net.Conn
	rand  *rand.Rand // the reader's
	intro int
}

// Read implements net.Conn.
func (g *garbler) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	for i := range p[:n] {
		if g.intro--; g.intro < 0 && g.rand.IntN(3000) == 0 {
			p[i] ^= 1 << g.rand.IntN(8)
		}
	}
	return n, err
}

// TestGarbledAnswers has clients whose servers' bytes are changed at random, without
// encryption, which would notice it at once. What they are told may be wrong, and an answer
// to nobody's request leaves a call waiting, but not longer than its context lasts, and
// nothing of it stays. REMOFILE_TEST_SEED repeats the changes.
func TestGarbledAnswers(t *testing.T) {
	seed := testSeed(t)
	before := restingUsage(t)
	address, stop := serve(t, server.Options{Jail: t.TempDir(), Grace: time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i := range uint64(8) {
		all.Go(func() {
			var links uint64
			var mu sync.Mutex // guards links
			o := remote.Options{Address: address, Token: token, Plain: true, ChunkSize: 512, Timeout: 200 * time.Millisecond}
			o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
				if err != nil {
					return nil, err
				}
				mu.Lock()
				links++
				g := &garbler{Conn: nc, rand: rand.New(rand.NewPCG(seed+i, links)), intro: 200}
				mu.Unlock()
				return g, nil
			}
			useGarbled(ctx, o, fmt.Sprintf("/%d", i))
		})
	}
	ended := make(chan struct{})
	go func() {
		all.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(2 * patience):
		t.Fatal("not all calls have come to their end")
	}
	stop()
	mustSettle(t, before)
}

// useGarbled does what a client can do. None of it has to succeed.
func useGarbled(ctx context.Context, o remote.Options, dir string) {
	c, err := remote.Dial(ctx, o)
	if err != nil {
		return
	}
	defer c.Close()
	content := bytes.Repeat([]byte("garbled "), 1000)
	c.MakeDirectory(ctx, dir)
	c.Upload(ctx, dir+"/file", bytes.NewReader(content), int64(len(content)), remote.TransferOptions{Replace: true})
	var got bytes.Buffer
	c.Download(ctx, dir+"/file", &got, remote.TransferOptions{})
	c.List(ctx, dir)
	c.Stat(ctx, dir+"/file")
	c.Rename(ctx, dir+"/file", dir+"/renamed", remote.RenameReplace)
	burst(ctx, c, dir)
	c.Status(ctx)
	c.RemoveAll(ctx, dir)
}
