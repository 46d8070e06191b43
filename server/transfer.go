package server

import (
	"errors"
	"io"
	"os"

	"github.com/remofile/remofile/protocol"
)

// Sections 4.9 and 4.10 of the specification: the requests of uploads and
// downloads. Where either ends, the state is idle before the answer leaves.

// uploadFile begins an upload. A file of 0 bytes is for CREATE_FILE, unless it is to
// replace another.
func (s *session1) uploadFile(r *protocol.Request) error {
	if r.Size < 0 || r.Size == 0 && !r.Replace || r.Size >= s.server.options.FileSizeLimit {
		return refusal(protocol.IncorrectFileSize)
	}
	if !s.allowsChunkSize(r.ChunkSize) {
		return refusal(protocol.IncorrectChunkSize)
	}
	u, err := s.server.uploads.start(s.life, r, s.link)
	if err != nil {
		return transferError(err)
	}
	s.toUploading(u)
	return nil
}

// sendChunk takes the next chunk. One of a wrong length, and every error, ends the
// upload.
func (s *session1) sendChunk(r *protocol.Request) (protocol.Response, error) {
	u := s.upload
	if int64(len(r.Data)) != u.nextChunk() {
		s.toIdle()
		return protocol.Response{}, errBadRequest
	}
	err := u.write(r.Data)
	if err == nil && !u.complete() {
		return accepted(protocol.ChunkReceived), nil
	}
	if err == nil {
		err = transferError(u.commit())
	}
	s.toIdle()
	return accepted(protocol.TransferCompleted), err
}

func (s *session1) downloadFile(r *protocol.Request) (protocol.Response, error) {
	if !s.allowsChunkSize(r.ChunkSize) {
		return protocol.Response{}, refusal(protocol.IncorrectChunkSize)
	}
	f, size, err := s.server.jail.openFile(r.Directory, r.Name)
	if err != nil {
		return protocol.Response{}, transferError(err)
	}
	s.toDownloading(newDownload(f, size, r.ChunkSize))
	response := accepted(protocol.TransferAccepted)
	response.Size = size
	return response, nil
}

// receiveChunk answers with the next chunk, which it reads into the answer. An
// error ends the download.
func (s *session1) receiveChunk() error {
	d := s.download
	n, reason := d.nextChunk()
	if n == 0 {
		s.toIdle()
		s.answer.set(accepted(reason))
		return nil
	}
	buf, err := protocol.AppendChunk(s.answer.buf[:0], reason, n, d.fill)
	if err != nil || reason == protocol.TransferCompleted {
		s.toIdle()
	}
	if err != nil {
		return err
	}
	s.answer.buf, s.answer.reason = buf, reason
	return nil
}

func (s *session1) allowsChunkSize(n int64) bool {
	return n >= int64(s.server.options.MinChunkSize) && n <= int64(s.server.options.MaxChunkSize)
}

// transferError is err as uploads and downloads answer it: to them a directory
// that does not exist is none, as in the original.
func transferError(err error) error {
	if errors.Is(err, errNoDirectory) {
		return refusal(protocol.NotADirectory)
	}
	return err
}

// download is one download under way.
type download struct {
	file      *os.File
	size      int64 // bytes when it began
	chunkSize int64
	sent      int64
	fill      func([]byte) error // read, bound once: a chunk allocates nothing
}

func newDownload(f *os.File, size, chunkSize int64) *download {
	d := &download{file: f, size: size, chunkSize: chunkSize}
	d.fill = d.read
	return d
}

// nextChunk returns the length of the next chunk and the reason that comes with
// it. Only a file of 0 bytes has a chunk of 0.
func (d *download) nextChunk() (int, protocol.Reason) {
	rest := d.size - d.sent
	if rest > d.chunkSize {
		return int(d.chunkSize), protocol.ChunkSent
	}
	return int(rest), protocol.TransferCompleted
}

// read reads the next chunk into p.
func (d *download) read(p []byte) error {
	n, err := d.file.ReadAt(p, d.sent)
	d.sent += int64(n)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		return failure("the file became shorter during the download")
	}
	return err
}

func (d *download) close() { d.file.Close() }
