package zmtp

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// processors has Go's runtime use so many until the end of the test.
func processors(t *testing.T, n int) *Processors {
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	return new(Processors)
}

// attentive is a connection of a server with so many processors that waits for its peer, and counts
// how often it does so in a system call.
type attentive struct {
	waiting *waiting
	near    net.Conn
	far     net.Conn
	polls   atomic.Int32
}

func newAttentive(t *testing.T, p *Processors) *attentive {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := new(attentive)
	if a.far, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if a.near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.near.Close(); a.far.Close() })
	a.waiting = newWaiting(a.near, p)
	poll := a.waiting.poll
	a.waiting.poll = func(fd uintptr) { a.polls.Add(1); poll(fd) }
	return a
}

// receive sends a message from the far end and reads it.
func (a *attentive) receive(t *testing.T, message string) {
	t.Helper()
	if _, err := io.WriteString(a.far, message); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 100)
	if n, err := a.waiting.read(a.near, p); err != nil || string(p[:n]) != message {
		t.Fatalf("read %q, error %v, want %q", p[:n], err, message)
	}
}

// TestABusyConnectionWaitsInASystemCall, when another processor stays free.
func TestABusyConnectionWaitsInASystemCall(t *testing.T) {
	p := processors(t, 2)
	a := newAttentive(t, p)
	a.receive(t, "first")
	if a.polls.Load() != 0 {
		t.Error("the first message was waited for in a system call")
	}
	a.waiting.soon, a.waiting.small = true, true
	a.receive(t, "second")
	if a.polls.Load() != 1 || p.used.Load() != 0 {
		t.Errorf("%d waits, %d processors in use, want 1 and none", a.polls.Load(), p.used.Load())
	}
	p.Use()
	a.waiting.soon = true
	a.receive(t, "third")
	p.Unuse()
	if a.polls.Load() != 1 {
		t.Error("a processor was held that was wanted")
	}
	a.waiting.soon, a.waiting.small = true, false
	a.receive(t, "fourth")
	a.waiting.soon = true
	a.waiting.wrote(smallPiece + 1)
	a.receive(t, "fifth")
	if a.polls.Load() != 1 {
		t.Error("a large transfer waits in a system call")
	}
	a.waiting.soon = true
	a.waiting.wrote(smallPiece)
	a.receive(t, "sixth")
	if a.polls.Load() != 2 {
		t.Error("small requests behind it do not")
	}
}

// TestAnIdleConnectionWakesNobody: it waits once in a system call, and as usual from then on.
func TestAnIdleConnectionWakesNobody(t *testing.T) {
	a := newAttentive(t, processors(t, 2))
	a.waiting.soon, a.waiting.small = true, true
	a.waiting.poll = func(uintptr) { // nothing has come
		a.polls.Add(1)
		time.Sleep(shortWait)
		go io.WriteString(a.far, "late") // ends with that
	}
	p := make([]byte, 100)
	if n, err := a.waiting.read(a.near, p); err != nil || string(p[:n]) != "late" || a.polls.Load() != 1 {
		t.Errorf("read %q, error %v, %d waits", p[:n], err, a.polls.Load())
	}
	if a.waiting.soon {
		t.Error("a peer that was silent is waited for in a system call")
	}
}

// TestWaitsEnd: neither Close nor a deadline is waited for longer than a wait takes.
func TestWaitsEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(net.Conn) error
	}{
		{"Close", net.Conn.Close},
		{"deadline", func(nc net.Conn) error { return nc.SetReadDeadline(time.Unix(1, 0)) }},
	} {
		a := newAttentive(t, processors(t, 2))
		a.waiting.soon, a.waiting.small = true, true
		begun := make(chan struct{})
		poll := a.waiting.poll
		a.waiting.poll = func(fd uintptr) { close(begun); poll(fd) }
		ended := make(chan error)
		go func() { // ends with the read
			_, err := a.waiting.read(a.near, make([]byte, 100))
			ended <- err
		}()
		<-begun
		if err := c.end(a.near); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: read returned %v", c.name, err)
		}
	}
}

// TestProcessorsStayFree: all but one can be held, and none where there is one.
func TestProcessorsStayFree(t *testing.T) {
	for all := 1; all < 5; all++ {
		p := processors(t, all)
		held := 0
		for p.tryHold() {
			held++
		}
		if held != all-1 {
			t.Errorf("%d of %d can be held", held, all)
		}
		p.Use()
		if p.tryHold() {
			t.Error("one more can be held when a request needs one")
		}
	}
}

// TestOtherConnectionsWaitAsUsual: those without a descriptor, and those of a client.
func TestOtherConnectionsWaitAsUsual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		if newWaiting(near, new(Processors)) != nil {
			t.Error("a pipe is waited for in a system call")
		}
	})
	a := newAttentive(t, new(Processors))
	if newWaiting(a.near, nil) != nil {
		t.Error("a client waits in a system call")
	}
}
