package remote

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

// client1 is a Client in Remofile 1: a pool of sessions, each of which does one thing
// at a time.
type client1 struct {
	*dialer
	slots chan struct{} // one for each session there may be
	bulk  chan struct{} // one for each transfer there may be

	isForeign atomic.Bool    // the server of the newest session
	chunkSize atomic.Int64   // bytes; what the server took, as far as known
	settling  sync.WaitGroup // sessions whose callers left; added to under mu while not closed

	mu       sync.Mutex // guards what follows
	closed   bool
	sessions map[*session]struct{} // all
	idle     []*session
}

// newClient1 begins with one connection.
func newClient1(d *dialer, conn *zmtp.Conn) *client1 {
	c := &client1{dialer: d, sessions: make(map[*session]struct{})}
	c.chunkSize.Store(int64(d.opts.ChunkSize))
	if d.opts.ChunkSize == 0 {
		c.chunkSize.Store(protocol.DefaultMaxChunkSize)
	}
	s := c.add(conn)
	sessions := d.opts.MaxSessions
	if s.foreign {
		sessions = 1
	}
	c.slots = make(chan struct{}, sessions)
	c.bulk = make(chan struct{}, max(sessions-1, 1))
	c.idle = []*session{s}
	return c
}

func (c *client1) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.settling.Wait()
	c.mu.Lock()
	sessions := slices.Collect(maps.Keys(c.sessions))
	clear(c.sessions)
	c.idle = nil
	c.mu.Unlock()
	for _, s := range sessions {
		s.close()
	}
}

func (*client1) validName(name string) bool { return protocol.ValidName(name) }

func (c *client1) foreign() bool { return c.isForeign.Load() }

// dial opens a session.
func (c *client1) dial(ctx context.Context) (*session, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	return c.add(conn), nil
}

// add makes a session of a connection; c.mu is held, where others know c.
func (c *client1) add(conn *zmtp.Conn) *session {
	s := newSession(conn, c.opts.Timeout)
	c.sessions[s] = struct{}{}
	c.isForeign.Store(s.foreign)
	c.opts.Logger.Info("session opened", "peer", c.opts.Address)
	return s
}

// acquire takes a session, and with it a slot, until release.
func (c *client1) acquire(ctx context.Context) (s *session, reused bool, err error) {
	for {
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
		if s := c.takeIdle(); s != nil {
			return s, true, nil
		}
		s, err := c.dial(ctx)
		if err == nil {
			return s, false, nil
		}
		if errors.Is(err, InUse) {
			if s := c.takeIdle(); s != nil {
				return s, true, nil
			}
			if c.hasSessions() {
				continue // without this slot: the server gives us one session only
			}
		}
		<-c.slots
		return nil, false, err
	}
}

// hasSessions reports whether other callers hold sessions.
func (c *client1) hasSessions() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions) > 0
}

// takeIdle returns a living idle session, or nil.
func (c *client1) takeIdle() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.idle) > 0 {
		s := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if s.alive() {
			return s
		}
		delete(c.sessions, s)
	}
	return nil
}

// dropIdle closes the sessions that nobody uses: where one got no answer, the link
// may be dead for all.
func (c *client1) dropIdle() {
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	for _, s := range idle {
		delete(c.sessions, s)
	}
	c.mu.Unlock()
	for _, s := range idle {
		s.close()
	}
}

// release gives a session back. One that owes answers or is in a transfer was left
// by a caller whose context ended: a goroutine settles it, for which Close waits. What
// could not be settled is closed: the server drops its transfer then.
func (c *client1) release(s *session) {
	c.mu.Lock()
	if c.closed || s.settled() || !s.alive() {
		c.mu.Unlock()
		c.putBack(s)
		return
	}
	c.settling.Go(func() {
		s.settle(context.Background())
		c.putBack(s)
	})
	c.mu.Unlock()
}

func (c *client1) putBack(s *session) {
	s.giveBack()
	c.mu.Lock()
	keep := s.alive() && s.settled() && !c.closed
	if keep {
		c.idle = append(c.idle, s)
	} else {
		delete(c.sessions, s)
	}
	c.mu.Unlock()
	if !keep {
		s.close()
	}
	<-c.slots
}

// with runs fn on a session. A repeatable fn that lost a session which had been
// idle is run once more on a new one: the server may have gone and come back since.
func (c *client1) with(ctx context.Context, repeatable bool, fn func(*session) error) error {
	for {
		s, reused, err := c.acquire(ctx)
		if err != nil {
			return err
		}
		err = fn(s)
		if ctx.Err() == nil {
			s.settle(ctx)
		}
		lost := err != nil && !s.alive() && !errors.Is(err, Timeout)
		c.release(s)
		if errors.Is(err, Timeout) {
			c.dropIdle()
		}
		if lost && reused && repeatable && ctx.Err() == nil {
			repeatable = false
			continue
		}
		return err
	}
}

// transfer is with for a transfer, which may take long: it leaves a session to others.
func (c *client1) transfer(ctx context.Context, fn func(*session) error) error {
	select {
	case c.bulk <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-c.bulk }()
	return c.with(ctx, false, fn)
}

// do is with for a single request that is answered by want.
func (c *client1) do(ctx context.Context, r protocol.Request, want protocol.Reason) error {
	return c.with(ctx, false, func(s *session) error {
		if r.Type == protocol.RemoveFile && s.foreign {
			return &Error{Code: Unsupported}
		}
		_, err := s.request(ctx, &r, want)
		return err
	})
}
