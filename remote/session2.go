package remote

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
)

// session2 is a session in Remofile 2: one connection, on which many requests are under
// way. It ends with the connection.
type session2 struct {
	conn    *zmtp.Conn
	timeout time.Duration
	info    remofile2.Info
	slots   chan struct{}       // one for each request that may be under way
	room    *semaphore.Weighted // bytes of their payloads, and of those of their answers
	buffers sync.Pool           // *[]byte, of payloads
	life    context.Context     // ended by the reader, after err is set
	end     context.CancelFunc
	err     error

	writing sync.Mutex // held from the choice of an id to the end of the message: ids rise

	mu         sync.Mutex // guards what follows
	lastID     uint64
	lastHandle remofile2.Handle
	calls      map[uint64]*call // under way
}

// call is one request under way.
type call struct {
	remofile2.Request
	answered chan struct{} // closed when answer and payload are set
	answer   remofile2.Answer
	payload  []byte // of the answer, valid until release
	bytes    int64  // of room
}

// attach begins a session on a connection.
func attach(ctx context.Context, conn *zmtp.Conn, timeout time.Duration) (*session2, error) {
	s := &session2{
		conn:    conn,
		timeout: timeout,
		calls:   make(map[uint64]*call),
		slots:   make(chan struct{}, 1),
		room:    semaphore.NewWeighted(0),
	}
	s.life, s.end = context.WithCancel(context.Background())
	go s.read()
	go s.beat()
	a, err := s.ask(ctx, &remofile2.Request{Operation: remofile2.OpAttach})
	var refused *Error
	if errors.As(err, &refused) && refused.Code == Busy {
		refused.Code = InUse
	}
	if err != nil {
		s.close()
		return nil, err
	}
	if a.Info.Requests < 1 || a.Info.Payload < minPayload || a.Info.Bytes < a.Info.Payload {
		s.close()
		return nil, corrupted(errors.New("the limits of the session make no sense"))
	}
	s.info = a.Info
	s.slots = make(chan struct{}, min(a.Info.Requests, remofile2.MaxRequests))
	s.room = semaphore.NewWeighted(int64(min(a.Info.Bytes, remofile2.MaxBytes)))
	return s, nil
}

// minPayload is what any server must take, in bytes.
const minPayload = 4 << 10

// close ends the session and waits for its reader. Any goroutine may call it.
func (s *session2) close() {
	s.conn.Close()
	<-s.life.Done()
}

func (s *session2) alive() bool { return s.life.Err() == nil }

// beat asks the server for a sign of life as long as it owes answers: it may be busy with
// them for longer than the timeout. It ends with the session.
func (s *session2) beat() {
	ticker := time.NewTicker(max(s.timeout/3, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.life.Done():
			return
		}
		if s.owed() > 0 {
			s.conn.Ping() // the reader notices a lost connection, too
		}
	}
}

func (s *session2) owed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

// read is the reader goroutine: it ends with the connection, and with it all calls.
func (s *session2) read() {
	defer s.end()
	defer s.conn.Close()
	for {
		frames, err := s.conn.ReadMessage()
		if err == nil {
			err = s.receive(frames)
		}
		if err != nil {
			s.err = err
			return
		}
	}
}

// receive takes an answer to the call that waits for it, and makes room for another.
func (s *session2) receive(frames [][]byte) error {
	id, err := remofile2.PeekID(frames[0])
	if err != nil || len(frames) > 2 {
		return corrupted(errUnasked)
	}
	if id == 0 {
		return nil // a notice, which nobody has asked for
	}
	c := s.take(id)
	if c == nil {
		return nil // told twice, as it may be
	}
	if c.answer, err = remofile2.DecodeAnswer(c.Operation, frames[0]); err != nil {
		return corrupted(err)
	}
	if len(frames) == 2 {
		if int64(len(frames[1])) > c.bytes {
			return corrupted(errors.New("more bytes than asked for"))
		}
		c.payload = frames[1]
		s.conn.Keep(s.buffer())
	}
	s.room.Release(c.bytes)
	<-s.slots
	close(c.answered)
	return nil
}

// take returns the call with this id, which is under way no longer, or nil.
func (s *session2) take(id uint64) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[id]
	delete(s.calls, id)
	if len(s.calls) == 0 {
		s.conn.SetReadTimeout(0)
	}
	return c
}

