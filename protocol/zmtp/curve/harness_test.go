package curve

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

const metadata = "\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x06secret"

var (
	plainGreeting = greeting("NULL", 0)
	readyFrame    = commandFrame([]byte(readyName + metadata))
	errorFrame    = commandFrame([]byte(errorName + "\x04gone"))
)

// configs returns what the sides of a connection need to know.
func configs(t testing.TB, maxFrame int) (client, server *Config) {
	t.Helper()
	public, private, err := GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	return &Config{ServerKey: public, MaxFrame: maxFrame}, &Config{PrivateKey: private, MaxFrame: maxFrame}
}

// established returns both sides after a handshake over near and far.
func established(t testing.TB, near, far net.Conn, maxFrame int) (c, s *Conn) {
	t.Helper()
	client, server := configs(t, maxFrame)
	c, s = Client(near, client), Server(far, server)
	served := make(chan error, 1)
	go func() { served <- shakeHands(s) }()
	if err := shakeHands(c); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	return c, s
}

// shakeHands is the upper side's part of a handshake, on either side.
func shakeHands(c *Conn) error {
	for _, ours := range [][]byte{plainGreeting, readyFrame} {
		if _, err := c.Write(ours); err != nil {
			return err
		}
	}
	want := append(bytes.Clone(plainGreeting), readyFrame...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the peer's greeting and READY are %q", got)
	}
	return nil
}

// tcpPair returns both ends of a connection over loopback, buffered as a Conn wants it.
func tcpPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return &buffered{near, bufio.NewReaderSize(near, 64<<10)}, &buffered{far, bufio.NewReaderSize(far, 64<<10)}
}

type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (c *buffered) Read(p []byte) (int, error) { return c.r.Read(p) }

// memPair returns both ends of a connection in memory that holds what is written until
// it is read.
func memPair() (near, far *memConn) {
	a, b := new(memConn), new(memConn)
	for _, c := range []*memConn{a, b} {
		c.filled = sync.NewCond(&c.mu)
	}
	a.peer, b.peer = b, a
	return a, b
}

type memConn struct {
	peer *memConn

	mu      sync.Mutex
	filled  *sync.Cond
	in      []byte
	ended   bool // by either side
	expired bool
}

func (c *memConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.in) == 0 {
		switch {
		case c.expired:
			return 0, os.ErrDeadlineExceeded
		case c.ended:
			return 0, io.EOF
		}
		c.filled.Wait()
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *memConn) Write(p []byte) (int, error) {
	c.peer.mu.Lock()
	defer c.peer.mu.Unlock()
	if !c.peer.ended { // else it goes the way of what a kernel has buffered
		c.peer.in = append(c.peer.in, p...)
		c.peer.filled.Broadcast()
	}
	return len(p), nil
}

func (c *memConn) set(flag *bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*flag = true
	c.filled.Broadcast()
}

func (c *memConn) Close() error {
	c.set(&c.ended)
	c.peer.set(&c.peer.ended)
	return nil
}

func (c *memConn) SetReadDeadline(at time.Time) error {
	time.AfterFunc(time.Until(at), func() { c.set(&c.expired) })
	return nil
}

func (c *memConn) LocalAddr() net.Addr                 { return &net.TCPAddr{} }
func (c *memConn) RemoteAddr() net.Addr                { return &net.TCPAddr{} }
func (c *memConn) SetDeadline(at time.Time) error      { return c.SetReadDeadline(at) }
func (c *memConn) SetWriteDeadline(at time.Time) error { return nil }

// peer is a connection whose other end answers as its steps say: each is given all that
// was received, and returns what the peer sends next. After the last one it hangs up.
type peer struct {
	net.Conn
	steps    []func(received []byte) []byte
	received []byte
	sent     []byte // not read yet
}

// says returns a step that sends b, whatever was received.
func says(b []byte) func([]byte) []byte {
	return func([]byte) []byte { return b }
}

// wire is a peer that has sent b, and hung up.
func wire(b []byte) *peer { return &peer{sent: b} }

func (p *peer) Read(b []byte) (int, error) {
	for len(p.sent) == 0 {
		if len(p.steps) == 0 {
			return 0, io.EOF
		}
		p.sent, p.steps = p.steps[0](p.received), p.steps[1:]
	}
	n := copy(b, p.sent)
	p.sent = p.sent[n:]
	return n, nil
}

func (p *peer) Write(b []byte) (int, error) {
	p.received = append(p.received, b...)
	return len(b), nil
}
