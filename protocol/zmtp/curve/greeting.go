package curve

import (
	"bytes"
	"errors"
	"io"
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
	// ErrMechanism is a peer whose mechanism is not CURVE. libzmq with another one
	// hangs up before it tells, mostly: that is a lost connection.
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
	case n >= signatureEnd && (g[0] != 0xff || g[signatureEnd-1] != 0x7f), n > signatureEnd && g[signatureEnd] < majorVersion:
		return nil, errGreeting
	case err != nil:
		return nil, unexpected(err)
	case !bytes.Equal(g[mechanismFrom:mechanismEnd], greeting("CURVE", 0)[mechanismFrom:mechanismEnd]):
		return nil, ErrMechanism
	}
	return greeting("NULL", 0), nil
}
