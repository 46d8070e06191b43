package remote

import (
	"context"
	"io"

	"github.com/remofile/remofile/protocol/remofile2"
)

// What Read asks for ahead, in bytes; more than the link has room for never. All files of a
// client share aheadBudget.
const (
	firstAhead  = 64 << 10
	mostAhead   = 8 << 20
	aheadBudget = 4 * mostAhead
)

// readAhead is what Read has asked for and not returned. File.turn guards it.
type readAhead struct {
	pieces []piece // READs of one range after the other
	from   int64   // where in the file rest begins, or else what the first piece is to bring
	next   int64   // the end of the last piece
	window int64   // how many bytes may be asked for
	rest   []byte  // of the first piece; nil as long as nobody has waited for it
	ended  bool    // the file ended at from
	change int64   // File.changed when it began
}

// piece is one READ.
type piece struct {
	*call
	charged bool // to the budget
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	return f.ReadAtContext(context.Background(), p, off)
}

// ReadAtContext is ReadAt, which ends with ctx.
func (f *File) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	err := checkRange(off, int64(len(p)))
	n := 0
	if err == nil {
		n, err = f.readAt(ctx, p, off)
	}
	if err == io.EOF {
		return n, err
	}
	return n, f.failure("read", err)
}

// readAt has as much of p under way as a transfer may have.
func (f *File) readAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	var calls []*call
	defer func() {
		for _, c := range calls {
			f.session.discard(c)
		}
	}()
	for asked := 0; n < len(p); {
		for asked < len(p) && int64(asked-n) < f.session.share() {
			length := min(f.session.chunk(), int64(len(p)-asked))
			c, err := f.begin(ctx, &remofile2.Request{Operation: remofile2.OpRead, Offset: off + int64(asked), Length: length}, nil)
			if err != nil {
				return n, err
			}
			calls = append(calls, c)
			asked += int(length)
		}
		c := calls[0]
		if _, err := f.session.wait(ctx, c); err != nil {
			return n, err
		}
		calls = calls[1:]
		got := copy(p[n:], c.payload)
		f.session.release(c)
		n += got
		if int64(got) < c.Length {
			return n, io.EOF
		}
	}
	return n, nil
}

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	ctx := context.Background()
	if err := f.takeTurn(ctx); err != nil {
		return 0, f.failure("read", err)
	}
	defer func() { <-f.turn }()
	if len(p) == 0 {
		return 0, nil
	}
	rest, err := f.peek(ctx)
	if err != nil {
		return 0, err
	}
	n := copy(p, rest)
	f.advance(n)
	return n, nil
}

// WriteTo implements io.WriterTo.
func (f *File) WriteTo(w io.Writer) (written int64, err error) {
	ctx := context.Background()
	if err := f.takeTurn(ctx); err != nil {
		return 0, f.failure("read", err)
	}
	defer func() { <-f.turn }()
	for {
		rest, err := f.peek(ctx)
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		f.ahead.window = mostAhead
		n, err := w.Write(rest)
		f.advance(n)
		written += int64(n)
		if err != nil {
			return written, err
		}
		if n < len(rest) {
			return written, io.ErrShortWrite
		}
	}
}

// peek returns the bytes at the position, some at least, which are valid until advance, or
// io.EOF. The turn is the caller's.
func (f *File) peek(ctx context.Context) ([]byte, error) {
	a := &f.ahead
	err := f.findPosition(ctx)
	if err == nil && (a.from != f.position || a.change != f.changed.Load()) {
		f.forget()
	}
	for err == nil && len(a.rest) == 0 {
		if a.ended {
			a.ended = false
			return nil, io.EOF
		}
		err = f.takePiece(ctx)
	}
	if err != nil {
		f.forget()
		return nil, f.failure("read", err)
	}
	return a.rest, nil
}

// takePiece waits for the first piece, and sees to it that others follow.
func (f *File) takePiece(ctx context.Context) error {
	a := &f.ahead
	if err := f.askAhead(ctx); err != nil {
		return err
	}
	first := a.pieces[0].call
	if _, err := f.session.wait(ctx, first); err != nil {
		return err
	}
	if a.rest = first.payload; int64(len(a.rest)) < first.Length {
		a.ended = true
		f.dropPieces(1) // nothing is behind the end
		a.next = a.from + int64(len(a.rest))
	}
	if len(a.rest) == 0 {
		f.dropFirst()
	}
	return nil
}

// askAhead asks for as much as the window and the link allow, and for something in any case.
func (f *File) askAhead(ctx context.Context) error {
	a := &f.ahead
	if a.window == 0 {
		a.window = firstAhead
	}
	for len(a.pieces) == 0 || a.next-a.from < min(a.window, f.session.share()) {
		length := min(f.session.chunk(), a.window-(a.next-a.from))
		charged := f.client.ahead.TryAcquire(length)
		if !charged && len(a.pieces) > 0 {
			return nil
		}
		c, err := f.begin(ctx, &remofile2.Request{Operation: remofile2.OpRead, Offset: a.next, Length: length}, nil)
		if err != nil {
			if charged {
				f.client.ahead.Release(length)
			}
			return err
		}
		a.pieces = append(a.pieces, piece{c, charged})
		a.next += length
	}
	return nil
}

// advance moves the position over n bytes that peek returned.
func (f *File) advance(n int) {
	a := &f.ahead
	f.position += int64(n)
	a.from += int64(n)
	if a.rest = a.rest[n:]; len(a.rest) == 0 {
		f.dropFirst()
		a.window = min(2*a.window, mostAhead)
	}
}

// dropFirst gives the first piece's memory back.
func (f *File) dropFirst() {
	a := &f.ahead
	first := a.pieces[0]
	a.pieces, a.rest = a.pieces[1:], nil
	f.session.release(first.call)
	f.uncharge(first)
}

// dropPieces abandons the pieces from the i-th on.
func (f *File) dropPieces(i int) {
	a := &f.ahead
	for _, p := range a.pieces[i:] {
		f.session.discard(p.call)
		f.uncharge(p)
	}
	a.pieces = a.pieces[:i]
}

func (f *File) uncharge(p piece) {
	if p.charged {
		f.client.ahead.Release(p.Length)
	}
}

// forget drops all that was read ahead: the next Read begins afresh.
func (f *File) forget() {
	f.dropPieces(0)
	f.ahead = readAhead{from: f.position, next: f.position, change: f.changed.Load()}
}
