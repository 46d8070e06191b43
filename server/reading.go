package server

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/remofile/remofile/protocol/zmtp"
)

// relieveTime is how long a request may keep the goroutine that reads from its link.
const relieveTime = time.Millisecond

// reading is the reading from the link of a session. One goroutine at a time has the turn to read. It executes
// a request itself where no other one is under way or has come already, which costs less than to wake another
// goroutine; where that takes longer than relieveTime, another one gets the turn. The answers to requests that have
// come together leave together, relieveTime later at the latest.
type reading struct {
	link    *link
	session *session
	conn    *zmtp.Conn
	ended   chan error // gets why the link has ended, once

	mu sync.Mutex // guards what follows
	// since is when the request under way was begun by whoever has the turn; zero is none.
	since time.Time
	// relief gives the turn to another goroutine. It goes on, when armed, from one request to the next: to stop
	// it each time would cost too much.
	relief *time.Timer
	armed  bool
}

// read reads until the link ends, and returns why it did.
func (l *link) read(s *session, conn *zmtp.Conn) error {
	r := &reading{link: l, session: s, conn: conn, ended: make(chan error, 1)}
	r.relief = time.AfterFunc(time.Hour, r.relieve)
	defer r.relief.Stop()
	r.run()
	return <-r.ended
}

// run reads until the link ends or another goroutine has the turn.
func (r *reading) run() {
	defer r.survive()
	for {
		frames, err := r.conn.ReadMessage()
		var t *task
		if err == nil {
			t, err = r.session.receive(r.conn, frames)
		}
		if err != nil {
			r.end(err)
			return
		}
		if t != nil && !r.execute(t) {
			return
		}
	}
}

// survive makes a fault of ours the end of the link.
func (r *reading) survive() {
	if fault := recover(); fault != nil {
		r.link.log.Error("session panicked", "err", fmt.Sprintf("%v\n%s", fault, debug.Stack()))
		r.conn.Close()
		r.end(errInternal)
	}
}

// end tells why the link has ended.
func (r *reading) end(err error) {
	select {
	case r.ended <- err:
	default: // a fault was the first
	}
}

// execute executes a request, and reports whether the turn to read still is the caller's.
func (r *reading) execute(t *task) bool {
	defer r.session.tasks.Done()
	since := r.begin()
	t.run()
	still := r.finish(since)
	if !still {
		r.conn.TryFlush()
	}
	return still
}

func (r *reading) begin() (since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since = time.Now()
	if !r.armed {
		r.armed = true
		r.relief.Reset(relieveTime)
	}
	return r.since
}

// finish reports whether the turn still is that of who began a request then.
func (r *reading) finish(since time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since != since {
		return false
	}
	r.since = time.Time{}
	return true
}

// relieve gives the turn away where the request under way has had its time, and sends the answers that wait for
// others: those, too, that were there when nothing was under way any more.
func (r *reading) relieve() {
	if r.isDue() {
		go r.run() // ends with the link
	}
	r.conn.TryFlush()
}

func (r *reading) isDue() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := relieveTime - time.Since(r.since)
	switch {
	case r.since.IsZero():
		r.armed = false
	case left > 0:
		r.relief.Reset(left)
	default:
		r.armed, r.since = false, time.Time{}
		return true
	}
	return false
}
