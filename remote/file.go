package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/remofile/remofile/protocol/remofile2"
)

// File is an open file of the jail. It is used as an os.File is, by several goroutines if
// need be; what takes no context waits for the server as long as that gives signs of life.
//
// Writes are sent as soon as the link has room for them, small ones a moment (2 ms) later if nothing else is asked
// meanwhile, and not waited for: Flush, Sync and Close wait. The first that fails makes all later ones fail with its
// error, and Flush, Sync and Close, too.
// Whatever is asked of a File sees what was written through it before.
//
// Read asks ahead: what it returns may be as old as the Read before, or OpenFile. ReadAt
// returns what the server has when it is called.
//
// When the server no longer knows the session that a File was opened in, all its methods fail
// with Stale, or OutcomeUnknown where they changed something: it has to be opened again.
type File struct {
	client  *client2
	session *session2
	handle  remofile2.Handle
	path    string
	opened  Attr // when it was
	changes bool // it was opened for writing
	appends bool // with O_APPEND

	// changed counts the changes through this File: what was read ahead before one is void.
	changed atomic.Int64

	turn     chan struct{} // holds an element while somebody uses what follows
	position int64         // bytes
	appended *call         // the last APPEND, if position is what it came to
	ahead    readAhead

	mu      sync.Mutex // guards what follows
	closed  bool
	writes  []*call // whose answers nobody has looked at
	unheard int64   // bytes of writes
	failed  error   // of the first write that failed
}

// Open opens a file for reading.
func (c *Client) Open(ctx context.Context, p string) (*File, error) {
	return c.OpenFile(ctx, p, os.O_RDONLY, 0)
}

// Create makes a file, or makes the one that exists empty, and opens it for reading and
// writing. Others see what is written as it comes: Stage, or Upload, makes it appear at once.
func (c *Client) Create(ctx context.Context, p string) (*File, error) {
	return c.OpenFile(ctx, p, os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode)
}

// OpenFile opens a file as os.OpenFile does: flag is a sum of O_RDONLY, O_WRONLY, O_RDWR,
// O_APPEND, O_CREATE, O_EXCL, O_TRUNC of package os and O_NOFOLLOW of package syscall; the
// server's umask takes away from perm. With O_APPEND the server decides where the end of the
// file is, for all who append. ctx counts for the opening only. It fails with Unsupported where
// the server speaks Remofile 1 only.
func (c *Client) OpenFile(ctx context.Context, p string, flag int, perm fs.FileMode) (*File, error) {
	const op = "open"
	var f *File
	cleaned, err := clean(p)
	if err == nil {
		f, err = c.openFile(ctx, cleaned, flag, perm)
	}
	if err != nil {
		return nil, c.failure(op, p, err)
	}
	return f, nil
}

func (c *Client) openFile(ctx context.Context, p string, flag int, perm fs.FileMode) (*File, error) {
	c2, err := c.second()
	if err != nil {
		return nil, err
	}
	flags, err := openFlags(flag)
	if err != nil {
		return nil, err
	}
	open := remofile2.Request{Operation: remofile2.OpOpen, Path: p, Flags: flags, Mode: uint16(perm.Perm())}
	repeatable := flags&(remofile2.OpenCreate|remofile2.OpenTruncate) == 0
	return again(ctx, c2, repeatable, func(s *session2) (*File, error) {
		f := c2.newFile(s, p)
		f.changes, f.appends = flags&remofile2.OpenWrite != 0, flag&os.O_APPEND != 0
		return f, f.open(ctx, open)
	})
}

// openFlags translates.
func openFlags(flag int) (remofile2.Flags, error) {
	const known = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREATE | os.O_EXCL | os.O_TRUNC | syscall.O_NOFOLLOW
	var flags remofile2.Flags
	switch flag & (os.O_WRONLY | os.O_RDWR) {
	case os.O_RDONLY:
		flags = remofile2.OpenRead
	case os.O_WRONLY:
		flags = remofile2.OpenWrite
	case os.O_RDWR:
		flags = remofile2.OpenRead | remofile2.OpenWrite
	default:
		return 0, fs.ErrInvalid
	}
	if flag&^known != 0 {
		return 0, &Error{Code: Unsupported, Err: errors.New("a flag that is not known")}
	}
	if flag&os.O_TRUNC != 0 {
		if flags&remofile2.OpenWrite == 0 {
			return 0, fmt.Errorf("%w: O_TRUNC needs O_WRONLY or O_RDWR", fs.ErrInvalid)
		}
		flags |= remofile2.OpenTruncate
	}
	if flag&os.O_CREATE != 0 {
		flags |= remofile2.OpenCreate
		if flag&os.O_EXCL != 0 {
			flags |= remofile2.OpenExclusive
		}
	}
	if flag&syscall.O_NOFOLLOW == 0 {
		flags |= remofile2.OpenFollow
	}
	return flags, nil
}

