// Package zmtp turns a network connection into one that carries messages between
// authenticated peers: handshake and framing over ZMTP 3 (RFC 23/ZMTP), one session
// to a connection.
//
// The handshake is zmq4's, over a net.Conn of ours; a server is a ROUTER, a
// client a DEALER. The token travels as the socket identity of the client's
// READY, which the server checks before it sends its own. A peer that is turned
// away gets an ERROR command whose reason is one of
//
//	token refused
//	in use: <by whom and since when>
//
// Both sides put X-Remofile into their READY: the highest Remofile protocol that
// they speak, in decimal. After the handshake the framing is ours, on reused
// buffers.
//
// # Limits
//
//	handshake          HandshakeTimeout in all; a READY or ERROR of 4 KiB
//	identity, token    1 to 255 bytes
//	frames a message   8
//	bytes a message    Config.MaxMessage, all frames together
//	a command          4 KiB, not in pieces
//	a vanished peer    noticed by the kernel within 15 s
package zmtp

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/remofile/remofile/protocol"
)

// Config is what both ends need to know. A Config may be shared by connections
// and is not changed.
type Config struct {
	// Token is the secret: a server compares the peer's identity with it, a
	// client sends it as its identity.
	Token string
	// Version is the highest Remofile protocol that this side speaks.
	Version int
	// MaxMessage bounds a received message in bytes, all its frames together.
	MaxMessage int
	// HandshakeTimeout bounds the whole handshake. 0 is 10 s.
	HandshakeTimeout time.Duration
	// WriteTimeout is the longest time that sending 1 MiB, or a shorter
	// message, may take. 0 is 30 s.
	WriteTimeout time.Duration
	// Admit, on a server, is asked about a peer that knows the token, before
	// it is told so. Its error is the "in use" that the peer reads.
	Admit func(peer net.Addr) error
}

// RefusedError is a handshake that the server refused, as both sides see it.
type RefusedError struct {
	Reason string
}

func (e *RefusedError) Error() string { return e.Reason }

const (
	reasonToken = "token refused"
	inUsePrefix = "in use: "
)

// InUse returns who holds the server, if that is the reason.
func (e *RefusedError) InUse() (by string, ok bool) {
	return strings.CutPrefix(e.Reason, inUsePrefix)
}

// Client does the client's handshake on nc, which belongs to the Conn from then
// on, and is closed on an error.
func Client(ctx context.Context, nc net.Conn, cfg *Config) (*Conn, error) {
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	c, err := open(nc, cfg, zmq4.Dealer, false)
	if !stop() {
		nc.Close()
		return nil, context.Cause(ctx)
	}
	return c, err
}

// Server does the server's handshake on nc, which belongs to the Conn from then
// on, and is closed on an error.
func Server(nc net.Conn, cfg *Config) (*Conn, error) {
	return open(nc, cfg, zmq4.Router, true)
}

func open(nc net.Conn, cfg *Config, kind zmq4.SocketType, server bool) (*Conn, error) {
	identity := ""
	if !server {
		identity = cfg.Token
	}
	timeout := cfg.HandshakeTimeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	if err := watchPeer(nc); err != nil {
		nc.Close()
		return nil, err
	}
	c := newConn(nc, cfg)
	c.handshaking = true
	nc.SetDeadline(time.Now().Add(timeout))
	h := &handshake{c: c, cfg: cfg}
	if _, err := zmq4.Open(handshakeConn{c}, h, kind, zmq4.SocketIdentity(identity), server, nil); err != nil {
		nc.Close()
		if h.refused != nil {
			return nil, h.refused
		}
		return nil, fmt.Errorf("handshake: %w", err)
	}
	if err := c.flush(); err != nil {
		nc.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	nc.SetDeadline(time.Time{})
	c.handshaking = false
	c.peerVersion = h.peerVersion
	return c, nil
}

// handshake is zmq4's NULL mechanism, with the token checked and the peer's
// metadata parsed by us.
type handshake struct {
	c           *Conn
	cfg         *Config
	peerVersion int
	refused     *RefusedError
}

// Type implements zmq4.Security.
func (*handshake) Type() zmq4.SecurityType { return zmq4.NullSecurity }

// Handshake implements zmq4.Security. A client speaks first; so does libzmq,
// on either side.
func (h *handshake) Handshake(zc *zmq4.Conn, server bool) error {
	zc.Meta["Remofile"] = strconv.Itoa(h.cfg.Version)
	if !server {
		if err := h.sendReady(zc); err != nil {
			return err
		}
	}
	peer, err := h.readReady()
	if err != nil {
		return err
	}
	zc.Peer.Meta["Socket-Type"] = peer["socket-type"]
	h.peerVersion = remofileVersion(peer)
	if !server {
		return nil
	}
	if err := h.authenticate(peer["identity"]); err != nil {
		return err
	}
	return h.sendReady(zc)
}

func (h *handshake) sendReady(zc *zmq4.Conn) error {
	raw, err := zc.Meta.MarshalZMTP()
	if err != nil {
		return err
	}
	return zc.SendCmd(zmq4.CmdReady, raw)
}

// readReady returns the peer's metadata, its keys in lower case.
func (h *handshake) readReady() (map[string]string, error) {
	if err := h.c.flush(); err != nil {
		return nil, err
	}
	name, body, err := h.c.readCommand()
	if err != nil {
		return nil, err
	}
	switch name {
	case zmq4.CmdReady:
		return parseMetadata(body)
	case zmq4.CmdError:
		h.refused = &RefusedError{Reason: errorReason(body)}
		return nil, h.refused
	default:
		return nil, errors.New("neither READY nor ERROR")
	}
}

// authenticate compares the identity with the token in constant time, whatever
// their lengths.
func (h *handshake) authenticate(identity string) error {
	got, want := sha256.Sum256([]byte(identity)), sha256.Sum256([]byte(h.cfg.Token))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !protocol.ValidToken(identity) {
		return h.refuse(reasonToken)
	}
	if h.cfg.Admit != nil {
		if err := h.cfg.Admit(h.c.RemoteAddr()); err != nil {
			return h.refuse(inUsePrefix + err.Error())
		}
	}
	return nil
}

func (h *handshake) refuse(reason string) error {
	h.refused = &RefusedError{Reason: reason}
	reason = reason[:min(len(reason), 255)]
	return errors.Join(h.refused, h.c.writeCommand(zmq4.CmdError, append([]byte{byte(len(reason))}, reason...)))
}

// Encrypt and Decrypt implement zmq4.Security; zmq4 sends nothing through them
// but the frame of READY.
func (*handshake) Encrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }
func (*handshake) Decrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }
