// Package remote is the client library of Remofile: one method for each thing
// that can be done with the jail of a server.
//
// All remote paths are absolute paths in the jail, "/a/b". Every error is an
// *Error that tells the operation, the path and a Code; for a tree, several are
// joined.
package remote

import (
	"context"
	"io"

	"github.com/remofile/remofile/protocol/remofile2/compression"
	"github.com/remofile/remofile/protocol/zmtp"
)

// Client is what a program holds of one server. It opens sessions as they are
// needed and again when they were lost. All methods may be called from several
// goroutines.
type Client struct {
	*dialer
	backend
}

// backend does what a Client does, in the protocol that the server speaks. Paths have been
// checked; errors that are no *Error, or one without an operation, are completed by the
// Client.
type backend interface {
	foreign() bool
	validName(name string) bool
	// readDir returns entries behind the name after, in any order, and next to go on with,
	// "" at the end. Symbolic links are not followed: that does follow, where they lead to a
	// file or a directory. most is a hint, in bytes of the protocol.
	readDir(ctx context.Context, dir, after string, most int64) (page []Entry, next string, err error)
	follow(ctx context.Context, dir string, entries []Entry) error
	stat(ctx context.Context, p string) (Entry, error)
	lstat(ctx context.Context, p string) (Entry, error)
	status(ctx context.Context) (*Status, error)
	createFile(ctx context.Context, p string) error
	makeDirectory(ctx context.Context, p string) error
	remove(ctx context.Context, p string) error
	removeAll(ctx context.Context, p string) error
	upload(ctx context.Context, p string, src source, size int64, o *TransferOptions) error
	download(ctx context.Context, p string, w io.Writer, o *TransferOptions) (int64, error)
	close()
}

// Dial connects to a server and checks the token.
func Dial(ctx context.Context, o Options) (*Client, error) {
	cfg, err := o.config()
	var codec *compression.Codec
	if err == nil {
		codec, err = compression.NewCodec()
	}
	if err != nil {
		return nil, &Error{Op: "dial", Path: o.Address, Err: err}
	}
	d := &dialer{opts: o, cfg: cfg, codec: codec}
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, d.failure("dial", o.Address, err)
	}
	b, err := d.backend(ctx, conn)
	if err != nil {
		return nil, d.failure("dial", o.Address, err)
	}
	return &Client{dialer: d, backend: b}, nil
}

// backend returns what speaks the highest protocol that both sides know.
func (d *dialer) backend(ctx context.Context, conn *zmtp.Conn) (backend, error) {
	if conn.PeerVersion() >= 2 {
		return newClient2(ctx, d, conn)
	}
	return newClient1(d, conn), nil
}

// Close ends all sessions. Operations under way fail; those that were cancelled
// are given the time to tell the server.
func (c *Client) Close() error {
	c.backend.close()
	return nil
}

// second returns what speaks Remofile 2, or fails with Unsupported.
func (c *Client) second() (*client2, error) {
	if c2, ok := c.backend.(*client2); ok {
		return c2, nil
	}
	return nil, &Error{Code: Unsupported}
}

// Protocol returns the number of the protocol that the server and this client speak: 1 or 2.
func (c *Client) Protocol() int {
	if _, err := c.second(); err != nil {
		return 1
	}
	return 2
}

// Foreign reports whether the server is not one of ours. It can then neither
// remove a file nor replace one, and serves one session.
func (c *Client) Foreign() bool { return c.backend.foreign() }

// ValidName reports whether name can be given to a new file or directory: any name of 1
// to 255 bytes can, but Remofile 1, and a server that wants portable names, have none of
// < > : " / \ | ? * in them.
func (c *Client) ValidName(name string) bool { return c.backend.validName(name) }
