package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/remofile/remofile/protocol/remofile2"
)

// WriteAt implements io.WriterAt.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	return f.WriteAtContext(context.Background(), p, off)
}

// WriteAtContext is WriteAt, which ends with ctx: then a part may have been written.
func (f *File) WriteAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	err := checkRange(off, int64(len(p)))
	if err == nil {
		err = f.checkWritable()
	}
	if err == nil && f.appends {
		err = errors.New("WriteAt does not go with O_APPEND")
	}
	n := 0
	if err == nil {
		n, err = f.writeAt(ctx, p, off)
	}
	return n, f.failure("write", err)
}

func (f *File) checkWritable() error {
	if !f.changes {
		return &Error{Code: BadHandle}
	}
	return nil
}

func (f *File) writeAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	for n < len(p) {
		piece := p[n:min(n+int(f.session.chunk()), len(p))]
		r := remofile2.Request{Operation: remofile2.OpWrite, Offset: off + int64(n)}
		if _, err := f.write(ctx, &r, piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// write sends a piece as soon as the session has room for it, unless one has failed already.
func (f *File) write(ctx context.Context, r *remofile2.Request, piece []byte) (*call, error) {
	payload := f.session.buffer(int64(len(piece)))
	copy(*payload, piece)
	return f.send(ctx, r, payload)
}

// send sends a request whose failure is that of a write. The payload, nil for none, is one of the session's.
func (f *File) send(ctx context.Context, r *remofile2.Request, payload *[]byte) (*call, error) {
	if err := f.Failed(); err != nil {
		return nil, err
	}
	if f.isClosed() {
		return nil, fs.ErrClosed
	}
	r.Handle = f.handle
	c, err := f.session.begin(ctx, r, payload)
	if err != nil {
		return nil, err
	}
	f.changed.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = append(f.writes, c)
	f.unheard += c.bytes
	return c, nil
}

// Write implements io.Writer. With O_APPEND, what fits into one request (1 MiB) is not torn
// apart by what others append.
func (f *File) Write(p []byte) (n int, err error) {
	ctx := context.Background()
	if err := f.takeTurn(ctx); err != nil {
		return 0, f.failure("write", err)
	}
	defer func() { <-f.turn }()
	if err = f.checkWritable(); err == nil && f.appends {
		n, err = f.appendPieces(ctx, p)
	} else if err == nil {
		n, err = f.writePosition(ctx, p)
	}
	return n, f.failure("write", err)
}

func (f *File) writePosition(ctx context.Context, p []byte) (n int, err error) {
	if err := checkRange(f.position, int64(len(p))); err != nil {
		return 0, err
	}
	n, err = f.writeAt(ctx, p, f.position)
	f.position += int64(n)
	return n, err
}

func (f *File) appendPieces(ctx context.Context, p []byte) (n int, err error) {
	last, n, err := f.sendAppends(ctx, p)
	if last != nil {
		f.appended = last
	}
	return n, err
}

// sendAppends sends p in as few APPENDs as it fits into, and returns the last one.
func (f *File) sendAppends(ctx context.Context, p []byte) (last *call, n int, err error) {
	for n < len(p) {
		piece := p[n:min(n+int(f.session.info.Payload), len(p))]
		c, err := f.write(ctx, &remofile2.Request{Operation: remofile2.OpAppend}, piece)
		if err != nil {
			return last, n, err
		}
		last = c
		n += len(piece)
	}
	return last, n, nil
}

// ReadFrom implements io.ReaderFrom.
func (f *File) ReadFrom(r io.Reader) (written int64, err error) {
	return io.CopyBuffer(struct{ io.Writer }{f}, r, make([]byte, f.session.chunk()))
}

// AppendContext writes p at the end of the file, the server deciding where that is, for all who append. As WriteAtContext it
// does not wait for the server, and ends with ctx. What fits into one request (1 MiB) is not torn apart by what
// others append.
func (f *File) AppendContext(ctx context.Context, p []byte) (n int, err error) {
	if err = f.checkWritable(); err == nil {
		_, n, err = f.sendAppends(ctx, p)
	}
	return n, f.failure("write", err)
}

// findPosition makes position what the last append came to. The turn is the caller's.
func (f *File) findPosition(ctx context.Context) error {
	c := f.appended
	if c == nil {
		return nil
	}
	if err := f.session.await(ctx, c); err != nil {
		return err
	}
	if _, err := f.session.outcome(c); err == nil {
		f.position = c.answer.Offset + c.bytes
	}
	f.appended = nil
	return nil
}

// Flush waits until the server has all that was written.
func (f *File) Flush(ctx context.Context) error {
	return f.failure("write", f.awaitWrites(ctx))
}

// Unflushed returns of how many bytes that were written the server's answer has not come.
func (f *File) Unflushed() int64 {
	f.collect()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unheard
}

// Failed returns the error of the first write that failed after it was accepted, or nil. It is
// complete when the File is Lost.
func (f *File) Failed() error {
	f.collect()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// awaitWrites waits until all writes are answered, or one has failed. A write that was sent is not
// cancelled when ctx ends.
func (f *File) awaitWrites(ctx context.Context) error {
	for {
		oldest, err := f.collect()
		if oldest == nil {
			return err
		}
		if err := f.session.await(ctx, oldest); err != nil && ctx.Err() != nil {
			return err
		}
	}
}

// collect takes note of the answers that have come. It returns the failure of a write, which is
// complete, or the oldest write without an answer, or nothing.
func (f *File) collect() (oldest *call, failed error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.writes) > 0 {
		c := f.writes[0]
		over, err := f.session.outcome(c)
		if !over {
			break
		}
		if err != nil && f.failed == nil {
			f.failed = f.failure("write", err)
		}
		f.writes, f.unheard = f.writes[1:], f.unheard-c.bytes
	}
	if f.failed != nil || len(f.writes) == 0 {
		return nil, f.failed
	}
	return f.writes[0], nil
}

// Sync waits until all that was written is on stable storage.
func (f *File) Sync() error { return f.SyncContext(context.Background(), false) }

// SyncContext is Sync, which ends with ctx. With dataOnly, attributes that are not needed to read the
// data again may be left out.
func (f *File) SyncContext(ctx context.Context, dataOnly bool) error {
	r := remofile2.Request{Operation: remofile2.OpSync}
	if dataOnly {
		r.Flags = remofile2.SyncData
	}
	_, err := f.askBehindWrites(ctx, &r)
	return f.failure("sync", err)
}

// askBehindWrites sends a request that means all that was written, and returns its answer if
// all of that is on the server.
func (f *File) askBehindWrites(ctx context.Context, r *remofile2.Request) (*remofile2.Answer, error) {
	c, err := f.begin(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	if err := f.awaitWrites(ctx); err != nil {
		f.session.discard(c)
		return nil, err
	}
	return f.session.wait(ctx, c)
}

// Truncate changes the size of the file.
func (f *File) Truncate(size int64) error {
	_, err := f.set(context.Background(), "truncate", Changes{Size: &size})
	return err
}

// Set changes attributes, and returns what they are then.
func (f *File) Set(ctx context.Context, c Changes) (Attr, error) { return f.set(ctx, "set", c) }

func (f *File) set(ctx context.Context, op string, c Changes) (Attr, error) {
	changes, err := changesOf(&c)
	if err != nil {
		return Attr{}, f.failure(op, err)
	}
	defer f.changed.Add(1)
	a, err := f.ask(ctx, op, &remofile2.Request{Operation: remofile2.OpSet, Changes: changes})
	if err != nil {
		return Attr{}, err
	}
	return attrOf(&a.Attr), nil
}

// SetLater changes attributes as a write changes the content: it does not wait for the server, and where it fails, so
// does all that is written later, and Flush, Sync and Close. It ends with ctx.
func (f *File) SetLater(ctx context.Context, c Changes) error {
	changes, err := changesOf(&c)
	if err == nil {
		_, err = f.send(ctx, &remofile2.Request{Operation: remofile2.OpSet, Changes: changes}, nil)
	}
	return f.failure("set", err)
}

// Attr returns the attributes.
func (f *File) Attr(ctx context.Context) (Attr, error) {
	a, err := f.ask(ctx, "stat", &remofile2.Request{Operation: remofile2.OpStat})
	if err != nil {
		return Attr{}, err
	}
	return attrOf(&a.Attr), nil
}

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	const op = "seek"
	ctx := context.Background()
	if err := f.takeTurn(ctx); err != nil {
		return 0, f.failure(op, err)
	}
	defer func() { <-f.turn }()
	base, err := f.base(ctx, whence)
	if err == nil && (base+offset < 0) {
		err = fmt.Errorf("%w: to a negative offset, or beyond 2^63-1", fs.ErrInvalid)
	}
	if err != nil {
		return 0, f.failure(op, err)
	}
	f.position = base + offset
	return f.position, nil
}

// base returns the offset that one in Seek counts from. The turn is the caller's.
func (f *File) base(ctx context.Context, whence int) (int64, error) {
	if err := f.findPosition(ctx); err != nil {
		return 0, err
	}
	switch whence {
	case io.SeekStart:
		return 0, nil
	case io.SeekCurrent:
		return f.position, nil
	case io.SeekEnd:
		a, err := f.Attr(ctx)
		return a.Size, err
	default:
		return 0, fs.ErrInvalid
	}
}