func (c *client2) newFile(s *session2, p string) *File {
	return &File{
		client:  c,
		session: s,
		handle:  s.newHandle(),
		path:    p,
		turn:    make(chan struct{}, 1),
	}
}

// open sends what opens the file, and for one that can be read the first READ with it: a
// small file costs one round trip.
func (f *File) open(ctx context.Context, r remofile2.Request) error {
	opened, err := f.begin(ctx, &r, nil)
	if err != nil {
		return err
	}
	if r.Operation == remofile2.OpOpen && r.Flags&(remofile2.OpenRead|remofile2.OpenTruncate) == remofile2.OpenRead {
		f.askAhead(ctx) // its failure is that of OPEN
	}
	a, err := f.session.wait(ctx, opened)
	if err != nil {
		f.forget()
		if ctx.Err() != nil {
			f.enqueueClose(nil) // it may be open
		}
		return err
	}
	f.opened = attrOf(&a.Attr)
	return nil
}

// Opened returns the attributes that the file had when it was opened.
func (f *File) Opened() Attr { return f.opened }

// Lost reports whether the session in which the file was opened has ended: the server does not know
// the File any longer.
func (f *File) Lost() bool {
	f.session.mu.Lock()
	defer f.session.mu.Unlock()
	return f.session.err != nil
}

// Name returns the path that the file was opened with.
func (f *File) Name() string { return f.path }

// Close closes the file. An error is that of a write, if one failed: what was written is not
// all on the server. A staged file that was not committed is gone.
func (f *File) Close() error {
	closing, err := f.sendClose(nil)
	if err != nil || !f.changes {
		return f.failure("close", err)
	}
	ctx := context.Background()
	failed := f.awaitWrites(ctx)
	_, err = f.session.wait(ctx, closing)
	if failed != nil {
		return failed
	}
	return f.failure("close", err)
}

// Release is Close that does not wait where all that was written has been acknowledged: the server closes the file
// a moment later. failed is called if it tells that something went wrong then; it must not wait.
func (f *File) Release(failed func(error)) error {
	if oldest, _ := f.collect(); oldest != nil {
		return f.Close()
	}
	_, err := f.sendClose(func(err error) { failed(f.failure("close", err)) })
	if err != nil {
		return f.failure("close", err)
	}
	return f.Failed()
}

// sendClose closes the file for all that begins later, and lets the server know. failed, nil for nobody, gets
// the server's error.
func (f *File) sendClose(failed func(error)) (*call, error) {
	if err := f.shut(); err != nil {
		return nil, err
	}
	f.turn <- struct{}{} // who has it waits for the server at most
	f.forget()
	<-f.turn
	return f.enqueueClose(failed), nil
}

func (f *File) enqueueClose(failed func(error)) *call {
	c := newCall(&remofile2.Request{Operation: remofile2.OpClose, Handle: f.handle}, nil)
	c.failed = failed
	f.session.enqueueCall(c)
	return c
}

// shut makes all that begins later fail.
func (f *File) shut() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return nil
}

func (f *File) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// begin is session2.prepare for a request about the file.
func (f *File) begin(ctx context.Context, r *remofile2.Request, payload *[]byte) (*call, error) {
	if f.isClosed() {
		return nil, fs.ErrClosed
	}
	r.Handle = f.handle
	return f.session.prepare(ctx, r, payload)
}

// ask sends a request about the file and returns its answer.
func (f *File) ask(ctx context.Context, op string, r *remofile2.Request) (*remofile2.Answer, error) {
	c, err := f.begin(ctx, r, nil)
	if err != nil {
		return nil, f.failure(op, err)
	}
	a, err := f.session.wait(ctx, c)
	return a, f.failure(op, err)
}

func (f *File) failure(op string, err error) error { return f.client.failure(op, f.path, err) }

// takeTurn waits until nobody else uses the position.
func (f *File) takeTurn(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
		if f.isClosed() {
			<-f.turn
			return fs.ErrClosed
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// checkRange fails where n bytes at an offset are none that a file can have.
func checkRange(offset, n int64) error {
	switch {
	case offset < 0:
		return fmt.Errorf("%w: negative offset", fs.ErrInvalid)
	case n < 0:
		return fmt.Errorf("%w: negative length", fs.ErrInvalid)
	case offset+n < 0:
		return fmt.Errorf("%w: it ends beyond 2^63-1 bytes", fs.ErrInvalid)
	default:
		return nil
	}
}
