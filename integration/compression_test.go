package integration

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// TestUploadsAreCompressed where the link is slow and the file shrinks: it counts the bytes on the
// wire, in a bubble's time.
func TestUploadsAreCompressed(t *testing.T) {
	const size = 4 << 20
	const slow, fast = 100e6 / 8, 10e9 / 8 // bytes a second
	for _, test := range []struct {
		name        string
		content     []byte
		rate        float64
		least, most int64 // bytes on the wire
	}{
		{"logs on a slow link", logs(size), slow, size / 20, size / 2},
		{"logs on a fast link", logs(size), fast, size, size + size/50},
		{"noise on a slow link", random(size), slow, size, size + size/50},
	} {
		synctest.Test(t, func(t *testing.T) {
			jail := t.TempDir()
			s, err := server.New(server.Options{Jail: jail, Token: token})
			if err != nil {
				t.Fatal(err)
			}
			link := &timedLink{rate: test.rate, accepted: make(chan net.Conn), closed: make(chan struct{})}
			var serving sync.WaitGroup
			serving.Go(func() { s.Serve(link) }) // ends with the server
			ctx := context.Background()
			c, err := remote.Dial(ctx, remote.Options{Address: "link:1", Token: token, Plain: true, Dial: link.dial, Timeout: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Upload(ctx, "/f", bytes.NewReader(test.content), size, remote.TransferOptions{}); err != nil {
				t.Error(err)
			}
			c.Close()
			s.Close()
			serving.Wait()
			if stored, err := os.ReadFile(filepath.Join(jail, "f")); err != nil || !bytes.Equal(stored, test.content) {
				t.Errorf("%s: other bytes arrive, error %v", test.name, err)
			}
			if n := link.written.Load(); n < test.least || n > test.most {
				t.Errorf("%s: %d bytes on the wire, want %d to %d", test.name, n, test.least, test.most)
			}
		})
	}
}

// timedLink is a listener and its dialer in one process. What clients write takes its time,
// and is counted; the server's answers take none: in a bubble nobody may wait for a lock
// whose holder sleeps.
type timedLink struct {
	rate     float64 // bytes a second
	written  atomic.Int64
	accepted chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

func (l *timedLink) dial(ctx context.Context, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.accepted <- newTimed(server, func(int) {}):
		return newTimed(client, func(n int) {
			l.written.Add(int64(n))
			time.Sleep(time.Duration(float64(n) / l.rate * float64(time.Second)))
		}), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener.
func (l *timedLink) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *timedLink) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *timedLink) Addr() net.Addr { return &net.TCPAddr{} }

// timed is an end of a timedLink. A goroutine, which ends when it is closed, writes what the
// other end does not yet read, as the greetings of ZMTP need it.
type timed struct {
	net.Conn
	take   func(n int) // so many bytes are written
	queue  chan []byte
	once   sync.Once
	closed chan struct{}
}

func newTimed(c net.Conn, take func(n int)) *timed {
	e := &timed{Conn: c, take: take, queue: make(chan []byte, 1024), closed: make(chan struct{})}
	go e.send()
	return e
}

func (e *timed) send() {
	for {
		select {
		case p := <-e.queue:
			e.Conn.Write(p)
		case <-e.closed:
			return
		}
	}
}

// Write implements net.Conn.
func (e *timed) Write(p []byte) (int, error) {
	e.take(len(p))
	select {
	case e.queue <- bytes.Clone(p):
		return len(p), nil
	case <-e.closed:
		return 0, net.ErrClosed
	}
}

// RemoteAddr implements net.Conn.
func (e *timed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }

// Close implements net.Conn.
func (e *timed) Close() error {
	e.once.Do(func() { close(e.closed) })
	return e.Conn.Close()
}
