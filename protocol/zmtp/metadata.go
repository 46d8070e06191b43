package zmtp

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"

	"github.com/go-zeromq/zmq4"
)

var (
	errMetadata   = errors.New("malformed metadata")
	errSocketType = errors.New("the peer's socket is of another type than REQ, REP, DEALER and ROUTER")
)

// nameChars are what the name of a property consists of (RFC 23).
const nameChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+"

// parseMetadata parses the properties of a READY (RFC 23: a name of 1 to 255
// bytes behind its length, a value behind its length of four bytes). Names are
// returned in lower case, since ZMTP does not distinguish; one that comes twice is
// an error.
func parseMetadata(b []byte) (map[string]string, error) {
	m := make(map[string]string)
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 || len(b) < 1+n+4 {
			return nil, errMetadata
		}
		key := strings.ToLower(string(b[1 : 1+n]))
		if strings.Trim(key, nameChars) != "" {
			return nil, errMetadata
		}
		size := binary.BigEndian.Uint32(b[1+n:])
		b = b[1+n+4:]
		if uint64(size) > uint64(len(b)) {
			return nil, errMetadata
		}
		if _, twice := m[key]; twice {
			return nil, errMetadata
		}
		m[key] = string(b[:size])
		b = b[size:]
	}
	return m, nil
}

// checkSocketType refuses what is none of the sockets that can be a peer: zmq4 panics at
// types that it doesn't know.
func checkSocketType(name string) error {
	switch zmq4.SocketType(name) {
	case zmq4.Req, zmq4.Rep, zmq4.Dealer, zmq4.Router:
		return nil
	}
	return errSocketType
}

// remofileVersion returns the peer's X-Remofile, 0 where there is none.
func remofileVersion(meta map[string]string) int {
	v, err := strconv.Atoi(meta["x-remofile"])
	if err != nil || v < 0 {
		return 0
	}
	return v
}

// errorReason returns the reason of an ERROR command: text behind its length.
// What a peer sends may end up on a terminal, so only printable ASCII is kept.
func errorReason(body []byte) string {
	if len(body) == 0 || int(body[0]) > len(body)-1 {
		return "refused"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, string(body[1:1+int(body[0])]))
}
