package remote

import (
	"context"
	"errors"
	"io"

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

func (o *TransferOptions) check(op, p string) error {
	if o.ChunkSize < 0 || o.ChunkSize > protocol.MaxChunkSize {
		return &Error{Op: op, Path: p, Code: BadChunkSize}
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
	return c.upload(ctx, p, source{Reader: r}, size, o)
}

// source is what an upload reads.
type source struct {
	io.Reader
	// intact, if not nil, is asked before the last chunk is sent whether the
	// source still is what it was.
	intact func() error
}

func (c *Client) upload(ctx context.Context, p string, src source, size int64, o TransferOptions) error {
	const op = "upload"
	dir, name, err := splitName(op, p)
	if err != nil {
		return err
	}
	if err := o.check(op, p); err != nil {
		return err
	}
	if size < 0 {
		return &Error{Op: op, Path: p, Err: errors.New("a file can't have a negative size")}
	}
	if size == 0 && !o.Replace {
		return c.do(ctx, op, p, protocol.Request{Type: protocol.CreateFile, Name: name, Directory: dir}, protocol.FileCreated)
	}
	begin := protocol.Request{Type: protocol.UploadFile, Name: name, Directory: dir, Size: size, Replace: o.Replace}
	return c.transfer(ctx, op, p, func(s *session) error {
		if s.foreign && o.Replace {
			return &Error{Code: Unsupported, Err: errors.New("it can't replace a file")}
		}
		if _, err := c.begin(ctx, s, &begin, o.ChunkSize); err != nil {
			return err
		}
		return s.sendFile(ctx, src, outgoing{size: size, chunkSize: begin.ChunkSize, name: name}, &o)
	})
}

// begin sends the first request of a transfer with the chunk size that was chosen for
// it or, where that is 0, with the one that the server is known to take, and leaves it
// in r. Where nobody chose, 512 is tried after 8192.
func (c *Client) begin(ctx context.Context, s *session, r *protocol.Request, chosen int) (protocol.Response, error) {
	for {
		r.ChunkSize = int64(chosen)
		if chosen == 0 {
			r.ChunkSize = c.chunkSize.Load()
		}
		answer, err := s.request(ctx, r, protocol.TransferAccepted)
		if errors.Is(err, BadChunkSize) && chosen == 0 && c.opts.ChunkSize == 0 && r.ChunkSize != protocol.DefaultMinChunkSize {
			c.chunkSize.Store(protocol.DefaultMinChunkSize)
			continue
		}
		return answer, err
	}
}

// outgoing is a file that is being sent.
type outgoing struct {
	name      string
	size      int64
	chunkSize int64
	sent      int64 // bytes
	last      bool  // the last chunk was sent
}

// windowSize is how many bytes of chunks are under way at a time, and windowChunks
// how many chunks. A foreign server gets one chunk after the other.
const (
	windowSize   = 1 << 20
	windowChunks = 64
)

// window returns how many chunks may be under way.
func (s *session) window(chunkSize int64) int {
	if s.foreign {
		return 1
	}
	return int(min(max(windowSize/chunkSize, 2), windowChunks))
}

// sendFile sends the whole of src. A file of 0 bytes is one chunk of 0 bytes.
func (s *session) sendFile(ctx context.Context, src source, f outgoing, o *TransferOptions) error {
	window := s.window(f.chunkSize)
	for {
		for !f.last && s.owed < window {
			if err := s.sendChunk(ctx, src, &f, o); err != nil {
				return err
			}
		}
		if f.last && s.owed == 1 {
			_, err := s.receive(ctx, protocol.TransferCompleted)
			return err
		}
		if _, err := s.receive(ctx, protocol.ChunkReceived); err != nil {
			return err
		}
	}
}

func (s *session) sendChunk(ctx context.Context, src source, f *outgoing, o *TransferOptions) error {
	remaining := f.size - f.sent
	n := min(remaining, f.chunkSize)
	var err error
	s.out, err = protocol.AppendSendChunk(s.out[:0], int(n), func(chunk []byte) error {
		if _, err := io.ReadFull(src, chunk); err != nil {
			return sourceError(err)
		}
		return o.report(chunk, remaining, f.size, f.name)
	})
	f.sent += n
	f.last = n == remaining
	if err == nil && f.last && src.intact != nil {
		err = src.intact()
	}
	if err == nil {
		err = s.sendOut(ctx)
	}
	return err
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
	const op = "download"
	dir, name, err := splitName(op, p)
	if err == nil {
		err = o.check(op, p)
	}
	if err != nil {
		return 0, err
	}
	var written int64
	err = c.transfer(ctx, op, p, func(s *session) error {
		begin := protocol.Request{Type: protocol.DownloadFile, Name: name, Directory: dir}
		answer, err := c.begin(ctx, s, &begin, o.ChunkSize)
		if err != nil {
			return err
		}
		written, err = s.receiveFile(ctx, w, answer.Size, begin.ChunkSize, name, &o)
		return err
	})
	return written, err
}

// receiveFile writes a file of size bytes to w and returns how many it wrote.
func (s *session) receiveFile(ctx context.Context, w io.Writer, size, chunkSize int64, name string, o *TransferOptions) (written int64, err error) {
	unasked := max((size-1)/chunkSize+1, 1) // chunks; a file of 0 bytes has one of 0 bytes
	window := s.window(chunkSize)
	for {
		for unasked > 0 && s.owed < window {
			if err := s.send(ctx, &protocol.Request{Type: protocol.ReceiveChunk}); err != nil {
				return written, err
			}
			unasked--
		}
		remaining := size - written
		want := protocol.ChunkSent
		if remaining <= chunkSize {
			want = protocol.TransferCompleted
		}
		answer, err := s.receive(ctx, want)
		if err != nil {
			return written, err
		}
		if int64(len(answer.Data)) != min(remaining, chunkSize) {
			s.close()
			return written, corrupted(errors.New("a chunk of a wrong size"))
		}
		if err := o.report(answer.Data, remaining, size, name); err != nil {
			return written, err
		}
		n, err := w.Write(answer.Data)
		written += int64(n)
		if err != nil || want == protocol.TransferCompleted {
			return written, err
		}
	}
}
