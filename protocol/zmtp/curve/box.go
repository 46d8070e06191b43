package curve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"golang.org/x/crypto/curve25519"
	"golang.org/x/crypto/nacl/secretbox"
	//lint:ignore SA1019 box.Precompute would do, but says nothing of keys of low order
	"golang.org/x/crypto/salsa20/salsa"
)

const (
	keySize        = len(Key{})
	nonceSize      = 24 // of a box: a prefix, and what the command carries
	shortNonceSize = 8
	longNonceSize  = 16
	boxOverhead    = secretbox.Overhead
)

var (
	errSequence  = errors.New("curve: a command was repeated or left out")
	errExhausted = errors.New("curve: no nonces are left")
)

// boxKey is what boxes between two owners of keys are sealed and opened with.
type boxKey [32]byte

// sharedKey returns the key of the boxes between the owners of public and private. A
// public key of low order is an error: with it, everybody would know the result.
func sharedKey(public, private *Key) (*boxKey, error) {
	secret, err := curve25519.X25519(private[:], public[:])
	if err != nil {
		return nil, fmt.Errorf("curve: the peer's key: %w", err)
	}
	key := (*[32]byte)(secret)
	salsa.HSalsa20(key, new([16]byte), key, &salsa.Sigma)
	return (*boxKey)(key), nil
}

// seal appends the box of plain to dst.
func (k *boxKey) seal(dst, plain []byte, nonce *[nonceSize]byte) []byte {
	return secretbox.Seal(dst, plain, nonce, (*[32]byte)(k))
}

// open appends what is in box to dst, unless it was sealed otherwise.
func (k *boxKey) open(dst, box []byte, nonce *[nonceSize]byte) ([]byte, bool) {
	return secretbox.Open(dst, box, nonce, (*[32]byte)(k))
}

// fullNonce returns the nonce of a box: a prefix of 8 or 16 bytes and the long or short
// nonce that its command carries.
func fullNonce(prefix string, carried []byte) *[nonceSize]byte {
	nonce := new([nonceSize]byte)
	copy(nonce[copy(nonce[:], prefix):], carried)
	return nonce
}

func shortNonce(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// sequence numbers the boxes of one direction by their short nonces, whatever the
// commands.
type sequence struct {
	last uint64
}

// firstNonce begins the sequence of what is received with the short nonce of its first
// command.
func firstNonce(carried []byte) sequence {
	return sequence{last: binary.BigEndian.Uint64(carried)}
}

// next returns the short nonce of the next box that is sent.
func (s *sequence) next() (uint64, error) {
	if s.last == math.MaxUint64 {
		return 0, errExhausted
	}
	s.last++
	return s.last, nil
}

// accept takes the short nonce of a box that was received. That it is the next one is
// more than libzmq asks for, to which any higher one will do: this way nobody can take a
// MESSAGE out of a conversation.
func (s *sequence) accept(carried []byte) error {
	n := binary.BigEndian.Uint64(carried)
	if s.last == math.MaxUint64 || n != s.last+1 {
		return errSequence
	}
	s.last = n
	return nil
}
