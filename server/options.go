package server

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
	"github.com/remofile/remofile/protocol/zmtp/curve"
)

// Options configure a Server. Only Jail and Token are required.
type Options struct {
	// Jail is the directory to serve.
	Jail string
	// Token is the secret of the clients, 1 to 255 bytes, the first of them
	// not zero.
	Token string
	// PrivateKey is the server's CURVE key, 40 characters of Z85. With it, only
	// clients that have the public key of it are served, encrypted. Without,
	// the key is derived from the token, and clients that don't encrypt are
	// served, too, unless EncryptedOnly is set.
	PrivateKey    string
	EncryptedOnly bool
	// FileSizeLimit refuses uploads of so many bytes or more in Remofile 1, where 0 is
	// 4 GiB, and files of more bytes in Remofile 2, where 0 is no limit.
	FileSizeLimit int64
	// MinChunkSize and MaxChunkSize bound the chunks of transfers, in bytes;
	// 0 is 512 and 8192. The largest that can be allowed is
	// protocol.MaxChunkSize.
	MinChunkSize, MaxChunkSize int
	// StagingLimit bounds the bytes of all uploads under way: in Remofile 1 as their
	// clients declared them, in Remofile 2 as they come. Parts that are kept to be
	// resumed count, too, but make room for others. 0 is no limit.
	StagingLimit int64
	// ReadOnly refuses every change.
	ReadOnly bool
	// Exclusive serves one client at a time. One that has lost its connection counts
	// as long as its session is kept.
	Exclusive bool
	// PortableNames holds names to the rule of Remofile 1 in Remofile 2, too.
	PortableNames bool
	// Grace is how long a session of Remofile 2 is kept that has lost its
	// connection; 0 is a minute.
	Grace time.Duration
	// Version is the program's, for the clients; "" is none.
	Version string
	// Logger gets session events; nil discards them.
	Logger *slog.Logger
}

// complete replaces zero values by what they stand for, and checks the rest.
// Jail is checked when it is opened.
func (o *Options) complete() error {
	if o.Jail == "" {
		return errors.New("no directory to serve")
	}
	if !protocol.ValidToken(o.Token) {
		return fmt.Errorf("the token must have 1 to %d bytes, the first of them not zero", protocol.MaxToken)
	}
	if o.FileSizeLimit < 0 || o.StagingLimit < 0 {
		return errors.New("the file size limit and the staging limit can't be negative")
	}
	if o.FileSizeLimit == 0 {
		o.FileSizeLimit = protocol.DefaultFileSizeLimit
	}
	if o.MinChunkSize == 0 {
		o.MinChunkSize = protocol.DefaultMinChunkSize
	}
	if o.MaxChunkSize == 0 {
		o.MaxChunkSize = protocol.DefaultMaxChunkSize
	}
	if o.MinChunkSize < 0 || o.MinChunkSize > o.MaxChunkSize || o.MaxChunkSize > protocol.MaxChunkSize {
		return fmt.Errorf("chunk sizes of %d to %d bytes: must be of 1 to %d", o.MinChunkSize, o.MaxChunkSize,
			protocol.MaxChunkSize)
	}
	if o.Grace < 0 {
		return errors.New("the grace time can't be negative")
	}
	if o.Grace == 0 {
		o.Grace = remofile2.DefaultGrace
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// key returns the private key of the server.
func (o *Options) key() (curve.Key, error) {
	if o.PrivateKey == "" {
		if !zmtp.StrongToken(o.Token) {
			o.Logger.Warn("the token is weak: whoever records a connection can guess at it; use a generated one")
		}
		return zmtp.TokenKey(o.Token)
	}
	return parsePrivateKey(o.PrivateKey)
}

// CheckPrivateKey tells why key can't be the private key of a server, or nil. It never
// quotes it.
func CheckPrivateKey(key string) error {
	_, err := parsePrivateKey(key)
	return err
}

func parsePrivateKey(text string) (curve.Key, error) {
	key, err := curve.ParseKey(text)
	if err != nil {
		return curve.Key{}, fmt.Errorf("the private key: %w", err)
	}
	return key, nil
}
