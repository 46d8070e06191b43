package remote

import (
	"slices"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/compression"
)

// queue is the calls of a session. It is guarded by session2.mu.
type queue struct {
	waiting  []*call // for room, in the order in which they came
	underWay []*call // by their ids: those with an answer leave it
	requests int     // of underWay, without CANCEL
	bytes    int64   // of underWay, as remofile2.Request.Cost counts them
	bulk     int64   // bytes of content among them
	out      int64   // bytes of them that are sent, roughly
}

// empty takes all calls out of the queue.
func (q *queue) empty() []*call {
	all := slices.Concat(q.underWay, q.waiting)
	*q = queue{}
	return all
}

// find returns the first request under way with this id, or a greater one.
func (q *queue) find(id uint64) (i int, found bool) {
	return slices.BinarySearchFunc(q.underWay, id, func(c *call, id uint64) int {
		switch {
		case c.ID < id:
			return -1
		case c.ID > id:
			return 1
		}
		return 0
	})
}

func (q *queue) add(c *call) {
	q.underWay = append(q.underWay, c)
	if c.Operation != remofile2.OpCancel {
		q.requests++
		q.bytes += c.bytes
	}
	if c.bulk() {
		q.bulk += c.bytes
	}
	q.out += c.weight
}

// What is under way where whoever waits for an answer sends requests, instead of the link's writer: a
// connection takes that much without making them wait.
const (
	lightRequests = 32
	lightBytes    = 16 << 10
)

func (q *queue) light() bool { return len(q.underWay) <= lightRequests && q.out <= lightBytes }

// remove takes calls from those under way.
func (q *queue) remove(gone func(*call) bool) {
	q.underWay = slices.DeleteFunc(q.underWay, func(c *call) bool {
		if !gone(c) {
			return false
		}
		if c.Operation != remofile2.OpCancel {
			q.requests--
			q.bytes -= c.bytes
		}
		if c.bulk() {
			q.bulk -= c.bytes
		}
		q.out -= c.weight
		return true
	})
}

// bulk reports whether a request is a piece of a file's content: these wait for one another,
// the others pass them. CHUNKS is none: its answer is short beside what it may take there.
func (c *call) bulk() bool {
	return c.Operation.RequestPayload() || c.Operation.AnswerPayload() && c.Operation != remofile2.OpChunks
}

// lingers reports whether a request may leave with the next one: a file is closed, or a little of it changed, and as a
// rule something is asked next whose answer somebody waits for.
func (c *call) lingers() bool {
	if c.attended {
		return false
	}
	switch c.Operation {
	case remofile2.OpClose, remofile2.OpSet:
		return true
	default:
		return c.Operation.RequestPayload() && c.weight <= lightBytes
	}
}

// delivered returns how many bytes of content an answer says have come to the other side, or
// brings.
func (c *call) delivered(code remofile2.Code, p *answerPayload) int64 {
	switch {
	case p.size > 0:
		return int64(p.size)
	case c.Operation.AnswerPayload():
		return int64(len(p.payload))
	case code == remofile2.CodeDone && c.bulk():
		return c.bytes
	default:
		return 0
	}
}

// opens reports whether the handle is one that the request makes.
func (c *call) opens() bool {
	return c.Operation == remofile2.OpOpen || c.Operation == remofile2.OpStage
}

// kept reports whether a request is sent again though nobody waits for it: what follows on
// the same handle relies on it.
func (c *call) kept() bool { return !c.abandoned || c.Handle != 0 && c.Operation.Once() }

// advance lets requests that wait begin, as far as there is room; s.mu is held.
func (s *session2) advance() {
	if s.id == "" {
		return // its limits are not known yet
	}
	full := false // for bulk
	s.queue.waiting = slices.DeleteFunc(s.queue.waiting, func(c *call) bool {
		if c.bulk() && full || !s.fits(c) {
			full = full || c.bulk()
			return false
		}
		s.admit(c)
		return true
	})
}

// fits reports whether a request may be under way, too; s.mu is held.
func (s *session2) fits(c *call) bool {
	q := &s.queue
	if q.requests == 0 {
		return true
	}
	if q.requests >= int(s.info.Requests) {
		return false
	}
	if c.bulk() && q.bulk > 0 && q.bulk+c.bytes > s.pace.window() {
		return false
	}
	return c.bytes == 0 || q.bytes+c.bytes <= int64(s.info.Bytes)
}

// share returns how many bytes one of the transfers that go side by side may have under way.
func (s *session2) share() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.pace.window()/int64(max(s.flows, 1)), 2*s.chunkLocked())
}

// chunk returns how many bytes of content a request is to carry.
func (s *session2) chunk() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chunkLocked()
}

func (s *session2) chunkLocked() int64 {
	side := s.pace.window() / int64(2*max(s.flows, 1)) / chunkUnit * chunkUnit
	return min(s.pace.chunk(), max(side, minChunk), int64(s.info.Payload))
}

