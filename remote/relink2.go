package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
)

// minPayload is what any server must take, in bytes.
const minPayload = 4 << 10

const (
	// minPause is the pause before the third attempt to connect: it doubles each time,
	// up to a quarter of the timeout, so that a call does not miss a server that is back, and
	// to maxPause.
	minPause = 50 * time.Millisecond
	maxPause = 2 * time.Second
	// maxUseless is how many links in a row may end without an answer to any request.
	maxUseless = 8
	// maxGrace bounds for how long a server's word makes the client try.
	maxGrace = time.Hour
)

// outage is how long a session has been without a link, and why.
type outage struct {
	since    time.Time // when the link was lost
	silent   time.Time // when the server was heard for the last time
	err      error     // why there is no link
	tried    time.Time // when the last attempt ended
	failures int       // attempts and useless links since the last useful link
	useless  int       // links among them
	// gone: a call has waited for as long as the timeout. Until there is a link, which is tried
	// for without end then, all others fail at once.
	gone bool
}

// run keeps the session linked until it ends. l is its first link, nil for none yet.
func (s *session2) run(l *link2) {
	for {
		if l != nil {
			s.unlink(l, lost(l.serve()))
		}
		if l = s.relink(); l == nil {
			return
		}
	}
}

// enter makes l the link of the session, which it has just begun or resumed.
func (s *session2) enter(l *link2, a *remofile2.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id == "" {
		s.id, s.secret, s.info = a.Session, a.Secret, bounded(a.Info)
	}
	if s.err != nil {
		return // serve ends at once
	}
	if slices.Contains(s.info.Features, remofile2.FeatureZstd) {
		l.codec = s.dialer.codec
	}
	s.link = l
	s.pace = newPace(int64(s.info.Bytes-s.info.Bytes/4), s.dialer.opts.Timeout, l.delay, l.since) // the rest is for other requests
	close(s.linked)
	s.advance()
	l.watch(s.queue.requests > 0)
}

// bounded returns what a server tells, with no limit beyond the protocol's and ours.
func bounded(i remofile2.Info) remofile2.Info {
	i.Requests = min(i.Requests, remofile2.MaxRequests)
	i.Bytes = min(i.Bytes, remofile2.MaxBytes)
	i.Payload = min(i.Payload, remofile2.MaxPayload)
	i.Grace = min(i.Grace, uint64(maxGrace/time.Second))
	return i
}

