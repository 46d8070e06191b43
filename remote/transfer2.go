package remote

import (
	"cmp"
	"context"
	"errors"

	"golang.org/x/sync/semaphore"

	"github.com/remofile/remofile/protocol/remofile2"
)

// forgotten returns what it means to a transfer that its session has come to an end: what
// did not become visible has not been done.
func forgotten(err error) error {
	if errors.Is(err, errForgotten) {
		return &Error{Code: Unreachable, Err: errForgotten}
	}
	return err
}

// flow is the requests of one transfer, in the order in which they were sent.
type flow struct {
	*session2
	handle remofile2.Handle
	fixed  int64 // bytes that a request carries; 0 is as many as suit the link
	calls  []*call
	bytes  int64               // of calls
	deltas *semaphore.Weighted // see maxDeltas; nil in a flow that is a part of another one
}

// flow begins a transfer, which ends with finish.
func (c *client2) flow(s *session2, o *TransferOptions) *flow {
	s.mu.Lock()
	s.flows++
	s.mu.Unlock()
	fixed := int64(cmp.Or(o.ChunkSize, c.opts.ChunkSize))
	return &flow{session2: s, deltas: c.deltas, handle: s.newHandle(), fixed: min(fixed, int64(s.info.Payload))}
}

// chunk returns how many bytes the next request is to carry.
func (f *flow) chunk() int64 {
	if f.fixed > 0 {
		return f.fixed
	}
	return f.session2.chunk()
}

// push sends a request, unless ctx has ended: where the server is quick, nothing else would
// notice that.
func (f *flow) push(ctx context.Context, r *remofile2.Request, payload *[]byte) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	r.Handle = f.handle
	c, err := f.begin(ctx, r, payload)
	if err != nil {
		return err
	}
	f.calls = append(f.calls, c)
	f.bytes += c.bytes
	return nil
}

// pop waits for the oldest answer, which also may be there when ctx has ended.
func (f *flow) pop(ctx context.Context) (*call, error) {
	c := f.calls[0]
	f.calls = f.calls[1:]
	f.bytes -= c.bytes
	_, err := f.wait(ctx, c)
	return c, err
}

// hasRoom reports whether so many bytes more may be under way, or wait here for the writer
// of a download.
func (f *flow) hasRoom(bytes int64) bool { return len(f.calls) == 0 || f.bytes+bytes <= f.share() }

// drop ends what is still under way, and does not wait for that.
func (f *flow) drop() {
	for _, c := range f.calls {
		f.abandon(c)
	}
	f.calls, f.bytes = nil, 0
}

// finish ends the transfer. What is still under way is not waited for, and neither is the
// server's word that the file is closed.
func (f *flow) finish(flags remofile2.Flags) {
	f.mu.Lock()
	f.flows--
	f.mu.Unlock()
	f.close(flags)
}

// close ends what is still under way, and closes the file, without waiting for it.
func (f *flow) close(flags remofile2.Flags) {
	f.drop()
	closing := f.enqueue(&remofile2.Request{Operation: remofile2.OpClose, Handle: f.handle, Flags: flags}, nil)
	f.calls = append(f.calls, closing)
}

// leave ends an upload that failed, and waits for a moment until the server has let go of
// it: another one may follow at once.
func (f *flow) leave(flags remofile2.Flags) {
	f.finish(flags)
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	f.pop(ctx)
}
