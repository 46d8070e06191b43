package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
	"github.com/remofile/remofile/protocol/zmtp/curve"
)

// Defaults of Options.
const (
	DefaultTimeout     = 3600 * time.Millisecond
	DefaultMaxSessions = 8
)

// Options configure a Client. Only Address and Token are required.
type Options struct {
	// Address is the server's host and port, as net.Dial takes them.
	Address string
	// Token is the secret shared with the server, 1 to 255 bytes.
	Token string
	// PublicKey is the server's CURVE key, 40 characters of Z85, where it has
	// a private key of its own. "" is the one that is derived from the token.
	PublicKey string
	// Plain encrypts nothing and sends the token in clear, as servers in Python
	// need it.
	Plain bool
	// Dial opens the connection, nil is TCP. It must obey its context.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Timeout is the longest silence of the server before an operation
	// fails with Timeout: any byte that arrives restarts it. 0 is 3.6 s. In Remofile 2 a
	// connection that has been silent for two thirds of it is replaced: what is under way
	// goes on over the next one. A server that answers PING is not silent: how long it may
	// take for an operation is up to the context.
	Timeout time.Duration
	// FailFast makes operations fail at once after one has failed with Timeout or Unreachable,
	// until there is a connection again, which the client then tries for without end. Without
	// it each waits for the timeout. In Remofile 2 only.
	FailFast bool
	// ChunkSize is the size of the chunks of transfers that choose none, in
	// bytes. 0 is as much as suits the link; in Remofile 1 8192, or 512 where the server
	// refuses that.
	ChunkSize int
	// MaxSessions bounds the sessions that the client opens with the server,
	// so that one transfer need not wait for another; one of them is kept
	// for what is no transfer. 0 is 8. With a foreign server there is always
	// one.
	MaxSessions int
	// Logger gets session events; nil discards them.
	Logger *slog.Logger
}

func (o *Options) setDefaults() error {
	if host, port, err := net.SplitHostPort(o.Address); err != nil || host == "" || port == "" {
		return fmt.Errorf("%q is not the host and the port of a server", o.Address)
	}
	if !ValidToken(o.Token) {
		return errors.New("the token needs 1 to 255 bytes, the first of them not zero")
	}
	if o.Plain && o.PublicKey != "" {
		return errors.New("a connection can't be plain and use a public key")
	}
	if o.Timeout < 0 || o.MaxSessions < 0 {
		return errors.New("a timeout or a number of sessions can't be negative")
	}
	if o.ChunkSize < 0 || o.ChunkSize > protocol.MaxChunkSize {
		return fmt.Errorf("a chunk has 1 to %d bytes", protocol.MaxChunkSize)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = DefaultMaxSessions
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// version is the highest protocol that is spoken.
const version = 2

// config completes the options and returns what they mean to a connection.
func (o *Options) config() (zmtp.Config, error) {
	if err := o.setDefaults(); err != nil {
		return zmtp.Config{}, err
	}
	key, err := o.key()
	return zmtp.Config{
		Token:            o.Token,
		Key:              key,
		Plain:            o.Plain,
		Version:          version,
		MaxMessage:       max(protocol.MaxListing, protocol.MaxChunkSize) + protocol.MaxOverhead,
		HandshakeTimeout: o.Timeout,
		WriteTimeout:     o.Timeout,
	}, err
}

// key returns the server's public key, nothing for a plain connection.
func (o *Options) key() (curve.Key, error) {
	switch {
	case o.Plain:
		return curve.Key{}, nil
	case o.PublicKey != "":
		return parsePublicKey(o.PublicKey)
	case !StrongToken(o.Token):
		o.Logger.Warn("the token is weak: whoever records a connection can guess at it; use a generated one")
	}
	private, err := zmtp.TokenKey(o.Token)
	if err != nil {
		return curve.Key{}, err
	}
	return private.Public()
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

// ValidToken reports whether token can be the token of a server: 1 to 255 bytes, the
// first of them not zero.
func ValidToken(token string) bool { return protocol.ValidToken(token) }

// StrongToken reports whether token has the form of the generated ones, which are as
// hard to guess as a key. A connection that has no other key is as safe as its token.
func StrongToken(token string) bool { return zmtp.StrongToken(token) }

// CheckPublicKey tells why key can't be the public key of a server, or nil.
func CheckPublicKey(key string) error {
	_, err := parsePublicKey(key)
	return err
}

func parsePublicKey(text string) (curve.Key, error) {
	key, err := curve.ParseKey(text)
	if err == nil {
		err = key.CheckPublic()
	}
	if err != nil {
		return curve.Key{}, fmt.Errorf("the public key: %w", err)
	}
	return key, nil
}
