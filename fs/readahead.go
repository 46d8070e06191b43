package fs

import (
	"context"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Reading ahead, in bytes.
const (
	aheadPiece  = 512 << 10 // that one request asks for
	leastAhead  = 512 << 10 // what a handle asks for ahead when it begins to read in sequence
	mostAhead   = 8 << 20   // and at most
	aheadBudget = 64 << 20  // of all handles together
	firstPiece  = 64 << 10  // what an open asks for with the file itself
	// reordered is how far the kernel's requests for one sequence may come out of order.
	reordered = 1 << 20
)

// budget bounds what all handles of a mount have read ahead.
type budget = *semaphore.Weighted

func newBudget() budget { return semaphore.NewWeighted(aheadBudget) }

// readAhead hides the link's delay from a program that reads a file in sequence: it asks the server
// for what comes next.
type readAhead struct {
	handle *handle
	life   context.Context
	cancel context.CancelFunc
	asking sync.WaitGroup // the goroutines that wait for pieces

	opened time.Time // constant

	mu     sync.Mutex // guards what follows
	voids  int        // how often the file has changed
	next   int64      // where the last read ended
	window int64      // bytes to be asked for ahead; 0 as long as reads are not in sequence
	pieces []*piece   // in order, one behind the other
	first  bool       // nothing has been read yet: the file begins with what its open asked for
}

// piece is a range that was asked for ahead. It belongs to its goroutine until done is closed.
type piece struct {
	off   int64
	size  int64 // that was asked for
	asked time.Time
	done  chan struct{}
	data  []byte // shorter at the end of the file
	err   error
}

func (r *readAhead) init(h *handle) {
	r.handle = h
	r.opened = time.Now()
	r.first = true
	r.life, r.cancel = context.WithCancel(context.Background())
}

// end waits for what was asked for.
func (r *readAhead) end() {
	r.cancel()
	r.void()
	r.asking.Wait()
}

// void drops what was read ahead: the file has changed.
func (r *readAhead) void() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(len(r.pieces))
	r.window, r.first = 0, false
	r.voids++
}

// mark returns what a read is to begin with, before it waits for the writes under way: what it then asks
// for ahead is kept unless a write has begun since.
func (r *readAhead) mark() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.voids
}

// drop drops the first n pieces; mu is held.
func (r *readAhead) drop(n int) {
	for _, p := range r.pieces[:n] {
		r.handle.node.tree.ahead.Release(p.size)
	}
	r.pieces = r.pieces[n:]
}

// read reads into dest; fewer bytes than it holds come at the end of the file only.
func (r *readAhead) read(ctx context.Context, dest []byte, off int64, mark int) (int, error) {
	n := 0
	for n < len(dest) {
		p := r.find(off+int64(n), off+int64(len(dest)), mark)
		if p == nil {
			got, err := r.handle.file().ReadAtContext(ctx, dest[n:], off+int64(n))
			if err == io.EOF {
				err = nil
			}
			return n + got, err
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if p.err != nil {
			r.void()
			continue // the read itself meets the error, or not
		}
		got := 0
		if at := off + int64(n) - p.off; at < int64(len(p.data)) {
			got = copy(dest[n:], p.data[at:])
		}
		n += got
		if int64(len(p.data)) < p.size && n < len(dest) {
			r.void() // the file ended here then: ask again
			if got == 0 {
				continue
			}
		}
	}
	return n, nil
}

// find returns the piece that holds the byte at off, or nil, and sees to it that what comes next is
// asked for; the read goes on to end.
func (r *readAhead) find(off, end int64, mark int) *piece {
	r.mu.Lock()
	defer r.mu.Unlock()
	if mark != r.voids {
		return nil
	}
	r.observe(off, end)
	for _, p := range r.pieces {
		if off >= p.off && off < p.off+p.size {
			return p
		}
	}
	return nil
}

// observe takes note of a read; mu is held.
func (r *readAhead) observe(off, end int64) {
	switch {
	case off > r.next+reordered || off < r.next-reordered:
		r.window, r.next = 0, end
		r.drop(len(r.pieces))
	case off > 0 && r.window == 0:
		r.window = leastAhead
	}
	r.next = max(r.next, end)
	passed := 0
	for passed < len(r.pieces) && r.isPast(r.pieces[passed]) {
		passed++
	}
	if passed > 0 {
		r.window = min(2*r.window, mostAhead)
		r.drop(passed)
	}
	if r.first && off == 0 && !r.isOld(r.opened) {
		r.ask(0, firstPiece, func(p []byte, _ int64) (int, error) { return io.ReadFull(r.handle.file(), p) })
	}
	r.first = false
	next := end
	if len(r.pieces) > 0 {
		last := r.pieces[len(r.pieces)-1]
		next = last.off + last.size
	}
	for next < end+r.window && r.ask(next, aheadPiece, r.readAt) {
		next += aheadPiece
	}
}

// isPast reports whether nobody will need a piece any longer, or it is too old.
func (r *readAhead) isPast(p *piece) bool {
	return p.off+p.size+reordered <= r.next || r.isOld(p.asked)
}

// isOld reports whether what was asked for then is too old.
func (r *readAhead) isOld(asked time.Time) bool {
	const least = time.Second // a slow link needs some time
	return time.Since(asked) > max(r.handle.node.tree.cacheTime, least)
}

func (r *readAhead) readAt(p []byte, off int64) (int, error) {
	return r.handle.file().ReadAtContext(r.life, p, off)
}

// ask asks for a piece, if the budget allows; mu is held.
func (r *readAhead) ask(off, size int64, read func(p []byte, off int64) (int, error)) bool {
	if !r.handle.node.tree.ahead.TryAcquire(size) {
		return false
	}
	p := &piece{off: off, size: size, asked: time.Now(), done: make(chan struct{})}
	r.pieces = append(r.pieces, p)
	r.asking.Go(func() { // ends with the handle at the latest
		defer close(p.done)
		data := make([]byte, size)
		n, err := read(data, off)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = nil
		}
		p.data, p.err = data[:n], err
	})
	return true
}
