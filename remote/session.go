package remote

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

// session is one authenticated connection: one request at a time, one response
// to each. Its user is alone with it; only the reader goroutine runs beside. The
// reader ends when the connection does.
type session struct {
	conn    *zmtp.Conn
	foreign bool
	timeout time.Duration

	owed    atomic.Bool   // for the reader: a request was sent and its answer has not come
	answers chan []byte   // from the reader, one an owed answer; valid until giveBack
	next    chan struct{} // to the reader: it may overwrite that answer
	closed  chan struct{} // closed by close
	dead    chan struct{} // closed by the reader, after err is set
	err     error

	out          []byte
	awaiting     bool // a request was sent and its answer not taken
	holding      bool // an answer was taken and not given back
	transferring bool // as the server sees it: UPLOAD or DOWNLOAD
}

// errUnasked is a message that no request asked for, or one in another form than
// an empty frame and a pickle.
var errUnasked = errors.New("a message that answers nothing")

func newSession(conn *zmtp.Conn, timeout time.Duration) *session {
	s := &session{
		conn:    conn,
		foreign: conn.PeerVersion() == 0,
		timeout: timeout,
		answers: make(chan []byte, 1),
		next:    make(chan struct{}),
		closed:  make(chan struct{}),
		dead:    make(chan struct{}),
	}
	go s.read()
	return s
}

// read is the reader goroutine. It notices at once when the server goes away.
func (s *session) read() {
	defer close(s.dead)
	defer s.conn.Close()
	for {
		frames, err := s.conn.ReadMessage()
		if err != nil {
			s.err = err
			return
		}
		if len(frames) != 2 || len(frames[0]) != 0 || !s.owed.CompareAndSwap(true, false) {
			s.err = corrupted(errUnasked)
			return
		}
		s.conn.SetReadTimeout(0)
		s.answers <- frames[1]
		select {
		case <-s.next:
		case <-s.closed:
			s.err = net.ErrClosed
			return
		}
	}
}

func (s *session) alive() bool {
	select {
	case <-s.dead:
		return false
	default:
		return true
	}
}

// close ends the session and waits for its reader.
func (s *session) close() {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	s.conn.Close()
	<-s.dead
}

// giveBack lets the reader overwrite the answer last taken.
func (s *session) giveBack() {
	if !s.holding {
		return
	}
	s.holding = false
	select {
	case s.next <- struct{}{}:
	case <-s.dead:
	}
}

// request sends r and returns its answer, which must be ACCEPTED with one of the
// wanted reasons, or with any where none is named. The answer's Data is valid until the next request.
func (s *session) request(ctx context.Context, r *protocol.Request, want ...protocol.Reason) (protocol.Response, error) {
	s.out = protocol.AppendRequest(s.out[:0], r)
	return s.exchange(ctx, want...)
}

// exchange sends what out holds.
func (s *session) exchange(ctx context.Context, want ...protocol.Reason) (protocol.Response, error) {
	if err := context.Cause(ctx); err != nil {
		return protocol.Response{}, err
	}
	s.giveBack()
	s.awaiting = true
	s.owed.Store(true)
	s.conn.SetReadTimeout(s.timeout)
	if err := s.conn.WriteMessage(nil, s.out); err != nil {
		s.close()
		return protocol.Response{}, lost(err)
	}
	return s.answer(ctx, want...)
}

// answer waits for the answer that is owed. When ctx ends first, it stays owed.
func (s *session) answer(ctx context.Context, want ...protocol.Reason) (protocol.Response, error) {
	var body []byte
	select {
	case body = <-s.answers:
	case <-ctx.Done():
		return protocol.Response{}, context.Cause(ctx)
	case <-s.dead:
		select {
		case body = <-s.answers:
		default:
			return protocol.Response{}, lost(s.err)
		}
	}
	s.awaiting, s.holding = false, true
	r, err := protocol.DecodeResponse(body)
	if err != nil {
		s.close()
		return protocol.Response{}, corrupted(err)
	}
	s.transferring = r.Type == protocol.Accepted && (r.Reason == protocol.TransferAccepted ||
		r.Reason == protocol.ChunkReceived || r.Reason == protocol.ChunkSent)
	if r.Type != protocol.Accepted {
		return r, refusal(&r)
	}
	if len(want) > 0 && !slices.Contains(want, r.Reason) {
		s.close()
		return r, corrupted(errors.New(r.Reason.String()))
	}
	return r, nil
}

// settled reports whether the session is ready for any request.
func (s *session) settled() bool { return !s.awaiting && !s.transferring }

// settle makes the session ready for its next user: it waits for the answer that
// is still owed, and cancels a transfer. What can't be settled is closed.
func (s *session) settle() {
	ctx := context.Background()
	if s.awaiting {
		s.answer(ctx)
	}
	if s.transferring && s.alive() {
		s.cancelTransfer(ctx)
	}
}

// cancelTransfer tells the server to drop the transfer under way.
func (s *session) cancelTransfer(ctx context.Context) {
	if _, err := s.request(ctx, &protocol.Request{Type: protocol.CancelTransfer}, protocol.TransferCancelled); err != nil {
		s.close()
	}
}
