package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// openSockets counts the sockets of this process.
func openSockets(t *testing.T) int {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n
}

func TestSocketPairsCarryBytesBothWays(t *testing.T) {
	before := openSockets(t)
	l := listenInProcess()
	accepted := make(chan net.Conn, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- nc
	}()
	client, err := l.Dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	server := <-accepted
	for _, way := range []struct{ from, to net.Conn }{{client, server}, {server, client}} {
		got := make([]byte, 5)
		if _, err := io.WriteString(way.from, "hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way.to, got); err != nil || string(got) != "hello" {
			t.Errorf("%q, error %v", got, err)
		}
	}
	if server.RemoteAddr() == nil || client.RemoteAddr() == nil || l.Addr() == nil {
		t.Error("an end has no address")
	}
	client.Close()
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end of the client: error %v, want EOF", err)
	}
	server.Close()
	if after := openSockets(t); after != before {
		t.Errorf("%d sockets are open, before %d", after, before)
	}
}

// TestClosedSocketPairsFailAtOnce holds it for calls that wait and for later ones.
func TestClosedSocketPairsFailAtOnce(t *testing.T) {
	before := openSockets(t)
	for _, call := range []func(*socketPairs) error{
		func(l *socketPairs) error { _, err := l.Accept(); return err },
		func(l *socketPairs) error { _, err := l.Dial(context.Background(), ""); return err },
	} {
		l := listenInProcess()
		failed := make(chan error)
		go func() { failed <- call(l) }()
		for range 2 {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, err := range []error{<-failed, call(l)} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("error %v, want %v", err, net.ErrClosed)
			}
		}
	}
	if after := openSockets(t); after != before {
		t.Errorf("%d sockets are open, before %d", after, before)
	}
}

func TestDialOfSocketPairsEndsWithItsContext(t *testing.T) {
	before := openSockets(t)
	l := listenInProcess()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := l.Dial(ctx, "")
		failed <- err
	}()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if after := openSockets(t); after != before {
		t.Errorf("%d sockets are open, before %d", after, before)
	}
}