// admit gives a request its id and lets the link send it; s.mu is held.
func (s *session2) admit(c *call) {
	s.lastID++
	c.ID = s.lastID
	s.queue.add(c)
	switch {
	case c.opens():
		s.handles[c.Handle] = new(compression.Trials)
	case c.Operation == remofile2.OpClose:
		delete(s.handles, c.Handle)
	}
	c.trials = s.handles[c.Handle]
	close(c.admitted)
	if s.link == nil {
		return
	}
	if c.lingers() && s.queue.light() {
		s.link.company()
	} else if !c.attended {
		s.link.rouse()
	}
	s.link.watch(s.queue.requests > 0)
}

// abandon gives up a request whose answer nobody wants any longer: if the server may have it
// already, it is asked to end it. Nothing is waited for.
func (s *session2) abandon(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandonLocked(c)
}

// timeOut abandons a request that was waited for in vain, and tells all who wait.
func (s *session2) timeOut(c *call, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandonLocked(c)
	c.end(err)
}

func (s *session2) abandonLocked(c *call) {
	q := &s.queue
	c.abandoned = true
	if s.link != nil {
		s.link.rouse() // nobody else may send it
	}
	if c.ID == 0 {
		q.waiting = slices.DeleteFunc(q.waiting, func(w *call) bool {
			return w == c && c.Operation != remofile2.OpClose // the handle has to go
		})
		return
	}
	if i, found := q.find(c.ID); !found || q.underWay[i] != c {
		return
	}
	if s.link != nil && c.ID <= s.link.sent {
		cancel := newCall(&remofile2.Request{Operation: remofile2.OpCancel, Cancel: c.ID}, nil)
		cancel.abandoned = true
		s.admit(cancel)
	} else if !c.kept() {
		s.remove(func(d *call) bool { return d == c })
	}
}

// remove takes requests from those under way that get no answer; s.mu is held.
func (s *session2) remove(gone func(*call) bool) {
	s.queue.remove(gone)
	s.advance()
}

// push sends what is to be sent, or has it sent.
func (s *session2) push() {
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l != nil {
		l.sendAll(true) // that it fails the reader notices
	}
}

// takeSending reports whether the caller is the one to send requests over a link, until leaveSending.
func (s *session2) takeSending(l *link2) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.sending {
		return false
	}
	l.sending = true
	return true
}

// leaveSending reports false where there is something to be sent still.
func (s *session2) leaveSending(l *link2, light bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.nextOn(l)
	if c != nil && (!light || s.queue.light()) {
		return false
	}
	l.sending = false
	if c != nil {
		l.rouse()
	}
	return true
}

// next returns the request that a link has to send after those that it has sent, nil for
// none; with light none but where the writer is not needed.
func (s *session2) next(l *link2, light bool) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.nextOn(l)
	if c == nil || light && !s.queue.light() {
		return nil
	}
	l.sent, c.sent, c.writing = c.ID, true, true
	if c.Operation == remofile2.OpCancel { // its answer tells nothing
		s.queue.remove(func(d *call) bool { return d == c })
		return c
	}
	l.asked = true
	full := len(s.queue.waiting) > 0 || 2*s.queue.bulk >= s.pace.window()
	c.mark = s.pace.send(time.Now(), full)
	return c
}

// nextOn is next that changes nothing; s.mu is held. On a new link that is the first without an answer.
func (s *session2) nextOn(l *link2) *call {
	i, _ := s.queue.find(l.sent + 1)
	if s.link != l || i == len(s.queue.underWay) {
		return nil
	}
	// After a link that has carried no answer, the next one gets one request, and the others with
	// the answer to that: if it lasts no longer, there is some progress all the same.
	if l.asked && !l.useful && s.outage.useless > 0 {
		return nil
	}
	return s.queue.underWay[i]
}

// written takes the payload of a request back from the link that has sent it.
func (s *session2) written(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.writing = false
	s.recycle(c)
}

// recycle frees the payload of a request that nobody needs any longer; s.mu is held.
func (s *session2) recycle(c *call) {
	if i, underWay := s.queue.find(c.ID); c.out != nil && !c.writing && (!underWay || s.queue.underWay[i] != c) {
		s.buffers.Put(c.out)
		c.out = nil
	}
}

// sought returns the request that waits for this answer, or nil.
func (s *session2) sought(id uint64) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, found := s.queue.find(id); found && s.queue.underWay[i].sent {
		return s.queue.underWay[i]
	}
	return nil
}

// answer ends a call with what a message says, and makes room for others.
func (s *session2) answer(c *call, a remofile2.Answer, p answerPayload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return // it has ended already
	}
	if c.ID <= s.link.sent {
		s.pace.answer(c.mark, c.delivered(a.Code, &p), time.Now())
	}
	s.queue.remove(func(d *call) bool { return d == c })
	s.recycle(c)
	if c.opens() && a.Code != remofile2.CodeDone {
		delete(s.handles, c.Handle)
	}
	if !c.over {
		c.answer, c.answerPayload = a, p
		c.end(nil)
	}
	s.advance()
	if !s.link.useful {
		s.link.useful = true
		s.link.rouse()
	}
	s.link.watch(s.queue.requests > 0)
}
