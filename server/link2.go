package server

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/compression"
	"github.com/remofile/remofile/protocol/zmtp"
)

var (
	errAttach  = errors.New("ATTACH is the first request of a connection, and no other")
	errGoodbye = errors.New("goodbye") // the good end of a session
	errFrames  = errors.New("a payload too many, too few or too long, or a compressed one")
)

// keepPayload is from how many bytes on a payload is not copied, but keeps all the memory
// of its message.
const keepPayload = remofile2.MaxPayload / 2

// serve2 serves a link in Remofile 2; first is its first message.
func (l *link) serve2(conn *zmtp.Conn, first [][]byte) error {
	s, err := l.begin2(conn, first)
	if err != nil {
		return err
	}
	defer s.detach(conn)
	err = l.read(s, conn)
	if errors.Is(err, zmtp.ErrInterrupted) {
		defer context.AfterFunc(l.life, s.cancel)()
		s.drain()
	}
	return err
}

// begin2 answers ATTACH. On an error the link has no session, or has lost it.
func (l *link) begin2(conn *zmtp.Conn, frames [][]byte) (*session, error) {
	r, err := remofile2.DecodeRequest(frames[0])
	if err == nil && (r.Operation != remofile2.OpAttach || len(frames) != 1) {
		err = badRequest(r.ID, errAttach)
	}
	if err != nil {
		return nil, errors.Join(err, refuse(conn, err))
	}
	s, resumed, err := l.server.attach(l, conn, &r)
	if err != nil {
		refused := answerTo(r.ID, err)
		return nil, errors.Join(err, conn.WriteMessage(remofile2.AppendAnswer(nil, r.Operation, &refused)))
	}
	l.log.Info("session attached", "resumed", resumed)
	a := remofile2.Answer{ID: r.ID, Session: s.id, Secret: s.secret, Resumed: resumed, Info: l.server.info()}
	a.Info.Features = s.features()
	if err := conn.WriteMessage(remofile2.AppendAnswer(nil, r.Operation, &a)); err != nil {
		s.detach(conn)
		return nil, err
	}
	s.attached(conn)
	return s, nil
}

// receive takes one message of the session's link. The task that it returns, if any, is to be run by the caller,
// for session.tasks. An error ends the link.
func (s *session) receive(conn *zmtp.Conn, frames [][]byte) (*task, error) {
	t := new(task)
	var err error
	if t.Request, err = remofile2.DecodeRequest(frames[0]); err == nil {
		err = t.check(frames[1:], s.codec != nil)
	}
	if err != nil {
		return nil, refuse(conn, err)
	}
	done := remofile2.Answer{ID: t.ID}
	switch t.Operation {
	case remofile2.OpGoodbye:
		s.close()
		return nil, errors.Join(errGoodbye, conn.WriteMessage(remofile2.AppendAnswer(nil, t.Operation, &done)))
	case remofile2.OpCancel: // at once, however many requests are under way
		s.cancelRequest(t.Cancel)
		return nil, conn.WriteMessage(remofile2.AppendAnswer(nil, t.Operation, &done))
	}
	if len(frames) > 1 {
		s.server.buffers.keep(t, conn, frames[1])
	}
	t.cost = t.Cost(max(len(t.payload), t.size))
	here, answer, err := s.start(conn, t)
	if here {
		return t, nil
	}
	if answer == nil {
		return nil, err
	}
	s.server.buffers.put(t.memory)
	return nil, conn.WriteMessage(answer)
}

// check tells whether a request may come with these frames behind the header, of which a
// second one tells that the payload is compressed.
func (t *task) check(payload [][]byte, compressed bool) error {
	if t.Operation == remofile2.OpAttach {
		return badRequest(t.ID, errAttach)
	}
	if t.Operation.RequestPayload() != (len(payload) > 0) || len(payload) > 2 || len(payload) == 2 && !compressed {
		return badRequest(t.ID, errFrames)
	}
	if len(payload) == 0 {
		return nil
	}
	size := len(payload[0])
	if len(payload) == 2 {
		var err error
		if t.size, err = compression.Size(payload[0], payload[1]); err != nil {
			return badRequest(t.ID, err)
		}
		size = t.size
	}
	if size > remofile2.MaxPayload || t.Offset > math.MaxInt64-int64(size) {
		return badRequest(t.ID, errFrames)
	}
	return nil
}

// keep gives a task its payload, which is a frame of the message that conn has read last.
func (b *buffers) keep(t *task, conn *zmtp.Conn, payload []byte) {
	if len(payload) >= keepPayload {
		t.payload, t.memory = payload, conn.Keep(b.message())
		return
	}
	t.payload = b.get(len(payload))
	t.memory = t.payload
	copy(t.payload, payload)
}

func badRequest(id uint64, err error) error {
	return &remofile2.RequestError{ID: id, Code: remofile2.CodeBadRequest, Err: err}
}

// refuse answers a request that can't be decoded. Without an id, that ends the link.
func refuse(conn *zmtp.Conn, err error) error {
	bad, ok := errors.AsType[*remofile2.RequestError](err)
	if !ok || bad.ID == 0 {
		return fmt.Errorf("no request: %w", err)
	}
	a := remofile2.Answer{ID: bad.ID, Code: bad.Code, Message: bad.Err.Error()}
	return conn.WriteMessage(remofile2.AppendAnswer(nil, 0, &a))
}
