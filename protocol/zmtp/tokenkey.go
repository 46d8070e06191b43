package zmtp

import (
	"crypto/hkdf"
	"crypto/sha256"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"

	"github.com/remofile/remofile/protocol/zmtp/curve"
)

// The parameters of the derivation, see the package comment.
const (
	tokenKeySalt  = "Remofile token key 1"
	argonPasses   = 2
	argonMemory   = 19 << 10 // KiB
	argonLanes    = 1
	tokenLength   = 22
	tokenAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
)

// StrongToken reports whether a token has the form of the generated ones, which are
// as hard to guess as a key: 22 characters of shortuuid's alphabet.
func StrongToken(token string) bool {
	return len(token) == tokenLength && strings.Trim(token, tokenAlphabet) == ""
}

// slowKey is the last key that was derived slowly. A process has one token as a rule;
// the lock also keeps several derivations from taking 19 MiB each at the same time.
var slowKey struct {
	sync.Mutex
	token string
	key   curve.Key
}

// TokenKey returns the private key that a server has where it has none but the token.
// For a token that is not strong that takes some 30 ms and 19 MiB, once.
func TokenKey(token string) (curve.Key, error) {
	if StrongToken(token) {
		b, err := hkdf.Key(sha256.New, []byte(token), []byte(tokenKeySalt), "", len(curve.Key{}))
		if err != nil {
			return curve.Key{}, err
		}
		return curve.Key(b), nil
	}
	slowKey.Lock()
	defer slowKey.Unlock()
	if slowKey.token != token {
		b := argon2.IDKey([]byte(token), []byte(tokenKeySalt), argonPasses, argonMemory, argonLanes, uint32(len(curve.Key{})))
		slowKey.token, slowKey.key = token, curve.Key(b)
	}
	return slowKey.key, nil
}
