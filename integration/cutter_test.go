package integration

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// cutter is a TCP proxy in front of a server that does to each connection what plan says.
type cutter struct {
	listener net.Listener
	target   string
	plan     func() (up, down cut)

	over    chan struct{} // closed by close
	running sync.WaitGroup
	mu      sync.Mutex // guards what follows, and is held while plan is called
	closed  bool
	carried int // connections so far
	conns   map[net.Conn]struct{}
}

// cut is what happens to one direction of a connection when some bytes have passed, often
// in the midst of a message: nothing passes for a while, and then it goes on, or both
// directions end.
type cut struct {
	after   int64 // bytes; negative is never
	silence time.Duration
	goesOn  bool
}

// startCutter returns a proxy that has ended with the test, if close was not called before.
func startCutter(t testing.TB, target string, plan func() (up, down cut)) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, target: target, plan: plan, over: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	c.running.Go(c.accept)
	t.Cleanup(c.close)
	return c
}

func (c *cutter) address() string { return c.listener.Addr().String() }

// close ends all connections, and waits for the goroutines.
func (c *cutter) close() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.over)
	}
	c.listener.Close()
	for nc := range c.conns {
		nc.Close()
	}
	c.mu.Unlock()
	c.running.Wait()
}

// accept ends with the listener. Each connection has a goroutine, which ends with it.
func (c *cutter) accept() {
	for {
		nc, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.running.Go(func() { c.carry(nc) })
	}
}

// enter keeps a connection for close; it fails after that.
func (c *cutter) enter(nc net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.conns[nc] = struct{}{}
	}
	return !c.closed
}

func (c *cutter) leave(nc net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, nc)
}

// carry connects a client with the server until one of them, or a cut, ends it.
func (c *cutter) carry(client net.Conn) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", c.target, patience)
	if err != nil {
		return
	}
	defer server.Close()
	for _, nc := range []net.Conn{client, server} {
		if !c.enter(nc) {
			return
		}
		defer c.leave(nc)
	}
	c.mu.Lock()
	c.carried++
	up, down := c.plan()
	c.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range []struct {
		cut
		from, to net.Conn
	}{{up, client, server}, {down, server, client}} {
		both.Go(func() {
			c.pump(way.from, way.to, way.cut)
			client.Close()
			server.Close()
		})
	}
	both.Wait()
}

// pump returns when a direction has ended.
func (c *cutter) pump(from, to net.Conn, at cut) {
	if at.after >= 0 {
		if _, err := io.CopyN(to, from, at.after); err != nil {
			return
		}
		select {
		case <-time.After(at.silence):
		case <-c.over:
			return
		}
		if !at.goesOn {
			return
		}
	}
	io.Copy(to, from)
}
