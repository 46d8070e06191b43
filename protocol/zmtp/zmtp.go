package zmtp

import (
	"cmp"
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
	"github.com/remofile/remofile/protocol/zmtp/curve"
)

// Config is what both ends need to know. A Config may be shared by connections
// and is not changed.
type Config struct {
	// Token is the secret: a server compares the peer's identity with it, a
	// client sends it as its identity.
	Token string
	// Key is the key of CURVE: of a server its private key, of a client the
	// public key of the server. TokenKey makes one of the token.
	Key curve.Key
	// Plain: a server takes connections without encryption, too; a client
	// makes such a one, and sends the token in clear.
	Plain bool
	// Version is the highest Remofile protocol that this side speaks.
	Version int
	// MaxMessage bounds a received message in bytes, all its frames together.
	MaxMessage int
	// HandshakeTimeout bounds the whole handshake. 0 is protocol.HandshakeTimeout.
	HandshakeTimeout time.Duration
	// WriteTimeout is the longest time that sending 1 MiB, or a shorter
	// message, may take. 0 is protocol.WriteTimeout.
	WriteTimeout time.Duration
	// Processors, on a server, is what its connections and its requests use together. With
	// nil every connection waits for its peer as usual.
	Processors *Processors
	// Known, on a server, is told when an encrypting peer has shown that it knows
	// the server's key.
	Known func()
	// Announced, on a server, is told the highest Remofile protocol of the peer, as
	// PeerVersion has it, before Admit is asked.
	Announced func(version int)
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
	reasonKey   = "key refused"
	inUsePrefix = "in use: "
)

// ErrKeyRefused is the refusal of a client that did not know the server's key.
var ErrKeyRefused = &RefusedError{Reason: reasonKey}

// Key reports whether the client did not know the server's key: the one that is
// derived from the token, or a private one.
func (e *RefusedError) Key() bool { return e.Reason == reasonKey }

// InUse returns who holds the server, if that is the reason.
func (e *RefusedError) InUse() (by string, ok bool) {
	return strings.CutPrefix(e.Reason, inUsePrefix)
}

// Client does the client's handshake on nc, which belongs to the Conn from then
// on, and is closed on an error.
func Client(ctx context.Context, nc net.Conn, cfg *Config) (*Conn, error) {
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	c, err := open(nc, cfg, zmq4.Dealer)
	if !stop() {
		nc.Close()
		return nil, context.Cause(ctx)
	}
	return c, err
}

// Server does the server's handshake on nc, which belongs to the Conn from then
// on, and is closed on an error.
func Server(nc net.Conn, cfg *Config) (*Conn, error) {
	return open(nc, cfg, zmq4.Router)
}

// open does the handshake of either side within its time.
func open(nc net.Conn, cfg *Config, kind zmq4.SocketType) (*Conn, error) {
	timeout := cmp.Or(cfg.HandshakeTimeout, protocol.HandshakeTimeout)
	l := &link{Conn: nc, writeTimeout: cmp.Or(cfg.WriteTimeout, protocol.WriteTimeout), processors: cfg.Processors}
	c, err := (*Conn)(nil), watchPeer(nc)
	if err == nil {
		err = nc.SetDeadline(time.Now().Add(timeout))
	}
	if err == nil {
		c, err = shake(l, cfg, kind)
	}
	if err == nil {
		err = l.establish()
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

func shake(l *link, cfg *Config, kind zmq4.SocketType) (*Conn, error) {
	stream, err := secure(l, cfg, kind == zmq4.Router)
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	c := &Conn{link: l, stream: stream, maxMessage: cfg.MaxMessage}
	h := &handshake{c: c, cfg: cfg}
	identity := ""
	if kind == zmq4.Dealer {
		identity = cfg.Token
	}
	_, err = zmq4.Open(handshakeConn{stream, c}, h, kind, zmq4.SocketIdentity(identity), kind == zmq4.Router, nil)
	if err == nil {
		err = c.Flush()
	}
	switch {
	case h.refused != nil:
		return nil, h.refused
	case errors.Is(err, curve.ErrMechanism):
		return nil, ErrPeerPlain
	case err != nil:
		return nil, fmt.Errorf("handshake: %w", err)
	}
	c.peerVersion = h.peerVersion
	return c, nil
}

// secure puts encryption between the link and the handshake, or nothing where the
// connection is to be plain.
func secure(l *link, cfg *Config, server bool) (net.Conn, error) {
	config := &curve.Config{MaxFrame: cfg.MaxMessage, Known: cfg.Known}
	if !server {
		if cfg.Plain {
			return greetPlain(l)
		}
		config.ServerKey = cfg.Key
		return curve.Client(l, config), nil
	}
	config.PrivateKey = cfg.Key
	greeted, mechanism, err := greetClient(l)
	switch {
	case err != nil:
		return nil, err
	case mechanism == MechanismNull && cfg.Plain:
		return greeted, nil
	case mechanism == mechanismCurve:
		return curve.Server(greeted, config), nil
	}
	// What the peer reads is that this side encrypts; it has sent no token yet.
	_, err = greeted.Write(greeting(mechanismCurve))
	return nil, errors.Join(ErrPeerPlain, err)
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
	peer, err := h.readReady(server)
	if err != nil {
		return err
	}
	if err := checkSocketType(peer["socket-type"]); err != nil {
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
func (h *handshake) readReady(server bool) (map[string]string, error) {
	if err := h.c.Flush(); err != nil {
		return nil, err
	}
	name, body, err := h.c.readCommand()
	if errors.Is(err, curve.ErrKey) {
		return nil, h.refuse(reasonKey)
	}
	if err != nil {
		return nil, err
	}
	switch name {
	case zmq4.CmdReady:
		return parseMetadata(body)
	case zmq4.CmdError:
		if server {
			return nil, errors.New("ERROR of a client")
		}
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
	if h.cfg.Announced != nil {
		h.cfg.Announced(h.peerVersion)
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
