package integration

import (
	"net"
	"sync"
	"testing"
)

// meteredLink is a link between clients and a server that counts what it carries.
type meteredLink struct {
	*proxy

	mu    sync.Mutex // guards what follows
	bytes int64      // carried, in both directions
	mark  int64      // of bytes, when then is called; 0 is never
	then  func()

	calling sync.WaitGroup // then, while it runs; added to under mu
}

// startMeteredLink starts a link, which ends with the test.
func startMeteredLink(t testing.TB, server string) *meteredLink {
	t.Helper()
	l := new(meteredLink)
	l.proxy = startProxy(t, server, l.carryBoth)
	return l
}

// after calls then when so many bytes more have been carried, at least 1; nothing more is
// carried the same way before it returns.
func (l *meteredLink) after(bytes int64, then func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mark, l.then = l.bytes+bytes, then
}

// forget sees to it that then is not called any longer, and waits for it where it was.
func (l *meteredLink) forget() {
	l.mu.Lock()
	l.mark = 0
	l.mu.Unlock()
	l.calling.Wait()
}

// carried returns how many bytes have been carried so far.
func (l *meteredLink) carried() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// carryBoth carries a connection until one side has ended it.
func (l *meteredLink) carryBoth(client, server *net.TCPConn) {
	var up sync.WaitGroup
	up.Go(func() { l.carry(client, server) })
	l.carry(server, client)
	up.Wait()
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
			l.count(due)()
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

// count returns what is to be called now.
func (l *meteredLink) count(bytes int) (due func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += int64(bytes)
	if l.mark == 0 || l.bytes < l.mark {
		return func() {}
	}
	l.mark = 0
	l.calling.Add(1)
	then := l.then
	return func() {
		defer l.calling.Done()
		then()
	}
}
