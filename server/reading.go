package server

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/remofile/remofile/protocol/zmtp"
)

// relieveTime is how long a request may keep the goroutine that reads from its link.
const relieveTime = time.Millisecond

// reading is the reading from the link of a session. One goroutine at a time has the turn to read. It executes
// a request itself where no other one is under way or has come already, which costs less than to wake another
// goroutine; where that takes longer than relieveTime, another one gets the turn.
type reading struct {
	link    *link
	session *session
	conn    *zmtp.Conn
	ended   chan error // gets why the link has ended, once
}

// read reads until the link ends, and returns why it did.
func (l *link) read(s *session, conn *zmtp.Conn) error {
	r := &reading{link: l, session: s, conn: conn, ended: make(chan error, 1)}
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

// execute executes a request, and reports whether the turn to read still is the caller's. Who gets it instead
// ends with the link.
func (r *reading) execute(t *task) bool {
	relief := time.AfterFunc(relieveTime, r.run)
	defer r.session.tasks.Done()
	t.run()
	return relief.Stop()
}
