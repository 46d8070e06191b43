package curve

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/curve25519"
	"golang.org/x/crypto/salsa20/salsa"
)

// Key is an X25519 key, public or private.
type Key [32]byte

// keyLength is a key's length in characters of Z85.
const keyLength = 40

// GenerateKeys returns a new pair.
func GenerateKeys() (public, private Key, err error) {
	rand.Read(private[:])
	public, err = private.Public()
	return public, private, err
}

// Public returns the public key that belongs to the private key k.
func (k Key) Public() (Key, error) {
	b, err := curve25519.X25519(k[:], curve25519.Basepoint)
	if err != nil {
		return Key{}, err
	}
	return Key(b), nil
}

// shared returns the key of the boxes between the owners of two pairs (NaCl's
// crypto_box_beforenm). A public key of low order, with which everybody could know
// it, is an error.
func shared(private, public *Key) (*[32]byte, error) {
	secret, err := curve25519.X25519(private[:], public[:])
	if err != nil {
		return nil, err
	}
	var key, zero [32]byte
	salsa.HSalsa20(&key, (*[16]byte)(zero[:]), (*[32]byte)(secret), &salsa.Sigma)
	return &key, nil
}

// CheckPublic tells why k can't be a public key, or nil.
func (k Key) CheckPublic() error {
	var any Key
	any[0] = 8
	if _, err := shared(&any, &k); err != nil {
		return errors.New("no pair of keys has this public key")
	}
	return nil
}

// digits of Z85 (RFC 32/Z85).
const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// String returns k in Z85: four bytes are five digits to the base of 85.
func (k Key) String() string {
	text := make([]byte, 0, keyLength)
	for i := 0; i < len(k); i += 4 {
		n := binary.BigEndian.Uint32(k[i:])
		for divisor := uint32(85 * 85 * 85 * 85); divisor > 0; divisor /= 85 {
			text = append(text, digits[n/divisor%85])
		}
	}
	return string(text)
}

// ParseKey parses 40 characters of Z85. Its errors never quote s, which may be secret.
func ParseKey(s string) (Key, error) {
	if len(s) != keyLength {
		return Key{}, fmt.Errorf("a key has %d characters of Z85, not %d", keyLength, len(s))
	}
	var k Key
	for i := 0; i < keyLength; i += 5 {
		var n uint64
		for j := i; j < i+5; j++ {
			digit := strings.IndexByte(digits, s[j])
			if digit < 0 {
				return Key{}, fmt.Errorf("character %d of the key is none of Z85", j+1)
			}
			n = n*85 + uint64(digit)
		}
		if n>>32 != 0 {
			return Key{}, errors.New("the key is not Z85: five of its characters are too large a number")
		}
		binary.BigEndian.PutUint32(k[i/5*4:], uint32(n))
	}
	return k, nil
}
