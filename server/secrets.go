package server

import (
	"github.com/lithammer/shortuuid/v4"

	"github.com/remofile/remofile/protocol/zmtp/curve"
)

// GenerateToken returns a new token: 22 characters with 122 random bits, in the
// form of the original's.
func GenerateToken() string { return shortuuid.New() }

// GenerateKeys returns a new CURVE key pair (RFC 26/ZeroMQ), each key in 40
// characters of Z85.
func GenerateKeys() (public, private string, err error) {
	p, s, err := curve.GenerateKeys()
	if err != nil {
		return "", "", err
	}
	return p.String(), s.String(), nil
}
