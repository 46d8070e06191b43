package remote

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/compression"
)

// session2 is a session in Remofile 2, as the server knows it: the requests under way and
// the handles. It outlives its links: its goroutine, run, keeps one for as long as somebody
// needs it. What ends the session is close, a server that has forgotten it, or one that
// makes no sense.
type session2 struct {
	dialer *dialer
	told   *changes // by the server, to whichever session
	// succeed is given the session that the server has begun in the place of this one,
	// before the calls of this one fail.
	succeed func(*session2, *link2)
	life    context.Context // ended after err is set
	end     context.CancelFunc
	wake    chan struct{} // tells run that somebody needs a link
	buffers sync.Pool     // *[]byte, of payloads

	mu         sync.Mutex // guards what follows
	id, secret string     // "" before the first link
	info       remofile2.Info
	link       *link2        // nil while there is none
	linked     chan struct{} // closed while there is one, and when the session has ended
	closing    bool          // no link is made any longer
	err        error         // why the session has ended
	outage     outage
	awaited    int // callers of ready
	lastID     uint64
	lastHandle remofile2.Handle
	handles    map[remofile2.Handle]*compression.Trials // open, or about to be: of what is written
	queue      queue
	pace       pace // of the link
	flows      int  // transfers
}

// call is one request, from begin to its answer.
type call struct {
	remofile2.Request
	begun    time.Time
	bytes    int64         // as remofile2.Request.Cost counts them
	weight   int64         // bytes that are sent, roughly
	attended bool          // who has begun it is about to wait for it, or to push it
	failed   func(error)   // called, without a lock, with an answer that is no success; nil for nothing
	admitted chan struct{} // closed when it is under way, or err is set
	answered chan struct{} // closed when answer and payload are set, or err
	answer   remofile2.Answer
	answerPayload
	err error // why there is no answer

	// Guarded by session2.mu.
	trials    *compression.Trials // of the handle, nil for none
	out       *[]byte             // payload of the request, nil for none; kept until it is answered
	sent      bool                // over some link
	writing   bool                // the link's writer has out
	mark      mark                // of when the link sent it
	abandoned bool                // nobody waits for the answer
	over      bool                // answered is closed
}

// answerPayload is the payload of an answer, valid until release.
type answerPayload struct {
	payload []byte
	memory  *[]byte // that payload stands in; nil where there is none
	size    int     // of payload when decompressed, 0 where it is not compressed
}

func newCall(r *remofile2.Request, payload *[]byte) *call {
	size := 0
	if payload != nil {
		size = len(*payload)
	}
	return &call{
		Request: *r, begun: time.Now(), bytes: r.Cost(size), weight: int64(len(r.Path) + len(r.ToPath) + len(r.Target) + size), out: payload,
		admitted: make(chan struct{}), answered: make(chan struct{}),
	}
}

func newSession2(d *dialer, told *changes, succeed func(*session2, *link2)) *session2 {
	s := &session2{
		dialer:  d,
		told:    told,
		succeed: succeed,
		wake:    make(chan struct{}, 1),
		linked:  make(chan struct{}),
		handles: make(map[remofile2.Handle]*compression.Trials),
		outage:  outage{since: time.Now(), err: &Error{Code: Timeout}},
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// close ends the session. Whoever has started run waits for that. Any goroutine may call it.
func (s *session2) close() { s.fail(&Error{Code: Unreachable, Err: errLost}) }

func (s *session2) alive() bool { return s.life.Err() == nil }

// fail ends the session, and with it all calls.
func (s *session2) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	s.told.forget()
	for _, c := range s.queue.empty() {
		c.fail(err)
	}
	if s.link == nil {
		close(s.linked)
	}
	s.end()
}

// errForgotten is that of a server which has been restarted, or did not hear from this
// client for longer than its grace time.
var errForgotten = errors.New("the server has forgotten the session")

// fail ends a call without an answer.
func (c *call) fail(err error) {
	if c.ID == 0 {
		close(c.admitted)
	}
	c.end(c.meaning(err))
}

// end tells whoever waits that the answer is there, or why it is not; session2.mu is held.
func (c *call) end(err error) {
	if !c.over {
		c.err, c.over = err, true
		close(c.answered)
	}
}

// meaning is what the end of the session means to a request that has no answer.
func (c *call) meaning(err error) error {
	switch {
	case err != errForgotten:
		return err
	case c.sent && c.Operation.Once():
		return &Error{Code: OutcomeUnknown, Err: errForgotten}
	case c.Handle != 0 && !c.opens():
		return &Error{Code: Stale, Err: errForgotten}
	default:
		return &Error{Code: Unreachable, Err: errForgotten}
	}
}

// ready returns when there is a link.
func (s *session2) ready(ctx context.Context) error {
	s.mu.Lock()
	linked := s.linked
	s.awaited++
	s.mu.Unlock()
	s.rouse()
	err := s.attend(ctx, time.Now(), linked)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaited--
	if s.err != nil {
		return (&call{}).meaning(s.err)
	}
	return err
}

// rouse tells run that somebody needs a link.
func (s *session2) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// begin sends a request, as soon as there is room for it; not where the server is known to be
// gone. Somebody has to wait for the answer, or to abandon it. The payload, nil for none, is one
// of buffer's, and the session's from now on.
func (s *session2) begin(ctx context.Context, r *remofile2.Request, payload *[]byte) (*call, error) {
	return s.beginCall(ctx, newCall(r, payload))
}

// prepare is begin for who waits at once, or pushes: that sends the request.
func (s *session2) prepare(ctx context.Context, r *remofile2.Request, payload *[]byte) (*call, error) {
	c := newCall(r, payload)
	c.attended = true
	return s.beginCall(ctx, c)
}

func (s *session2) beginCall(ctx context.Context, c *call) (*call, error) {
	if err := s.goneError(); err != nil {
		return nil, err
	}
	s.enqueueCall(c)
	select {
	case <-c.admitted:
	default:
		s.push() // what it has to wait for
	}
	if err := s.attend(ctx, c.begun, c.admitted); err != nil {
		s.abandon(c)
		return nil, err
	}
	return c, nil
}

// enqueue is begin that does not wait for room.
func (s *session2) enqueue(r *remofile2.Request, payload *[]byte) *call {
	c := newCall(r, payload)
	s.enqueueCall(c)
	return c
}

func (s *session2) enqueueCall(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		c.fail(s.err)
		return
	}
	s.queue.waiting = append(s.queue.waiting, c)
	s.advance()
	s.rouse()
}

