package remote

import (
	"context"
	"errors"
	"net"
	"path"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
)

// client2 is a Client in Remofile 2: one session, made again when it was lost.
type client2 struct {
	*dialer
	ahead *semaphore.Weighted // bytes of aheadBudget

	dialling sync.Mutex // held while a session is made

	mu      sync.Mutex // guards what follows
	closed  bool
	current *session2
}

// newClient2 begins with one connection.
func newClient2(ctx context.Context, d *dialer, conn *zmtp.Conn) (*client2, error) {
	s, err := attach(ctx, conn, d.opts.Timeout)
	if err != nil {
		return nil, err
	}
	d.opts.Logger.Info("session opened", "peer", d.opts.Address)
	return &client2{dialer: d, ahead: semaphore.NewWeighted(aheadBudget), current: s}, nil
}

func (c *client2) foreign() bool { return false }

func (c *client2) validName(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return remofile2.ValidName(name) && (!c.current.info.PortableNames || protocol.ValidName(name))
}

func (c *client2) close() {
	c.mu.Lock()
	c.closed = true
	s := c.current
	c.mu.Unlock()
	s.goodbye()
}

// living returns the current session if it is alive.
func (c *client2) living() (*session2, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if c.current.alive() {
		return c.current, nil
	}
	return nil, nil
}

// session returns the session, which it makes if there is none.
func (c *client2) session(ctx context.Context) (*session2, error) {
	if s, err := c.living(); s != nil || err != nil {
		return s, err
	}
	c.dialling.Lock()
	defer c.dialling.Unlock()
	if s, err := c.living(); s != nil || err != nil {
		return s, err // somebody else made it meanwhile
	}
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	if conn.PeerVersion() < 2 {
		conn.Close()
		return nil, &Error{Code: Unsupported, Err: errors.New("the server has become an older one")}
	}
	s, err := attach(ctx, conn, c.opts.Timeout)
	if err != nil {
		return nil, err
	}
	c.opts.Logger.Info("session opened", "peer", c.opts.Address)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = s
	return s, nil
}

// ask sends one request and returns its answer. One that changes nothing is sent again
// where a session was lost that had been idle: the server may have gone and come back since.
func (c *client2) ask(ctx context.Context, r *remofile2.Request, repeatable bool) (remofile2.Answer, error) {
	return again(ctx, c, repeatable, func(s *session2) (remofile2.Answer, error) { return s.ask(ctx, r) })
}

// again runs fn on the session, and if it is repeatable, once more where that was lost.
func again[T any](ctx context.Context, c *client2, repeatable bool, fn func(*session2) (T, error)) (T, error) {
	for {
		s, err := c.session(ctx)
		if err != nil {
			var none T
			return none, err
		}
		result, err := fn(s)
		if repeatable && err != nil && !s.alive() && !errors.Is(err, Timeout) && ctx.Err() == nil {
			repeatable = false
			continue
		}
		return result, err
	}
}

func (c *client2) list(ctx context.Context, dir string) ([]Entry, error) {
	const page = 512 << 10 // bytes
	var entries []Entry
	r := remofile2.Request{Operation: remofile2.OpList, Path: dir, Length: page}
	for {
		a, err := c.ask(ctx, &r, true)
		if err != nil {
			return nil, err
		}
		for _, e := range a.Entries {
			entries = append(entries, entryOf(e.Name, &e.Attr))
		}
		if err := c.follow(ctx, dir, a.Entries, entries[len(entries)-len(a.Entries):]); err != nil {
			return nil, err
		}
		if a.Cursor == "" {
			return entries, nil
		}
		if a.Cursor <= r.Cursor {
			return nil, corrupted(errors.New("a listing that does not end"))
		}
		r.Cursor = a.Cursor
	}
}

func entryOf(name string, a *remofile2.Attr) Entry {
	return Entry{Name: name, Link: a.Kind == remofile2.KindSymlink, Attr: attrOf(a)}
}

// follow replaces the entries of symbolic links by what they lead to. Those that lead
// nowhere stay files of 0 bytes.
func (c *client2) follow(ctx context.Context, dir string, listed []remofile2.Entry, entries []Entry) error {
	s, err := c.session(ctx)
	if err != nil {
		return err
	}
	var calls []*call
	var indices []int
	for i, e := range listed {
		if e.Attr.Kind != remofile2.KindSymlink {
			continue
		}
		r := remofile2.Request{Operation: remofile2.OpStat, Path: path.Join(dir, e.Name), Flags: remofile2.StatFollow}
		stat, err := s.begin(ctx, &r, nil)
		if err != nil {
			return err
		}
		calls, indices = append(calls, stat), append(indices, i)
	}
	for n, stat := range calls {
		a, err := s.wait(ctx, stat)
		if err != nil && (!s.alive() || ctx.Err() != nil) {
			return err
		}
		e := &entries[indices[n]]
		if err == nil && a.Attr.Kind <= remofile2.KindDirectory {
			e.Attr = attrOf(&a.Attr)
		} else {
			e.Size = 0
		}
	}
	return nil
}

func (c *client2) stat(ctx context.Context, p string) (Entry, error) {
	a, err := c.ask(ctx, &remofile2.Request{Operation: remofile2.OpStat, Path: p, Flags: remofile2.StatFollow}, true)
	leads := err == nil
	if errors.Is(err, NotFound) { // a link that leads nowhere, perhaps
		a, err = c.ask(ctx, &remofile2.Request{Operation: remofile2.OpStat, Path: p}, true)
	}
	if errors.Is(err, NotDirectory) {
		err = &Error{Code: NotFound}
	}
	e := entryOf(path.Base(p), &a.Attr)
	if !leads && a.Attr.Kind == remofile2.KindSymlink {
		e.Size = 0
	}
	return e, err
}

// New files and directories get what the server's umask leaves of these.
const (
	fileMode      = 0o666
	directoryMode = 0o777
)

func (c *client2) createFile(ctx context.Context, p string) error {
	s, err := c.session(ctx)
	if err != nil {
		return err
	}
	open := remofile2.Request{
		Operation: remofile2.OpOpen, Handle: s.newHandle(), Path: p, Mode: fileMode,
		Flags: remofile2.OpenWrite | remofile2.OpenCreate | remofile2.OpenExclusive,
	}
	if _, err := s.ask(ctx, &open); err != nil {
		return err
	}
	_, err = s.ask(ctx, &remofile2.Request{Operation: remofile2.OpClose, Handle: open.Handle})
	return err
}

func (c *client2) makeDirectory(ctx context.Context, p string) error {
	_, err := c.ask(ctx, &remofile2.Request{Operation: remofile2.OpMkdir, Path: p, Mode: directoryMode}, false)
	return err
}

func (c *client2) remove(ctx context.Context, p string) error {
	_, err := c.ask(ctx, &remofile2.Request{Operation: remofile2.OpRemove, Path: p, Flags: remofile2.RemoveAny | remofile2.RemoveDirect}, false)
	return err
}

func (c *client2) removeAll(ctx context.Context, p string) error {
	_, err := c.ask(ctx, &remofile2.Request{Operation: remofile2.OpRemove, Path: p, Flags: remofile2.RemoveRecursive | remofile2.RemoveDirect}, false)
	return err
}
