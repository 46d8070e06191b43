package remote

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

// session is one authenticated connection, on which requests are answered in
// order. Its user is alone with it; only the reader goroutine runs beside. The
// reader ends when the connection does.
type session struct {
	conn    *zmtp.Conn
	foreign bool
	timeout time.Duration

	expected atomic.Int32  // answers that the reader may receive
	answers  chan []byte   // from the reader, one at a time; valid until giveBack
	next     chan struct{} // to the reader: it may overwrite that answer
	closing  sync.Once
	closed   chan struct{} // closed by close
	dead     chan struct{} // closed by the reader, after err is set
	err      error

	out          []byte
	owed         int  // requests sent whose answers were not taken
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
		if len(frames) != 2 || len(frames[0]) != 0 || s.expected.Add(-1) < 0 {
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

// close ends the session and waits for its reader. Any goroutine may call it.
func (s *session) close() {
	s.closing.Do(func() { close(s.closed) })
	s.conn.Close()
	<-s.dead
}

// expect begins the wait for the next answer, and lets the reader overwrite the
// last one. The order matters: it is the reader that ends the wait.
func (s *session) expect() {
	s.conn.SetReadTimeout(s.timeout)
	s.giveBack()
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

// request sends r and returns its answer, which must be ACCEPTED with the wanted
// reason. The answer's Data is valid until the next answer or request.
func (s *session) request(ctx context.Context, r *protocol.Request, want protocol.Reason) (protocol.Response, error) {
	if err := s.send(ctx, r); err != nil {
		return protocol.Response{}, err
	}
	return s.receive(ctx, want)
}

// send sends r and does not wait for the answer.
func (s *session) send(ctx context.Context, r *protocol.Request) error {
	s.out = protocol.AppendRequest(s.out[:0], r)
	return s.sendOut(ctx)
}

// sendOut sends the request that out holds.
func (s *session) sendOut(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if s.owed == 0 {
		s.expect()
	}
	s.owed++
	s.expected.Add(1)
	if err := s.conn.WriteMessage(nil, s.out); err != nil {
		s.close()
		return lost(err)
	}
	return nil
}

// receive returns the answer to the oldest request that has none; it must be
// ACCEPTED with the wanted reason. When ctx ends first, the answer stays owed.
func (s *session) receive(ctx context.Context, want protocol.Reason) (protocol.Response, error) {
	r, err := s.answer(ctx)
	if err == nil && r.Type != protocol.Accepted {
		err = refusal(&r)
	} else if err == nil && r.Reason != want {
		s.close()
		err = corrupted(errors.New(r.Reason.String()))
	}
	return r, err
}

// answer returns the next answer, whatever it is.
func (s *session) answer(ctx context.Context) (protocol.Response, error) {
	if s.holding {
		s.expect()
	}
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
	s.owed--
	s.holding = true
	r, err := protocol.DecodeResponse(body)
	if err != nil {
		s.close()
		return protocol.Response{}, corrupted(err)
	}
	s.transferring = r.Type == protocol.Accepted && (r.Reason == protocol.TransferAccepted ||
		r.Reason == protocol.ChunkReceived || r.Reason == protocol.ChunkSent)
	return r, nil
}

// settled reports whether the session is ready for any request.
func (s *session) settled() bool { return s.owed == 0 && !s.transferring }

// settleTime bounds settle: a slow link may have much under way that nobody wants.
const settleTime = 2 * time.Second

// settle makes the session ready for its next user, if that can be done in a moment:
// it waits for the answers that are still owed, and cancels a transfer.
func (s *session) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for s.owed > 0 {
		if _, err := s.answer(ctx); err != nil {
			return
		}
	}
	if s.transferring {
		// An error shows in what settled says.
		s.request(ctx, &protocol.Request{Type: protocol.CancelTransfer}, protocol.TransferCancelled)
	}
}
