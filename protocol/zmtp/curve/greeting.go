package curve

import (
	"bytes"
	"errors"
	"io"
	"syscall"
)

// A greeting (RFC 23/ZMTP): a signature, whose padding may be anything, the version in
// two bytes, the mechanism in 20, whether the peer is a server in one, and zeros.
const (
	greetingSize  = 64
	signatureEnd  = 10
	mechanismFrom = 12
	mechanismEnd  = 32
	majorVersion  = 3
)

var (
	// ErrMechanism is a peer whose mechanism is not CURVE, or that hangs up behind
	// the signature of its greeting, as libzmq with another mechanism does.
	ErrMechanism = errors.New("curve: the peer's mechanism is not CURVE")

	errGreeting = errors.New("curve: malformed greeting")
)

func greeting(mechanism string, asServer byte) []byte {
	g := make([]byte, greetingSize)
	g[0], g[signatureEnd-1], g[signatureEnd] = 0xff, 0x7f, majorVersion
	copy(g[mechanismFrom:], mechanism)
	g[mechanismEnd] = asServer
	return g
}

// readGreeting reads the peer's greeting and returns it as the upper side reads it.
// Whether the peer is a server is not looked at: libzmq always says that it is none.
func readGreeting(r io.Reader) ([]byte, error) {
	g := make([]byte, greetingSize)
	n, err := io.ReadFull(r, g)
	switch {
	case n < signatureEnd:
		return nil, unexpected(err)
	case g[0] != 0xff || g[signatureEnd-1] != 0x7f || n > signatureEnd && g[signatureEnd] < majorVersion:
		return nil, errGreeting
	case n == signatureEnd && hungUp(err):
		return nil, ErrMechanism
	case err != nil:
		return nil, unexpected(err)
	case !bytes.Equal(g[mechanismFrom:mechanismEnd], greeting("CURVE", 0)[mechanismFrom:mechanismEnd]):
		return nil, ErrMechanism
	}
	return greeting("NULL", 0), nil
}

// hungUp reports whether the peer has ended the connection. libzmq does that when it has
// read of another mechanism than its own: behind its signature, or before, where what it
// reads is faster than what it writes. Others hang up there for other reasons, too.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}
