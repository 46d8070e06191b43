package server

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
)

var errInternal = errors.New("internal error")

// task is one request under way. It belongs to its goroutine, but for what a session's
// lock guards.
type task struct {
	session *session
	remofile2.Request
	payload []byte // of the request
	memory  []byte // that payload stands in
	size    int    // of payload when decompressed, 0 where it is not compressed
	cost    int64  // bytes, of session.load and session.held
	ctx     context.Context
	cancel  context.CancelFunc

	after []<-chan struct{} // what must be executed before: requests on the same handles
	done  chan struct{}     // closed when it is executed
	file  *handle           // of Handle, or nil
	to    *handle           // of ToHandle, or nil

	// together is the connection on which the next request had come already when the reader began this one: the
	// answer waits for that one's there. Nil is none.
	together *zmtp.Conn

	start  time.Time
	answer remofile2.Answer
	out    []byte // payload of the answer
}

// smallCost is up to which cost, in bytes, requests are executed one after the other where several have come.
const smallCost = 16 << 10

// start starts the goroutine of a request that came over conn, which session.drain waits
// for; or counts the caller for it, which is to run it here. A request that needs neither has its answer at once.
// An error ends the link.
func (s *session) start(conn *zmtp.Conn, t *task) (here bool, answer []byte, err error) {
	lack := s.server.work.enter(s.life, t.cost)
	defer func() {
		if lack == nil && t.ctx == nil { // it was not started
			s.server.work.leave(t.cost)
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	// Tasks that are executed but not yet answered make the reader wait, so that a client
	// that does not read gets no further.
	for s.conn == conn && !s.ended && !s.held.fits(t.cost, remofile2.MaxUnread) {
		s.changed.Wait()
	}
	if s.conn != conn || s.ended {
		return false, nil, errTakenOver
	}
	if answer, known := s.repeated(t); known {
		return false, answer, nil
	}
	s.lastID = max(s.lastID, t.ID)
	t.session, t.done = s, make(chan struct{})
	err = lack
	if err == nil {
		err = s.admit(t)
	}
	if err != nil {
		s.miss(t, err)
		failed := answerTo(t.ID, err)
		answer := remofile2.AppendAnswer(nil, t.Operation, &failed)
		s.remember(t, answer)
		return false, answer, nil
	}
	here = s.load.requests == 0 && (conn.Buffered() == 0 || t.cost <= smallCost) && !operations[t.Operation].long && t.isNext()
	t.ctx, t.cancel = context.WithCancel(s.life)
	t.start = time.Now()
	t.answer.ID = t.ID
	s.load.add(1, t.cost)
	s.held.add(1, t.cost)
	s.underWay[t.ID] = t
	s.server.zmtp.Processors.Use()
	if here {
		if conn.Buffered() > 0 {
			t.together = conn
		}
		s.tasks.Add(1)
	} else {
		s.tasks.Go(t.run)
	}
	return here, nil, nil
}

// isNext reports whether nothing has to be executed before.
func (t *task) isNext() bool {
	for _, before := range t.after {
		select {
		case <-before:
		default:
			return false
		}
	}
	return true
}

// admit checks the limits and the handles; s.mu is held.
func (s *session) admit(t *task) error {
	if !s.load.fits(t.cost, 1) {
		return code(remofile2.CodeTooMany)
	}
	return s.queue(t)
}

// run executes the task when those before it are done, and answers.
func (t *task) run() {
	for _, before := range t.after {
		<-before
	}
	defer t.session.server.zmtp.Processors.Unuse()
	err := t.execute()
	if err != nil {
		t.fail(err)
	}
	close(t.done)
	t.cancel()
	t.logResult(err)
	t.session.finish(t)
}

// fail makes err the answer, and what becomes of the handle.
func (t *task) fail(err error) {
	t.answer = answerTo(t.ID, err)
	s := t.session
	s.mu.Lock()
	s.miss(t, err)
	s.mu.Unlock()
	if operations[t.Operation].opens {
		s.drop(t)
	}
}

// execute does what the operation is, unless the request was cancelled meanwhile. A
// fault of ours is the failure of the one request.
func (t *task) execute() (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			t.session.log.Error("request panicked", "op", t.Operation.String(), "err", fmt.Sprintf("%v\n%s", fault, debug.Stack()))
			err = errInternal
		}
	}()
	op := &operations[t.Operation]
	if op.changes && t.session.server.options.ReadOnly {
		return errReadOnly
	}
	// The handle of CLOSE is gone already: the file has to follow.
	if err := t.ctx.Err(); err != nil && t.Operation != remofile2.OpClose {
		return err
	}
	if op.long {
		return op.do(t)
	}
	return t.inPlace(func() error {
		if err := t.decompress(); err != nil {
			return err
		}
		if op.events == 0 {
			return op.do(t)
		}
		return t.own(t.session.placeOf(t.file), op.events, func() error { return op.do(t) })
	})
}

// cancelRequest is CANCEL.
func (s *session) cancelRequest(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.underWay[id]; t != nil {
		t.cancel()
	}
}

// finish answers an executed task, on the link that the session has. Where it has none, or
// that is lost, the client asks again.
func (s *session) finish(t *task) {
	header := remofile2.AppendAnswer(nil, t.Operation, &t.answer)
	s.mu.Lock()
	s.load.add(-1, -t.cost)
	s.remember(t, header) // before the client can have it: what it then asks is remembered later
	s.mu.Unlock()
	if t.Operation == remofile2.OpRead {
		// The others wait, so that what the link does with one tells whether to compress the next.
		s.turn <- struct{}{}
		defer func() { <-s.turn }()
	}
	var message [][]byte
	var told *zmtp.Conn
	for conn := s.next(t, told); conn != nil; conn = s.next(t, told) {
		if message == nil {
			message = t.message(header, conn.Rate())
		}
		// That the link is lost its reader notices, too.
		if conn == t.together {
			conn.BufferMessage(message...)
		} else {
			conn.WriteShared(message...)
		}
		told = conn
	}
	s.server.buffers.put(t.out)
	s.server.buffers.put(t.memory)
}

// next returns on which connection the answer to t is to be sent, after it was on told. Nil is
// none: the task is no longer under way then.
func (s *session) next(t *task, told *zmtp.Conn) *zmtp.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready && s.conn != told {
		return s.conn
	}
	delete(s.underWay, t.ID)
	s.held.add(-1, -t.cost)
	s.server.work.leave(t.cost)
	s.changed.Signal()
	return nil
}
