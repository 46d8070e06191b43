package zmtp

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
)

// GenerateKeys returns a new CURVE key pair (RFC 26), each key in 40 characters
// of Z85 as ZeroMQ writes them.
func GenerateKeys() (public, private string, err error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	return encodeZ85(key.PublicKey().Bytes()), encodeZ85(key.Bytes()), nil
}

const z85Alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// encodeZ85 encodes b, whose length is a multiple of 4 (RFC 32/Z85: four bytes
// are five digits to the base of 85).
func encodeZ85(b []byte) string {
	text := make([]byte, 0, len(b)/4*5)
	for ; len(b) > 0; b = b[4:] {
		n := binary.BigEndian.Uint32(b)
		for divisor := uint32(85 * 85 * 85 * 85); divisor > 0; divisor /= 85 {
			text = append(text, z85Alphabet[n/divisor%85])
		}
	}
	return string(text)
}
