package remote

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/compression"
	"github.com/remofile/remofile/protocol/zmtp"
)

// link2 is the connection that a session has for the moment.
type link2 struct {
	session *session2
	conn    *zmtp.Conn
	since   time.Time
	delay   time.Duration      // in which ATTACH was answered
	wake    chan struct{}      // tells the writer that there is something to send
	codec   *compression.Codec // nil: the server takes no compressed payloads
	linger  *time.Timer        // tells the writer when a request has waited for company

	// Guarded by session.mu.
	sent    uint64 // the id that was sent last
	sending bool   // somebody sends requests; after a failure for ever
	watched bool   // the server owes an answer
	asked   bool   // it has carried a request
	useful  bool   // it has carried an answer
	// lingering: linger is running.
	lingering bool
}

func newLink2(s *session2, conn *zmtp.Conn, delay time.Duration) *link2 {
	conn.SetReadTimeout(idleSilence)
	l := &link2{session: s, conn: conn, since: time.Now(), delay: delay, wake: make(chan struct{}, 1)}
	l.linger = time.AfterFunc(time.Hour, l.lingered)
	l.linger.Stop()
	return l
}

// silence is how long a link may be silent before it is replaced: the rest of the timeout
// is for its successor.
func silence(timeout time.Duration) time.Duration { return timeout * 2 / 3 }

const (
	// idleSilence is how long a link may be silent on which the server owes nothing. Within it a
	// lost one is noticed, as somebody may wait for its notices.
	idleSilence = 12 * time.Second
	// idleBeat is how often the server is asked for a sign of life then.
	idleBeat = 5 * time.Second
)

// silence is how long the link may be silent now; session.mu is held.
func (l *link2) silence() time.Duration {
	if l.watched {
		return silence(l.session.dialer.opts.Timeout)
	}
	return idleSilence
}

// serve carries requests and answers until the connection ends, and returns why it did.
func (l *link2) serve() error {
	defer context.AfterFunc(l.session.life, func() { l.conn.Close() })()
	defer l.linger.Stop()
	ended := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { l.write(ended) })
	others.Go(func() { l.beat(ended) })
	err := l.read()
	l.conn.Close()
	close(ended)
	others.Wait()
	return err
}

// read takes the answers.
func (l *link2) read() error {
	for {
		frames, err := l.conn.ReadMessage()
		if err == nil {
			err = l.receive(frames)
		}
		if err != nil {
			return err
		}
	}
}

// receive gives an answer to the call that waits for it.
func (l *link2) receive(frames [][]byte) error {
	id, err := remofile2.PeekID(frames[0])
	if err != nil || len(frames) > 3 || len(frames) == 3 && l.codec == nil {
		return corrupted(errUnasked)
	}
	if id == 0 {
		n, err := remofile2.DecodeNotice(frames[0])
		if err != nil {
			return corrupted(err)
		}
		l.session.told.add(&n)
		return nil
	}
	c := l.session.sought(id)
	if c == nil {
		return nil // told twice, as it may be
	}
	a, err := remofile2.DecodeAnswer(c.Operation, frames[0])
	if err != nil {
		return corrupted(err)
	}
	var p answerPayload
	if len(frames) > 1 {
		if p, err = l.takePayload(c, frames[1:]); err != nil {
			return corrupted(err)
		}
	}
	l.session.answer(c, a, p)
	if c.failed != nil && a.Code != remofile2.CodeDone {
		c.failed(codeError(&a))
	}
	return nil
}

// takePayload takes the frames behind the header of an answer.
func (l *link2) takePayload(c *call, frames [][]byte) (p answerPayload, err error) {
	p.payload = frames[0]
	size := len(p.payload)
	if len(frames) == 2 {
		p.size, err = compression.Size(frames[0], frames[1])
		size = p.size
	}
	if err == nil && (!c.Operation.AnswerPayload() || int64(size) > c.bytes) {
		err = errors.New("more bytes than asked for")
	}
	if err == nil {
		p.memory = l.session.buffer(0)
		*p.memory = l.conn.Keep(*p.memory)
	}
	return p, err
}

// write sends the requests that nobody has sent who waits for them.
func (l *link2) write(ended <-chan struct{}) {
	for {
		if l.sendAll(false) != nil {
			return // the connection is closed, and the reader notices that
		}
		select {
		case <-l.wake:
			continue
		case <-ended:
			return
		}
	}
}

// sendAll sends the requests, one after the other, unless somebody else does: that sends them all.
// Small ones share a write. A light hand leaves to the writer what the connection may not take at once.
func (l *link2) sendAll(light bool) error {
	s := l.session
	if !s.takeSending(l) {
		return nil
	}
	for {
		c := s.next(l, light)
		if c == nil {
			if err := l.conn.Flush(); err != nil {
				return err
			}
			if s.leaveSending(l, light) {
				return nil
			}
			continue
		}
		err := l.send(c)
		s.written(c)
		if err != nil {
			return err
		}
	}
}

func (l *link2) send(c *call) error {
	header := remofile2.AppendRequest(nil, &c.Request)
	if c.out == nil {
		return l.conn.BufferMessage(header)
	}
	return l.sendPayload(header, c)
}

// lingerTime is for how long a small request that nobody waits for stays here, so as to leave together with the
// next one.
const lingerTime = 2 * time.Millisecond

// company sends a request together with the next one, or when lingerTime is over; session.mu is held.
func (l *link2) company() {
	if !l.lingering {
		l.lingering = true
		l.linger.Reset(lingerTime)
	}
}

func (l *link2) lingered() {
	s := l.session
	s.mu.Lock()
	defer s.mu.Unlock()
	l.lingering = false
	if s.nextOn(l) != nil {
		l.rouse()
	}
}

func (l *link2) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// watch tells whether the server owes an answer; session.mu is held.
func (l *link2) watch(owed bool) {
	if l.watched == owed {
		return
	}
	l.watched = owed
	l.conn.SetReadTimeout(l.silence())
}

// beat asks the server for a sign of life: often as long as it owes answers, with which it may be
// busy for longer than the timeout.
func (l *link2) beat(ended <-chan struct{}) {
	ticker := time.NewTicker(max(min(l.session.dialer.opts.Timeout/4, idleBeat), time.Millisecond))
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ticker.C:
		case <-ended:
			return
		}
		if l.owed() || time.Since(last) >= idleBeat {
			l.conn.Ping() // the reader notices a lost connection, too
			last = time.Now()
		}
	}
}

func (l *link2) owed() bool {
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	return l.watched
}
