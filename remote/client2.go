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

// client2 is a Client in Remofile 2: one session, and another one where the server has
// forgotten it.
type client2 struct {
	*dialer
	ahead   *semaphore.Weighted // bytes of aheadBudget
	deltas  *semaphore.Weighted // transfers, of maxDeltas
	changes *changes
	running sync.WaitGroup // the goroutines of sessions: close waits for them

	mu      sync.Mutex // guards what follows
	closed  bool
	info    remofile2.Info // of the newest session that had a link
	current *session2
}

// newClient2 begins with one connection.
func newClient2(ctx context.Context, d *dialer, conn *zmtp.Conn) (*client2, error) {
	c := &client2{dialer: d, ahead: semaphore.NewWeighted(aheadBudget), deltas: semaphore.NewWeighted(maxDeltas), changes: newChanges()}
	s := newSession2(d, c.changes, c.succeed)
	l, err := s.attach(ctx, conn)
	if err != nil {
		s.close()
		return nil, err
	}
	c.succeed(s, l)
	return c, nil
}

// succeed makes s the current session, with its link, nil for none yet.
func (c *client2) succeed(s *session2, l *link2) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l != nil {
		c.info = s.info
	}
	c.current = s
	c.running.Go(func() { s.run(l) })
	if c.closed {
		s.close()
	}
}

func (c *client2) foreign() bool { return false }

func (c *client2) validName(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return remofile2.ValidName(name) && (!c.info.PortableNames || protocol.ValidName(name))
}

func (c *client2) close() {
	c.mu.Lock()
	c.closed = true
	s := c.current
	c.mu.Unlock()
	c.changes.close()
	s.goodbye()
	c.running.Wait()
}

// living returns the current session, another one where that has ended.
func (c *client2) living() (*session2, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if !c.current.alive() {
		s := newSession2(c.dialer, c.changes, c.succeed)
		c.current = s
		c.running.Go(func() { s.run(nil) })
	}
	return c.current, nil
}

// maxForgotten is how often in a row the client goes on with another session.
const maxForgotten = 3

// session returns the session, when it has a link.
func (c *client2) session(ctx context.Context) (*session2, error) {
	for n := 0; ; n++ {
		s, err := c.living()
		if err != nil {
			return nil, err
		}
		if err = s.ready(ctx); err == nil {
			return s, nil
		}
		if !errors.Is(err, errForgotten) || n == maxForgotten {
			return nil, err
		}
	}
}

// ask sends one request and returns its answer. Where the session has come to an end, it
// asks in another one, if the request changes nothing or was not sent.
func (c *client2) ask(ctx context.Context, r *remofile2.Request) (remofile2.Answer, error) {
	return again(ctx, c, false, func(s *session2) (remofile2.Answer, error) { return s.ask(ctx, r) })
}

// again runs fn on the session, and in another one where the server has forgotten that: if
// fn is repeatable, or has done nothing.
func again[T any](ctx context.Context, c *client2, repeatable bool, fn func(*session2) (T, error)) (T, error) {
	for n := 0; ; n++ {
		s, err := c.session(ctx)
		if err != nil {
			var none T
			return none, err
		}
		result, err := fn(s)
		if n == maxForgotten || !errors.Is(err, errForgotten) || !repeatable && !errors.Is(err, Unreachable) {
			return result, err
		}
	}
}

func (c *client2) readDir(ctx context.Context, dir, after string, most int64) (page []Entry, next string, err error) {
	a, err := c.ask(ctx, &remofile2.Request{Operation: remofile2.OpList, Path: dir, Cursor: after, Length: most})
	if err == nil && a.Cursor != "" && a.Cursor <= after {
		err = corrupted(errors.New("a listing that does not end"))
	}
	if err != nil {
		return nil, "", err
	}
	page = make([]Entry, len(a.Entries))
	for i, e := range a.Entries {
		page[i] = entryOf(e.Name, &e.Attr)
	}
	return page, a.Cursor, nil
}

func entryOf(name string, a *remofile2.Attr) Entry {
	return Entry{Name: name, Link: a.Kind == remofile2.KindSymlink, Attr: attrOf(a)}
}

func (c *client2) follow(ctx context.Context, dir string, entries []Entry) error {
	_, err := again(ctx, c, true, func(s *session2) (struct{}, error) {
		return struct{}{}, s.follow(ctx, dir, entries)
	})
	return err
}

func (s *session2) follow(ctx context.Context, dir string, entries []Entry) error {
	var calls []*call
	var links []*Entry
	for i := range entries {
		e := &entries[i]
		if !e.Link {
			continue
		}
		r := remofile2.Request{Operation: remofile2.OpStat, Path: path.Join(dir, e.Name), Flags: remofile2.StatFollow}
		stat, err := s.begin(ctx, &r, nil)
		if err != nil {
			return err
		}
		calls, links = append(calls, stat), append(links, e)
	}
	for i, stat := range calls {
		a, err := s.wait(ctx, stat)
		if err != nil && interrupted(ctx, err) {
			return err
		}
		if err == nil && a.Attr.Kind <= remofile2.KindDirectory {
			links[i].Attr = attrOf(&a.Attr)
		} else {
			links[i].Size = 0
		}
	}
	return nil
}

func (c *client2) stat(ctx context.Context, p string) (Entry, error) {
	a, err := c.ask(ctx, &remofile2.Request{Operation: remofile2.OpStat, Path: p, Flags: remofile2.StatFollow})
	leads := err == nil
	if errors.Is(err, NotFound) { // a link that leads nowhere, perhaps
		a, err = c.ask(ctx, &remofile2.Request{Operation: remofile2.OpStat, Path: p})
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
	_, err = s.ask(ctx, &open)
	s.enqueue(&remofile2.Request{Operation: remofile2.OpClose, Handle: open.Handle}, nil)
	return err
}

func (c *client2) makeDirectory(ctx context.Context, p string) error {
	_, err := c.ask(ctx, &remofile2.Request{Operation: remofile2.OpMkdir, Path: p, Mode: directoryMode})
	return err
}

func (c *client2) remove(ctx context.Context, p string) error {
	_, err := c.ask(ctx, &remofile2.Request{Operation: remofile2.OpRemove, Path: p, Flags: remofile2.RemoveAny | remofile2.RemoveDirect})
	return err
}

func (c *client2) removeAll(ctx context.Context, p string) error {
	_, err := c.ask(ctx, &remofile2.Request{Operation: remofile2.OpRemove, Path: p, Flags: remofile2.RemoveRecursive | remofile2.RemoveDirect})
	return err
}