// unlink takes note that the link is lost.
func (s *session2) unlink(l *link2, err *Error) {
	if err.Code == Corrupted {
		s.fail(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = nil
	if s.err != nil {
		return
	}
	s.linked = make(chan struct{})
	s.told.unlink()
	now := time.Now()
	timeout := s.dialer.opts.Timeout
	o := outage{since: now, silent: now, err: err}
	if err.Code == Timeout {
		o.silent = now.Add(-l.silence())
	}
	if !l.useful && now.Sub(l.since) < timeout {
		o.tried, o.failures, o.useless = now, s.outage.failures+1, s.outage.useless+1
	}
	s.outage = o
	s.remove(func(c *call) bool { return !c.kept() })
}

// relink returns a new link, when somebody needs one; nil at the end of the session.
func (s *session2) relink() *link2 {
	for s.needed() {
		l, err := s.dial()
		if err == nil {
			return l
		}
		if !passing(err) {
			s.fail(err)
		}
		s.failed(err)
	}
	return nil
}

// passing reports whether it may help to try again.
func passing(err error) bool {
	return err != errForgotten && (errors.Is(err, Unreachable) || errors.Is(err, Timeout))
}

func (s *session2) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage.err = err
	s.outage.tried = time.Now()
	s.outage.failures++
}

// needed waits until it is time to connect. It reports false at the end of the session.
func (s *session2) needed() bool {
	for {
		need, pause, err := s.need()
		switch {
		case err != nil:
			s.fail(err)
			return false
		case need:
			return sleep(s.life, pause)
		}
		select {
		case <-s.wake:
		case <-s.life.Done():
			return false
		}
	}
}

// need reports whether somebody needs a link, and after which pause it may be tried. An
// error is the end of the session.
func (s *session2) need() (need bool, pause time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waited := s.awaited > 0 || len(s.queue.waiting) > 0
	for _, c := range s.queue.underWay {
		waited = waited || !c.abandoned
	}
	held := len(s.queue.underWay) > 0 || len(s.handles) > 0
	grace := time.Duration(s.info.Grace) * time.Second
	switch o := &s.outage; {
	case s.closing:
		return false, 0, &Error{Code: Unreachable, Err: errLost}
	case o.useless >= maxUseless:
		return false, 0, &Error{Code: Unreachable, Err: errors.New("the server hangs up again and again")}
	case held && !waited && !o.gone && time.Since(o.since) > grace:
		return false, 0, errForgotten
	case o.failures > 1:
		pause = min(minPause<<min(o.failures-2, 10), s.dialer.opts.Timeout/4, maxPause)
		pause = pause/2 + rand.N(pause/2+1) // not all clients of a server at once
		pause -= time.Since(o.tried)
	}
	return waited || held || s.outage.gone, pause, nil
}

// sleep reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// dial connects and attaches: it begins the session, or takes it over.
func (s *session2) dial() (*link2, error) {
	conn, err := s.dialer.connect(s.life)
	if err != nil {
		return nil, err
	}
	if conn.PeerVersion() < 2 {
		conn.Close()
		return nil, &Error{Code: Unsupported, Err: errors.New("the server has become an older one")}
	}
	return s.attach(s.life, conn)
}

// attach makes a connection the session's link. Where the server has forgotten the session
// and begun another, that succeeds this one.
func (s *session2) attach(ctx context.Context, conn *zmtp.Conn) (*link2, error) {
	r := s.attachRequest()
	asked := time.Now()
	a, err := askAttach(ctx, conn, &r, silence(s.dialer.opts.Timeout))
	if err != nil {
		conn.Close()
		return nil, err
	}
	if r.Session == "" || a.Resumed && a.Session == r.Session {
		s.dialer.opts.Logger.Info("session attached", "peer", s.dialer.opts.Address, "resumed", a.Resumed)
		l := newLink2(s, conn, time.Since(asked))
		s.enter(l, a)
		return l, nil
	}
	s.dialer.opts.Logger.Warn("session lost", "peer", s.dialer.opts.Address)
	next := newSession2(s.dialer, s.told, s.succeed)
	l := newLink2(next, conn, time.Since(asked))
	next.enter(l, a)
	s.succeed(next, l)
	return nil, errForgotten
}

func (s *session2) attachRequest() remofile2.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	return remofile2.Request{
		ID: s.lastID, Operation: remofile2.OpAttach, Session: s.id, Secret: s.secret,
		Features: []string{remofile2.FeatureResume, remofile2.FeatureZstd},
	}
}

// askAttach makes the first request of a connection.
func askAttach(ctx context.Context, conn *zmtp.Conn, r *remofile2.Request, timeout time.Duration) (*remofile2.Answer, error) {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	conn.SetReadTimeout(timeout)
	defer conn.SetReadTimeout(0)
	err := conn.WriteMessage(remofile2.AppendRequest(nil, r))
	var frames [][]byte
	if err == nil {
		frames, err = conn.ReadMessage()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, lost(err)
	}
	a, err := remofile2.DecodeAnswer(r.Operation, frames[0])
	switch {
	case err != nil:
		return nil, corrupted(err)
	case a.ID != r.ID || len(frames) > 1:
		return nil, corrupted(errUnasked)
	case a.Code == remofile2.CodeInUse:
		return nil, &Error{Code: InUse, Err: errors.New(printable(a.Message))}
	case a.Code != remofile2.CodeDone:
		return nil, codeError(&a)
	case a.Info.Requests < 1 || a.Info.Payload < minPayload || a.Info.Bytes < a.Info.Payload || a.Session == "":
		return nil, corrupted(errors.New("the limits of the session make no sense"))
	}
	return &a, nil
}
