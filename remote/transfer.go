package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/remofile2"
)

// TransferOptions are the options of an upload or a download. The zero value is
// good.
type TransferOptions struct {
	// Replace lets the transfer replace an existing file, in one step when it
	// is complete. Without it an existing name fails with Exists.
	Replace bool
	// NoFollow transfers nothing through a symbolic link of the server: an upload to one fails with
	// Exists, a download of one with NotAFile. Remofile 1 knows no links.
	NoFollow bool
	// Preserve gives the copy the permission bits and the modification time of the file. Remofile 1
	// carries neither: there it does nothing.
	Preserve bool
	// Delta looks for what the file that is replaced has in common with the new one, wherever that
	// stands, and moves only the rest, if both have more than 1 MiB. Both sides read and digest
	// what they have for that. A server that can't do so moves all. Only UploadFile and DownloadFile
	// know it, and those that use them.
	Delta bool
	// ChunkSize is the size of the chunks in bytes; 0 is the client's. It fails
	// with BadChunkSize where the server refuses it.
	ChunkSize int
	// Progress is called with each chunk before it is sent or written: its
	// bytes (valid during the call), how many bytes remain, these included,
	// and the size and the name of the whole file. What an interrupted
	// transfer has left counts as well, when it has been found to be right: in
	// chunks of 256 KiB or more, and in a download perhaps before what precedes
	// it. Returning false cancels the transfer, of which nothing is kept; it
	// fails with Cancelled.
	Progress func(chunk []byte, remaining, size int64, name string) bool
	// Resumed is called before Progress where a chunk is there already, or with
	// Delta in the file that is replaced, with its length in bytes and the name of the whole file.
	Resumed func(bytes int64, name string)

	expected int64    // size of the file to download in bytes, as a listing told; 0 is unknown
	opened   *Attr    // if not nil, becomes what the file to download was when it was opened
	basis    *os.File // for Delta, what a download replaces; nil is none
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

// reportResumed is report for a chunk that an interrupted transfer has left.
func (o *TransferOptions) reportResumed(chunk []byte, remaining, size int64, name string) error {
	if o.Resumed != nil {
		o.Resumed(int64(len(chunk)), name)
	}
	return o.report(chunk, remaining, size, name)
}

// interrupted reports whether a transfer that ended with err may go on later: its context
// has ended, or the server can't be reached any longer.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil || slices.ContainsFunc(serverCodes, func(c Code) bool { return errors.Is(err, c) })
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
	// part is what the server calls the part of it that an interrupted upload leaves,
	// for another one to find it. "" is none.
	part string
	// changes are made to the copy before anybody sees it.
	changes remofile2.Changes
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
