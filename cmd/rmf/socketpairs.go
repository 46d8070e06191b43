package main

import (
	"context"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// socketPairs is a net.Listener for clients in the same process: each connection is a
// pair of Unix sockets, so that no port is open to others.
type socketPairs struct {
	dialled chan net.Conn // unbuffered: a connection that nobody accepts belongs to Dial
	closed  chan struct{} // closed by the first Close
	close   sync.Once
}

func listenInProcess() *socketPairs {
	return &socketPairs{dialled: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener, whatever the address, as soon as it accepts.
func (l *socketPairs) Dial(ctx context.Context, _ string) (net.Conn, error) {
	client, server, err := socketPair()
	if err != nil {
		return nil, err
	}
	select {
	case l.dialled <- server:
		return client, nil
	case <-l.closed:
		err = net.ErrClosed
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	client.Close()
	server.Close()
	return nil, err
}

// Accept implements net.Listener.
func (l *socketPairs) Accept() (net.Conn, error) {
	select {
	case nc := <-l.dialled:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *socketPairs) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (*socketPairs) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// socketPair returns two connections that are each other's peer.
func socketPair() (client, server net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "socketpair"), os.NewFile(uintptr(fds[1]), "socketpair")
	defer near.Close() // FileConn has descriptors of its own
	defer far.Close()
	if client, err = net.FileConn(near); err != nil {
		return nil, nil, err
	}
	if server, err = net.FileConn(far); err != nil {
		client.Close()
		return nil, nil, err
	}
	return client, server, nil
}
