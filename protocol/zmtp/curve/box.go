package curve

import (
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/nacl/secretbox"
)

const (
	tag       = secretbox.Overhead // what a box is longer than its content, in bytes
	shortSize = 8                  // of a nonce's part that is sent
	longSize  = 16
)

// Prefixes of nonces: 16 bytes before a short one, 8 before a long one (RFC 26).
const (
	prefixHello         = "CurveZMQHELLO---"
	prefixWelcome       = "WELCOME-"
	prefixInitiate      = "CurveZMQINITIATE"
	prefixVouch         = "VOUCH---"
	prefixReady         = "CurveZMQREADY---"
	prefixMessageClient = "CurveZMQMESSAGEC"
	prefixMessageServer = "CurveZMQMESSAGES"
)

var (
	errBox   = errors.New("curve: a box does not open")
	errNonce = errors.New("curve: a nonce that is not greater than the one before")
	errSpent = errors.New("curve: no nonce is left")
)

func nonce(prefix string, rest []byte) *[24]byte {
	var n [24]byte
	copy(n[copy(n[:], prefix):], rest)
	return &n
}

// counter makes the short nonces of one side, and checks those of the other one.
type counter struct{ last uint64 }

func (c *counter) append(b []byte) ([]byte, error) {
	if c.last == 1<<64-1 {
		return nil, errSpent
	}
	c.last++
	return binary.BigEndian.AppendUint64(b, c.last), nil
}

// check takes a short nonce that arrived. One that isn't greater is of a replay.
func (c *counter) check(short []byte) error {
	n := binary.BigEndian.Uint64(short)
	if n <= c.last {
		return errNonce
	}
	c.last = n
	return nil
}

// open appends the content of a box to b.
func open(b, box []byte, n *[24]byte, key *[32]byte) ([]byte, error) {
	out, ok := secretbox.Open(b, box, n, key)
	if !ok {
		return nil, errBox
	}
	return out, nil
}