// begin sends a request, as soon as there is room for it. Somebody has to wait for the
// answer, or to abandon it. The payload may be used again.
func (s *session2) begin(ctx context.Context, r *remofile2.Request, payload []byte) (*call, error) {
	c := &call{Request: *r, answered: make(chan struct{}), bytes: r.Cost(len(payload))}
	if err := s.admit(ctx, c.bytes); err != nil {
		return nil, err
	}
	if err := s.send(c, payload); err != nil {
		s.close()
		return nil, lost(err)
	}
	return c, nil
}

// admit waits until a request with so many bytes may be sent.
func (s *session2) admit(ctx context.Context, bytes int64) error {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.life.Done():
		return lost(s.err)
	}
	if s.room.TryAcquire(bytes) {
		return nil
	}
	either, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	if s.room.Acquire(either, bytes) == nil {
		return nil
	}
	<-s.slots
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return lost(s.err)
}

func (s *session2) send(c *call, payload []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	s.lastID++
	c.ID = s.lastID
	if len(s.calls) == 0 {
		s.conn.SetReadTimeout(s.timeout)
	}
	s.calls[c.ID] = c
	s.mu.Unlock()
	header := remofile2.AppendRequest(nil, &c.Request)
	if payload == nil {
		return s.conn.WriteMessage(header)
	}
	return s.conn.WriteMessage(header, payload)
}

// wait returns when the answer is there; one that is no success is an error. When ctx ends
// first, the server is asked to end the request.
func (s *session2) wait(ctx context.Context, c *call) (*remofile2.Answer, error) {
	if err := s.await(ctx, c); err != nil {
		if ctx.Err() != nil {
			s.abandon(c)
		}
		return nil, err
	}
	if c.answer.Code != remofile2.CodeDone {
		return nil, codeError(&c.answer)
	}
	return &c.answer, nil
}

// await returns when the answer is there, or won't come. When ctx ends first, the request is still
// under way.
func (s *session2) await(ctx context.Context, c *call) error {
	select {
	case <-c.answered:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.life.Done():
		select {
		case <-c.answered:
			return nil
		default:
			return lost(s.err)
		}
	}
}

// outcome tells without waiting whether a request is over, and how it failed.
func (s *session2) outcome(c *call) (over bool, err error) {
	alive := s.alive()
	select {
	case <-c.answered:
	default:
		if alive {
			return false, nil
		}
		return true, lost(s.err)
	}
	if c.answer.Code != remofile2.CodeDone {
		err = codeError(&c.answer)
	}
	return true, err
}

// abandon asks the server to end a request whose answer nobody wants any longer. It does
// not wait.
func (s *session2) abandon(c *call) {
	select {
	case s.slots <- struct{}{}:
		s.send(&call{
			Request:  remofile2.Request{Operation: remofile2.OpCancel, Cancel: c.ID},
			answered: make(chan struct{}),
		}, nil)
	default: // so much is under way that one request more or less does not matter
	}
}

// drop gives a request up, answered or not.
func (s *session2) drop(c *call) {
	select {
	case <-c.answered:
		s.release(c)
	default:
		s.abandon(c)
	}
}

// release lets the payload of an answer be used again.
func (s *session2) release(c *call) {
	if c.payload != nil {
		s.buffers.Put(&c.payload)
	}
}

func (s *session2) buffer() []byte {
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return *b
	}
	return nil
}

// ask is begin and wait for an answer without a payload.
func (s *session2) ask(ctx context.Context, r *remofile2.Request) (remofile2.Answer, error) {
	c, err := s.begin(ctx, r, nil)
	if err != nil {
		return remofile2.Answer{}, err
	}
	a, err := s.wait(ctx, c)
	if err != nil {
		return remofile2.Answer{}, err
	}
	return *a, nil
}

// handle returns a number for a file to be opened.
func (s *session2) newHandle() remofile2.Handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastHandle++
	return s.lastHandle
}

// goodbye ends the session in good order, if that can be done in a moment.
func (s *session2) goodbye() {
	ctx, cancel := context.WithTimeout(s.life, settleTime)
	defer cancel()
	s.ask(ctx, &remofile2.Request{Operation: remofile2.OpGoodbye}) // else the server notices the end
	s.close()
}
