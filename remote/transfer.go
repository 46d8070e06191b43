package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/remofile/remofile/protocol"
)

// TransferOptions are the options of an upload or a download. The zero value is
// good.
type TransferOptions struct {
	// Replace lets the transfer replace an existing file, in one step when it
	// is complete; in the transfer of a directory, existing directories are
	// used. Without it an existing name fails with Exists.
	Replace bool
	// ChunkSize is the size of the chunks in bytes; 0 is the client's. It fails
	// with BadChunkSize where the server refuses it.
	ChunkSize int
	// Progress is called with each chunk before it is sent or written: its
	// bytes (valid during the call), how many bytes remain, these included,
	// and the size and the name of the whole file. Returning false cancels
	// the transfer on the server; it fails with Cancelled.
	Progress func(chunk []byte, remaining, size int64, name string) bool
}

func (o *TransferOptions) check() error {
	if o.ChunkSize < 0 || o.ChunkSize > protocol.MaxChunkSize {
		return &Error{Code: BadChunkSize}
	}
	return nil
}

// report calls Progress, where there is one.
func (o *TransferOptions) report(chunk []byte, remaining, size int64, name string) error {
	if o.Progress != nil && !o.Progress(chunk, remaining, size, name) {
		return &Error{Code: Cancelled}
	}
	return nil
}

// Upload sends size bytes of r to the file p, which appears when it is complete.
// It fails with Exists, NotDirectory (there is no such directory) or TooLarge,
// with Changed where r ends early, and with Unsupported where it should replace
// a file on a foreign server.
func (c *Client) Upload(ctx context.Context, p string, r io.Reader, size int64, o TransferOptions) error {
	return c.uploadSource(ctx, p, source{Reader: r}, size, o)
}

var errNegativeSize = fmt.Errorf("%w: a file can't have a negative size", fs.ErrInvalid)

// source is what an upload reads.
type source struct {
	io.Reader
	// intact, if not nil, is asked before the last chunk is sent whether the
	// source still is what it was.
	intact func() error
}

func (c *Client) uploadSource(ctx context.Context, p string, src source, size int64, o TransferOptions) error {
	cleaned, err := cleanName(p)
	if err == nil {
		err = o.check()
	}
	if err == nil && size < 0 {
		err = errNegativeSize
	}
	if err == nil {
		err = c.upload(ctx, cleaned, src, size, &o)
	}
	return c.failure("upload", p, err)
}

func sourceError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Code: Changed}
	}
	return err
}

// Download writes the content of the file p to w and returns its size in bytes,
// or how many bytes w took before an error. It fails with NotFound, NotAFile or
// NotDirectory (there is no such directory).
func (c *Client) Download(ctx context.Context, p string, w io.Writer, o TransferOptions) (int64, error) {
	cleaned, err := cleanName(p)
	if err == nil {
		err = o.check()
	}
	var written int64
	if err == nil {
		written, err = c.download(ctx, cleaned, w, &o)
	}
	return written, c.failure("download", p, err)
}
