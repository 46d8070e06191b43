package server

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/compression"
)

// handle is a file that a session has open, or is about to open. Its requests are
// executed one after the other: all but tail belongs to the one under way.
type handle struct {
	server *Server
	tail   <-chan struct{} // closed when the last of its requests so far is done; guarded by session.mu
	missed error           // of the first change that failed: COMMIT fails with it; guarded by session.mu
	at     place           // where it was opened, if it may change the file; guarded by session.mu

	file    *os.File // nil where it could not be opened, or was closed
	write   bool     // it was opened for it
	staged  *staged  // until COMMIT; its part is file
	replace bool     // staged may replace a file
	syncErr error    // of the first sync that failed: the system tells it only once
	closed  bool

	trials compression.Trials // of what is read
}

// maxHandles returns how many files all sessions together may have open: a staged one takes
// two descriptors, and half of what the process may have is for connections and the rest.
func maxHandles() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return remofile2.MaxHandles
	}
	return int64(min(limit.Cur, 1<<30) / 4)
}

// newHandle counts a handle that is to be closed, or fails where there are too many.
func (s *Server) newHandle() (*handle, error) {
	if s.handles.Add(1) > s.maxHandles {
		s.handles.Add(-1)
		return nil, code(remofile2.CodeBusy)
	}
	return &handle{server: s}, nil
}

// close may be called more than once. With discard no part is kept of a staged file.
func (h *handle) close(discard bool) error {
	if h.closed {
		return nil
	}
	h.closed = true
	h.server.handles.Add(-1)
	file, staged := h.file, h.staged
	h.file, h.staged = nil, nil
	switch {
	case staged != nil:
		return staged.close(discard)
	case file != nil:
		return file.Close()
	default:
		return nil
	}
}

// opened returns the file, to be looked at.
func (h *handle) opened() (*os.File, error) {
	f, done, err := h.changing()
	if err == nil {
		done()
	}
	return f, err
}

// changing returns the file, to be changed until done is called.
func (h *handle) changing() (f *os.File, done func(), err error) {
	switch {
	case h.file == nil:
		return nil, nil, code(remofile2.CodeBadHandle)
	case h.staged == nil:
		return h.file, func() {}, nil
	}
	done, err = h.staged.change()
	return h.file, done, err
}

// grow fails where the file, which is being changed, can't have size bytes, or not so many
// that are about to be written.
func (h *handle) grow(size, written int64) error {
	if err := h.server.checkGrowth(h.file, size); err != nil || h.staged == nil {
		return err
	}
	return h.staged.grow(size, written)
}

// sync puts the file on stable storage, its data alone or all of it. Once that failed it
// fails for good: what was not written then may be lost.
func (h *handle) sync(dataOnly bool) error {
	if h.syncErr != nil {
		return h.syncErr
	}
	call := unix.Fsync
	if dataOnly {
		call = unix.Fdatasync
	}
	h.syncErr = retry(func() error { return call(int(h.file.Fd())) })
	return h.syncErr
}

// queue puts a task behind the requests on its handles; s.mu is held. OPEN and STAGE
// make a handle, CLOSE takes it away from those that follow.
func (s *session) queue(t *task) error {
	op := operations[t.Operation]
	switch {
	case op.handles == 0 || t.Path != "" && !op.opens:
		return nil
	case op.opens:
		return s.queueOpening(t)
	}
	h, known := s.handles[t.Handle]
	if !known {
		return code(remofile2.CodeBadHandle)
	}
	if op.handles == 2 {
		if t.to, known = s.handles[t.ToHandle]; !known {
			return code(remofile2.CodeBadHandle)
		}
		t.follow(t.to)
	}
	t.file = h
	if t.to != h {
		t.follow(h)
	}
	if t.Operation == remofile2.OpClose {
		delete(s.handles, t.Handle)
	}
	return nil
}

func (s *session) queueOpening(t *task) error {
	if _, known := s.handles[t.Handle]; known {
		return code(remofile2.CodeBadHandle)
	}
	if len(s.handles) >= remofile2.MaxHandles {
		return code(remofile2.CodeTooMany)
	}
	h, err := s.server.newHandle()
	if err != nil {
		return err
	}
	s.handles[t.Handle] = h
	t.file = h
	t.follow(h)
	return nil
}

// follow makes t the last request on h; session.mu is held.
func (t *task) follow(h *handle) {
	if h.tail != nil {
		t.after = append(t.after, h.tail)
	}
	h.tail = t.done
}

// drop takes the handle of a failed OPEN or STAGE away. Requests that follow it already
// find it closed.
func (s *session) drop(t *task) {
	t.file.close(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handles[t.Handle] == t.file {
		delete(s.handles, t.Handle)
	}
}

// mayFail are the changes of a file that a COMMIT does not need.
var mayFail = map[remofile2.Operation]bool{remofile2.OpCommit: true, remofile2.OpAllocate: true}

// miss takes note that a change of a file failed, or was not even begun; s.mu is held. What
// follows it may have been sent already: a COMMIT would make a file visible that is not
// whole. That a COMMIT failed changes nothing: there may be another one. An ALLOCATE that failed takes
// nothing away from what is written: programs do without.
func (s *session) miss(t *task, err error) {
	h := t.to
	if h == nil {
		h = t.file
	}
	if h == nil && t.Path == "" {
		h = s.handles[t.Handle]
	}
	if h != nil && h.missed == nil && operations[t.Operation].changes && !mayFail[t.Operation] {
		h.missed = err
	}
}

// missedOn returns the error of the first change of h that failed.
func (s *session) missedOn(h *handle) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.missed
}