// wait returns when the answer is there; one that is no success is an error. When ctx ends
// first, the request is abandoned.
func (s *session2) wait(ctx context.Context, c *call) (*remofile2.Answer, error) {
	if err := s.await(ctx, c); err != nil {
		s.abandon(c)
		return nil, err
	}
	_, err := s.outcome(c)
	if err == nil {
		err = s.decompress(c)
	}
	if err != nil {
		return nil, err
	}
	return &c.answer, nil
}

// await returns when the answer is there, or won't come: the server has been silent for too
// long. When ctx ends first, the request is still under way.
func (s *session2) await(ctx context.Context, c *call) error {
	s.push()
	err := s.attend(ctx, c.begun, c.answered)
	if err != nil && ctx.Err() == nil {
		s.timeOut(c, err)
		return nil
	}
	return err
}

// outcome tells without waiting whether a request is over, and how it failed.
func (s *session2) outcome(c *call) (over bool, err error) {
	select {
	case <-c.answered:
	default:
		return false, nil
	}
	if c.err == nil && c.answer.Code != remofile2.CodeDone {
		return true, codeError(&c.answer)
	}
	return true, c.err
}

// attend returns when done is closed. It fails when ctx ends, or the server has been silent
// for as long as the timeout, since begun at the earliest, or is known to be gone. Only without
// a link can it be: the link looks after its own silence.
func (s *session2) attend(ctx context.Context, begun time.Time, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	timer := time.NewTimer(s.patience(begun))
	defer timer.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		rest := s.patience(begun)
		if rest <= 0 {
			return s.giveUpServer()
		}
		timer.Reset(rest)
	}
}

// patience returns for how long to wait before asking again, 0 or less if there is none left.
func (s *session2) patience(begun time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	timeout := s.dialer.opts.Timeout
	switch {
	case s.link != nil:
		return timeout - silence(timeout) // that much is left at least when the link is given up
	case s.outage.gone:
		return 0
	}
	since := s.outage.silent
	if begun.After(since) {
		since = begun
	}
	return timeout - time.Since(since)
}

// giveUpServer takes note that a call has waited for the server in vain, and returns why there is
// no link.
func (s *session2) giveUpServer() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage.gone = s.link == nil && s.dialer.opts.FailFast
	s.rouse()
	return s.outage.err
}

// goneError returns why there is no link where the server is known to be gone, else nil.
func (s *session2) goneError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.link != nil || !s.outage.gone {
		return nil
	}
	return s.outage.err
}

// discard gives a request up, answered or not.
func (s *session2) discard(c *call) {
	select {
	case <-c.answered:
		s.release(c)
	default:
		s.abandon(c)
	}
}

// release lets the payload of an answer be used again.
func (s *session2) release(c *call) {
	if c.memory != nil {
		s.buffers.Put(c.memory)
	}
}

// buffer returns memory for a payload of so many bytes.
func (s *session2) buffer(size int64) *[]byte {
	b, _ := s.buffers.Get().(*[]byte)
	if b == nil {
		b = new([]byte)
	}
	*b = slices.Grow((*b)[:0], int(size))[:size]
	return b
}

// ask is begin and wait for an answer without a payload.
func (s *session2) ask(ctx context.Context, r *remofile2.Request) (remofile2.Answer, error) {
	c, err := s.prepare(ctx, r, nil)
	if err != nil {
		return remofile2.Answer{}, err
	}
	a, err := s.wait(ctx, c)
	if err != nil {
		return remofile2.Answer{}, err
	}
	return *a, nil
}

// newHandle returns a number for a file to be opened. It is not 0.
func (s *session2) newHandle() remofile2.Handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastHandle++
	for s.lastHandle == 0 || s.handles[s.lastHandle] != nil {
		s.lastHandle++
	}
	return s.lastHandle
}

// goodbye ends the session in good order, if that can be done in a moment.
func (s *session2) goodbye() {
	s.mu.Lock()
	s.closing = true
	linked := s.link != nil
	s.mu.Unlock()
	if linked {
		ctx, cancel := context.WithTimeout(s.life, settleTime)
		defer cancel()
		s.ask(ctx, &remofile2.Request{Operation: remofile2.OpGoodbye}) // else the server notices the end
	}
	s.close()
}
