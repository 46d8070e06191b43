package curve

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/crypto/curve25519"
)

// Key is an X25519 key (RFC 7748), public or private.
type Key [32]byte

// Z85 (RFC 32/ZeroMQ) writes four bytes as five digits to the base of 85, the most
// significant first.
const (
	z85Digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
	z85Bytes  = 4
	z85Length = 5
	// keyLength is that of a key, in characters.
	keyLength = len(Key{}) / z85Bytes * z85Length
)

// ParseKey returns the key that s is in Z85, in 40 characters. The error says where s is
// wrong, but never quotes it: it may be a secret.
func ParseKey(s string) (Key, error) {
	if len(s) != keyLength {
		return Key{}, fmt.Errorf("a key has %d characters of Z85, not %d", keyLength, len(s))
	}
	var k Key
	for i := 0; i < len(s); i += z85Length {
		n := uint64(0)
		for j := i; j < i+z85Length; j++ {
			digit := strings.IndexByte(z85Digits, s[j])
			if digit < 0 {
				return Key{}, fmt.Errorf("character %d of the key is none of Z85", j+1)
			}
			n = n*uint64(len(z85Digits)) + uint64(digit)
		}
		if n > math.MaxUint32 {
			return Key{}, fmt.Errorf("characters %d to %d of the key are more than 32 bits", i+1, i+z85Length)
		}
		binary.BigEndian.PutUint32(k[i/z85Length*z85Bytes:], uint32(n))
	}
	return k, nil
}

// String returns the key in Z85, a private one too.
func (k Key) String() string {
	var text [keyLength]byte
	for i := 0; i < len(k); i += z85Bytes {
		n := binary.BigEndian.Uint32(k[i:])
		group := text[i/z85Bytes*z85Length:][:z85Length]
		for j := z85Length - 1; j >= 0; j-- {
			group[j] = z85Digits[n%uint32(len(z85Digits))]
			n /= uint32(len(z85Digits))
		}
	}
	return string(text[:])
}

// Public returns the public key of a private one.
func (k Key) Public() (Key, error) {
	public, err := curve25519.X25519(k[:], curve25519.Basepoint)
	if err != nil {
		return Key{}, err
	}
	return Key(public), nil
}

// CheckPublic tells why k can't be a public key, or nil.
func (k Key) CheckPublic() error {
	if _, err := sharedKey(&k, new(Key)); err != nil {
		return errors.New("it belongs to no pair of keys")
	}
	return nil
}

// GenerateKeys returns a new pair.
func GenerateKeys() (public, private Key, err error) {
	rand.Read(private[:]) // never fails
	public, err = private.Public()
	return public, private, err
}
