package integration

import (
	"net"
	"sync"
	"testing"
)

// proxy is one of TCP between clients and a server.
type proxy struct {
	address  string // where clients find the server
	listener net.Listener
	handle   func(client, server *net.TCPConn) // until the connection has ended both ways
	running  sync.WaitGroup                    // the accepting goroutine, and those of the connections

	mu     sync.Mutex // guards what follows
	server string
	closed bool
	conns  []net.Conn
}

// startProxy starts a proxy, which ends with the test.
func startProxy(t testing.TB, server string, handle func(client, server *net.TCPConn)) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: listener.Addr().String(), listener: listener, handle: handle, server: server}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// lead makes the proxy one to another server, for connections to come.
func (p *proxy) lead(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
}

func (p *proxy) target() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server
}

// accept ends with the listener.
func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.connect(client.(*net.TCPConn)) })
	}
}

func (p *proxy) connect(client *net.TCPConn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target())
	if err != nil {
		return
	}
	defer server.Close()
	if p.keep(client, server) {
		p.handle(client, server.(*net.TCPConn))
	}
}

// keep has cut close the connections, too.
func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	return !p.closed
}

func (p *proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cut()
	p.running.Wait()
}

// cut ends all connections, with what is under way.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}
