package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

// session1 is a session in Remofile 1. It ends with its link, whose goroutine it
// belongs to.
type session1 struct {
	*link
	longListing bool // the answer is one, and has a place among those of the server

	state    state
	upload   *upload   // in the state uploading
	download *download // in the state downloading
	answer   answer
}

// serve answers one message after the other, beginning with frames, and frees in the
// end what the session held.
func (s *session1) serve(conn *zmtp.Conn, frames [][]byte) error {
	defer s.server.jail.stagings.removeUnused()
	defer s.freeListing()
	defer s.toIdle()
	for {
		s.handle(frames)
		if err := conn.WriteMessage(nil, s.answer.buf); err != nil {
			return err
		}
		s.freeListing()
		s.answer.shrink(s.server.options.MaxChunkSize + protocol.MaxOverhead)
		var err error
		if frames, err = conn.ReadMessage(); err != nil {
			return err
		}
	}
}

// handle leaves the answer to one message in s.answer.
func (s *session1) handle(frames [][]byte) {
	s.server.zmtp.Processors.Use()
	defer s.server.zmtp.Processors.Unuse()
	start := time.Now()
	r, err := decode(frames)
	switch {
	case err != nil:
		if s.state == uploading && isChunk(err) {
			s.toIdle()
		}
	case !s.state.allows(r.Type):
		err = errBadRequest
	default:
		err = s.execute(&r)
	}
	if err != nil {
		s.answer.set(responseTo(err))
	}
	s.logRequest(&r, start, err)
}

// decode reads a request out of a message: an empty frame, as a REQ socket sends
// it, and the request.
func decode(frames [][]byte) (protocol.Request, error) {
	if len(frames) != 2 || len(frames[0]) != 0 {
		return protocol.Request{}, errBadRequest
	}
	return protocol.DecodeRequest(frames[1])
}

// isChunk reports whether err is about what can be a malformed SEND_CHUNK.
func isChunk(err error) bool {
	bad, ok := errors.AsType[*protocol.BadRequestError](err)
	return ok && (bad.Type == protocol.SendChunk || bad.Type == 0)
}

// logRequest logs each request for debugging. What is the server's own failure is
// logged always: the client gets no more than a line of text.
func (s *session1) logRequest(r *protocol.Request, start time.Time, err error) {
	level := slog.LevelDebug
	if s.answer.reason == protocol.UnknownError {
		if _, told := errors.AsType[failure](err); !told {
			level = slog.LevelWarn
		}
	}
	if !s.log.Enabled(context.Background(), level) {
		return
	}
	attrs := []any{"op", r.Type.String(), "path", requestPath(r), "code", s.answer.reason.String(),
		"dur", time.Since(start)}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	s.log.Log(context.Background(), level, "request", attrs...)
}

// requestPath returns what r is about, for the log; "" for chunks.
func requestPath(r *protocol.Request) string {
	switch {
	case r.Name == "":
		return r.Directory
	case r.Directory == "/":
		return "/" + r.Name
	default:
		return r.Directory + "/" + r.Name
	}
}
