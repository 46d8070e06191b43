package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

// session is one connection, from its handshake to its end. All but conn belongs
// to the goroutine of run.
type session struct {
	server *Server
	nc     net.Conn
	conn   *zmtp.Conn // nil before the end of the handshake; guarded by server.mu
	id     uint64
	peer   string
	source netip.Addr // of the peer, see sourceOf
	since  time.Time
	ended  chan struct{} // closed when the server has forgotten it
	life   context.Context
	end    context.CancelFunc // of life: the connection is cut
	log    *slog.Logger

	longListing bool // the answer is one, and has a place among those of the server

	state    state
	upload   *upload   // in the state uploading
	download *download // in the state downloading
	answer   answer
}

func newSession(s *Server, nc net.Conn, id uint64) *session {
	peer := nc.RemoteAddr().String()
	life, end := context.WithCancel(context.Background())
	return &session{
		server: s,
		nc:     nc,
		id:     id,
		peer:   peer,
		source: sourceOf(nc.RemoteAddr()),
		since:  time.Now(),
		ended:  make(chan struct{}),
		life:   life,
		end:    end,
		log:    s.log.With("session", id, "peer", peer),
	}
}

// run serves the connection, which has entered the gate, until it ends, and frees
// what the session held.
func (s *session) run() {
	defer s.end()
	defer s.survive()
	defer s.server.gate.leave(s)
	conn, err := s.handshake()
	if err != nil {
		s.turnedAway(err)
		return
	}
	defer conn.Close()
	defer s.freeListing()
	defer s.toIdle()
	s.log.Info("session begins")
	err = s.serve(conn)
	attrs := []any{"dur", time.Since(s.since)}
	if !errors.Is(err, io.EOF) && !errors.Is(err, zmtp.ErrInterrupted) {
		attrs = append(attrs, "err", err)
	}
	s.log.Info("session ends", attrs...)
}

// survive makes a fault of ours that one session meets the end of that session, not
// of the server.
func (s *session) survive() {
	if fault := recover(); fault != nil {
		s.nc.Close()
		s.log.Error("session panicked", "err", fmt.Sprintf("%v\n%s", fault, debug.Stack()))
	}
}

// handshake authenticates the peer, after the delay that the failures of its address
// have earned it.
func (s *session) handshake() (*zmtp.Conn, error) {
	delay := s.server.gate.delay(s.source)
	if err := s.sleep(delay); err != nil {
		return nil, err
	}
	cfg := s.server.zmtp
	cfg.HandshakeTimeout = protocol.HandshakeTimeout - delay
	cfg.Admit = func(net.Addr) error { return s.server.admit(s) }
	conn, err := zmtp.Server(s.nc, &cfg)
	if err == nil && !s.server.establish(s, conn) {
		conn.Close()
		return nil, ErrClosed
	}
	return conn, err
}

// sleep waits for d. That the connection was cut meanwhile is an error.
func (s *session) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.life.Done():
		return s.life.Err()
	}
}

// turnedAway logs why the handshake failed. A wrong token or key has consequences for
// the peer's address; that the server is in use, or the link lost, has none.
func (s *session) turnedAway(err error) {
	refused, ok := errors.AsType[*zmtp.RefusedError](err)
	if !ok {
		s.log.Debug("handshake failed", "err", err)
	} else if _, inUse := refused.InUse(); inUse {
		s.log.Info("session refused", "err", err)
	} else {
		s.server.gate.fail(s, err)
	}
}

// admitTime is how long a client of an exclusive server waits for the one before
// it, which may have hung up without the server having noticed yet.
const admitTime = 250 * time.Millisecond

// admit takes sess, whose peer knows the token, for a client. The error tells the peer
// why that can't be.
func (s *Server) admit(sess *session) error {
	if err := s.gate.admit(sess); err != nil || !s.options.Exclusive {
		return err
	}
	return s.admitAlone(sess)
}

// admitAlone makes sess the one client of an exclusive server. The error tells the
// peer who is that already.
func (s *Server) admitAlone(sess *session) error {
	patience := time.NewTimer(admitTime)
	defer patience.Stop()
	for {
		holder := s.hold(sess)
		if holder == sess {
			return nil
		}
		select {
		case <-holder.ended:
		case <-patience.C:
			return fmt.Errorf("held by %s since %s", holder.peer, holder.since.Format(time.DateTime))
		}
	}
}

// hold makes sess the one client, unless there is one, and returns which it is.
func (s *Server) hold(sess *session) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holder == nil {
		s.holder = sess
	}
	return s.holder
}

// establish gives sess its connection, unless the server stops.
func (s *Server) establish(sess *session, conn *zmtp.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess.conn = conn
	return !s.closing
}

// interrupt ends the session after the request under way; server.mu is held.
func (s *session) interrupt() {
	if s.conn == nil {
		s.cut()
		return
	}
	s.conn.Interrupt()
}

// cut ends the session at once.
func (s *session) cut() {
	s.end()
	s.nc.Close()
}

// serve answers one message after the other.
func (s *session) serve(conn *zmtp.Conn) error {
	for {
		frames, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		s.handle(frames)
		if err := conn.WriteMessage(nil, s.answer.buf); err != nil {
			return err
		}
		s.freeListing()
		s.answer.shrink(s.server.options.MaxChunkSize + protocol.MaxOverhead)
	}
}

// handle leaves the answer to one message in s.answer.
func (s *session) handle(frames [][]byte) {
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
func (s *session) logRequest(r *protocol.Request, start time.Time, err error) {
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
