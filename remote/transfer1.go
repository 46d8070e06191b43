package remote

import (
	"context"
	"errors"
	"io"

	"github.com/remofile/remofile/protocol"
)

func (c *client1) upload(ctx context.Context, p string, src source, size int64, o *TransferOptions) error {
	dir, name, err := splitName(p)
	if err != nil {
		return err
	}
	if size == 0 && !o.Replace {
		return c.do(ctx, protocol.Request{Type: protocol.CreateFile, Name: name, Directory: dir}, protocol.FileCreated)
	}
	begin := protocol.Request{Type: protocol.UploadFile, Name: name, Directory: dir, Size: size, Replace: o.Replace}
	return c.transfer(ctx, func(s *session) error {
		if s.foreign && o.Replace {
			return &Error{Code: Unsupported, Err: errors.New("it can't replace a file")}
		}
		if _, err := c.begin(ctx, s, &begin, o.ChunkSize); err != nil {
			return err
		}
		return s.sendFile(ctx, src, outgoing{size: size, chunkSize: begin.ChunkSize, name: name}, o)
	})
}

// begin sends the first request of a transfer with the chunk size that was chosen for
// it or, where that is 0, with the one that the server is known to take, and leaves it
// in r. Where nobody chose, 512 is tried after 8192.
func (c *client1) begin(ctx context.Context, s *session, r *protocol.Request, chosen int) (protocol.Response, error) {
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

func (c *client1) download(ctx context.Context, p string, w io.Writer, o *TransferOptions) (int64, error) {
	dir, name, err := splitName(p)
	if err != nil {
		return 0, err
	}
	var written int64
	err = c.transfer(ctx, func(s *session) error {
		begin := protocol.Request{Type: protocol.DownloadFile, Name: name, Directory: dir}
		answer, err := c.begin(ctx, s, &begin, o.ChunkSize)
		if err != nil {
			return err
		}
		written, err = s.receiveFile(ctx, w, answer.Size, begin.ChunkSize, name, o)
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
