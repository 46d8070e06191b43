package zmtp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"
)

// A greeting (RFC 23/ZMTP, 64 bytes): a signature of 10 bytes, the version in two, the
// mechanism in 20, whether the peer is a server in one, and zeros.
const (
	greetingSize   = 64
	versionEnd     = 12 // signature and version
	mechanismEnd   = 32
	mechanismCurve = "CURVE"
	mechanismTime  = time.Second // of ServerMechanism
)

// MechanismNull is that of a plain connection.
const MechanismNull = "NULL"

var (
	// ErrPeerPlain is a peer that does not encrypt, where this side does not
	// take that.
	ErrPeerPlain = errors.New("the peer does not encrypt")
	// ErrPeerEncrypts is a server that takes encrypted connections only.
	ErrPeerEncrypts = errors.New("the peer takes encrypted connections only")

	errGreeting = errors.New("malformed greeting")
)

func greeting(mechanism string) []byte {
	g := make([]byte, greetingSize)
	copy(g, "\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03\x00")
	copy(g[versionEnd:], mechanism)
	return g
}

// readGreeting returns the peer's greeting and the mechanism in it.
func readGreeting(r io.Reader) (g []byte, mechanism string, err error) {
	g = make([]byte, greetingSize)
	if _, err := io.ReadFull(r, g); err != nil {
		return nil, "", unexpected(err)
	}
	if g[0] != 0xff || g[9] != 0x7f || g[10] < 3 {
		return nil, "", errGreeting
	}
	name, _, _ := bytes.Cut(g[versionEnd:mechanismEnd], []byte{0})
	return g, string(name), nil
}

// greetedConn is a connection on which greetings have been exchanged: whoever does
// that again on top of it reads the peer's, and the first bytes that it writes are
// dropped.
type greetedConn struct {
	net.Conn
	peer []byte // what is still to be read of the peer's greeting
	sent int    // how much of the one that will be written was sent already
}

// Read implements net.Conn.
func (c *greetedConn) Read(p []byte) (int, error) {
	if len(c.peer) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.peer)
	c.peer = c.peer[n:]
	return n, nil
}

// Write implements net.Conn.
func (c *greetedConn) Write(p []byte) (int, error) {
	drop := min(c.sent, len(p))
	c.sent -= drop
	if drop == len(p) {
		return drop, nil
	}
	n, err := c.Conn.Write(p[drop:])
	return drop + n, err
}

// greetPlain does a client's part of the greeting without encryption.
func greetPlain(nc net.Conn) (net.Conn, error) {
	if _, err := nc.Write(greeting(MechanismNull)); err != nil {
		return nil, err
	}
	peer, mechanism, err := readGreeting(nc)
	switch {
	case err != nil:
		return nil, err
	case mechanism == mechanismCurve:
		return nil, ErrPeerEncrypts
	}
	return &greetedConn{Conn: nc, peer: peer, sent: greetingSize}, nil
}

// ServerMechanism returns the mechanism of a server that has hung up on an encrypted
// handshake: libzmq does not tell it before, where that is another one. A server that
// waits for its client's mechanism, as ours does, doesn't tell it at all. What it is
// sent is no secret. nc is closed.
func ServerMechanism(nc net.Conn) (string, error) {
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(mechanismTime)); err != nil {
		return "", err
	}
	if _, err := nc.Write(greeting("")[:versionEnd]); err != nil {
		return "", err
	}
	_, mechanism, err := readGreeting(nc)
	return mechanism, err
}

// greetClient does the first part of a server's greeting. The mechanism is the
// client's: the server's own greeting is sent as far as it doesn't depend on it, since
// libzmq waits for that before it tells its mechanism.
func greetClient(nc net.Conn) (greeted net.Conn, mechanism string, err error) {
	if _, err := nc.Write(greeting("")[:versionEnd]); err != nil {
		return nil, "", err
	}
	peer, mechanism, err := readGreeting(nc)
	if err != nil {
		return nil, "", err
	}
	return &greetedConn{Conn: nc, peer: peer, sent: versionEnd}, mechanism, nil
}
