package remote

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

// fake is a server whose answers a test writes. It runs in memory, so that it
// can live in a bubble of testing/synctest.
type fake struct {
	version int // its X-Remofile
	admit   func(net.Addr) error
	serve   func(conn *zmtp.Conn, session int) // answers one session, which are counted from 1

	mu       sync.Mutex
	sessions int // guarded by mu
	running  sync.WaitGroup
}

// client dials the fake; both end with the test.
func (f *fake) client(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := Dial(t.Context(), f.options(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		f.running.Wait()
	})
	return c
}

func (f *fake) options(o Options) Options {
	o.Address, o.Token, o.Dial = "fake:1", "secret", f.dial
	return o
}

func (f *fake) dial(context.Context, string) (net.Conn, error) {
	ours, theirs := bufferedPipe()
	f.mu.Lock()
	f.sessions++
	n := f.sessions
	f.mu.Unlock()
	f.serveOn(theirs, n)
	return ours, nil
}

// tapped is options with the server's end of the first session sent to link, for
// bytes that are no messages.
func (f *fake) tapped(o Options, link chan<- net.Conn) Options {
	o = f.options(o)
	o.Plain = true
	o.Dial = func(context.Context, string) (net.Conn, error) {
		ours, theirs := bufferedPipe()
		link <- theirs
		f.serveOn(theirs, 1)
		return ours, nil
	}
	return o
}

// serveOn serves one connection, until serve returns.
func (f *fake) serveOn(theirs net.Conn, n int) {
	f.running.Go(func() {
		key, err := zmtp.TokenKey("secret")
		if err != nil {
			panic(err)
		}
		conn, err := zmtp.Server(theirs, &zmtp.Config{
			Token: "secret", Key: key, Plain: true, Version: f.version, MaxMessage: 1 << 20, Admit: f.admit,
		})
		if err != nil {
			return
		}
		defer conn.Close()
		f.serve(conn, n)
	})
}

func (f *fake) opened() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sessions
}

// receive returns the next request, or nil at the end of the session.
func receive(conn *zmtp.Conn) *protocol.Request {
	frames, err := conn.ReadMessage()
	if err != nil {
		return nil
	}
	r, err := protocol.DecodeRequest(frames[1])
	if err != nil {
		return nil
	}
	r.Data = append([]byte(nil), r.Data...)
	return &r
}

func respond(conn *zmtp.Conn, r protocol.Response) {
	conn.WriteMessage(nil, protocol.AppendResponse(nil, &r))
}

// accept is a response without a third element.
func accept(reason protocol.Reason) protocol.Response {
	return protocol.Response{Type: protocol.Accepted, Reason: reason}
}

// listing answers each LIST_FILES until the session ends.
func listing(conn *zmtp.Conn, _ int) {
	for r := receive(conn); r != nil; r = receive(conn) {
		respond(conn, accept(protocol.FilesListed))
	}
}

// bufferedPipe is net.Pipe with writes that don't wait for the reader, as the
// greetings of ZMTP need.
func bufferedPipe() (net.Conn, net.Conn) {
	a, b := net.Pipe()
	return newBuffered(a), newBuffered(b)
}

type buffered struct {
	net.Conn
	queue chan []byte
	once  sync.Once
	done  chan struct{}
}

func newBuffered(c net.Conn) *buffered {
	b := &buffered{Conn: c, queue: make(chan []byte, 1024), done: make(chan struct{})}
	go b.send()
	return b
}

// send ends, and the pipe with it, when all that was written before Close has
// been sent.
func (b *buffered) send() {
	defer b.Conn.Close()
	for {
		select {
		case p := <-b.queue:
			b.Conn.Write(p)
			continue
		default:
		}
		select {
		case p := <-b.queue:
			b.Conn.Write(p)
		case <-b.done:
			if len(b.queue) == 0 {
				return
			}
		}
	}
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case b.queue <- append([]byte(nil), p...):
		return len(p), nil
	case <-b.done:
		return 0, io.ErrClosedPipe
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() {
		close(b.done)
		b.Conn.SetDeadline(time.Now().Add(time.Second))
	})
	return nil
}
