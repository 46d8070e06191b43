package integration

import (
	"net"
	"sync"
	"testing"
)

// meteredLink is a link between clients and a server that counts what it carries: a proxy
// of TCP.
type meteredLink struct {
	address  string // where clients find the server
	server   string
	listener net.Listener
	running  sync.WaitGroup // the accepting goroutine, and those of the connections

	mu     sync.Mutex // guards what follows
	closed bool
	conns  []net.Conn
	bytes  int64  // carried, in both directions
	mark   int64  // of bytes, when reached is called; 0 is never
	then   func() // called once
}

// startMeteredLink starts a link, which ends with the test.
func startMeteredLink(t testing.TB, server string) *meteredLink {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &meteredLink{address: listener.Addr().String(), listener: listener, server: server}
	l.running.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

// after calls then when so many bytes more have been carried; nothing is carried before it
// returns. 0 is never.
func (l *meteredLink) after(bytes int64, then func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mark, l.then = 0, then
	if bytes > 0 {
		l.mark = l.bytes + bytes
	}
}

// carried returns how many bytes have been carried so far.
func (l *meteredLink) carried() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// accept ends with the listener.
func (l *meteredLink) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() { l.connect(client) })
	}
}

// connect carries a connection until one side has ended it.
func (l *meteredLink) connect(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer server.Close()
	if !l.keep(client, server) {
		return
	}
	var up sync.WaitGroup
	up.Go(func() { l.carry(client, server) })
	l.carry(server, client)
	up.Wait()
}

// keep has close close the connections, too.
func (l *meteredLink) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conns...)
	return !l.closed
}

func (l *meteredLink) close() {
	l.listener.Close()
	l.mu.Lock()
	l.closed = true
	for _, c := range l.conns {
		c.Close()
	}
	l.mu.Unlock()
	l.running.Wait()
}

// carry carries one direction of a connection, and ends it all.
func (l *meteredLink) carry(from, to net.Conn) {
	defer to.Close()
	defer from.Close()
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		for rest := piece[:n]; len(rest) > 0; {
			due := l.due(len(rest))
			if _, err := to.Write(rest[:due]); err != nil {
				return
			}
			l.count(due)
			rest = rest[due:]
		}
		if err != nil {
			return
		}
	}
}

// due returns how many of so many bytes may be carried before the mark is looked at.
func (l *meteredLink) due(bytes int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mark > l.bytes {
		return int(min(int64(bytes), l.mark-l.bytes))
	}
	return bytes
}

func (l *meteredLink) count(bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += int64(bytes)
	if l.mark > 0 && l.bytes >= l.mark {
		l.mark = 0
		l.then()
	}
}
