// Package remote is the client library of Remofile: one method for each thing
// that can be done with the jail of a server.
//
// All remote paths are absolute paths in the jail, "/a/b". Every error is an
// *Error that tells the operation, the path and a Code; for a tree, several are
// joined.
package remote

import (
	"context"
	"errors"
	"maps"
	"net"
	"path"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

// Client is what a program holds of one server. It opens sessions as they are
// needed and again when they were lost. All methods may be called from several
// goroutines.
type Client struct {
	opts  Options
	cfg   zmtp.Config
	slots chan struct{} // one for each session there may be
	bulk  chan struct{} // one for each transfer there may be

	foreign   atomic.Bool    // of the newest session
	chunkSize atomic.Int64   // bytes; what the server took, as far as known
	settling  sync.WaitGroup // sessions whose callers left; added to under mu while not closed

	mu       sync.Mutex // guards what follows
	closed   bool
	sessions map[*session]struct{} // all
	idle     []*session
}

// Dial connects to a server and checks the token.
func Dial(ctx context.Context, o Options) (*Client, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, &Error{Op: "dial", Path: o.Address, Err: err}
	}
	c := &Client{opts: o, cfg: cfg}
	c.sessions = make(map[*session]struct{})
	c.chunkSize.Store(int64(o.ChunkSize))
	if o.ChunkSize == 0 {
		c.chunkSize.Store(protocol.DefaultMaxChunkSize)
	}
	s, err := c.dial(ctx)
	if err != nil {
		return nil, c.failure("dial", o.Address, err)
	}
	sessions := o.MaxSessions
	if s.foreign {
		sessions = 1
	}
	c.slots = make(chan struct{}, sessions)
	c.bulk = make(chan struct{}, max(sessions-1, 1))
	c.idle = []*session{s}
	return c, nil
}

// Close ends all sessions. Operations under way fail; those that were cancelled
// are given the time to tell the server.
func (c *Client) Close() error {
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
	return nil
}

// Foreign reports whether the server is not one of ours. It can then neither
// remove a file nor replace one, and serves one session.
func (c *Client) Foreign() bool { return c.foreign.Load() }

// dial opens a session.
func (c *Client) dial(ctx context.Context) (*session, error) {
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
	s := newSession(conn, c.opts.Timeout)
	c.sessions[s] = struct{}{}
	c.foreign.Store(s.foreign)
	c.opts.Logger.Info("session opened", "peer", c.opts.Address)
	return s, nil
}

// connect dials and authenticates, both within one silence timeout.
func (c *Client) connect(ctx context.Context) (*zmtp.Conn, error) {
	timed, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	var conn *zmtp.Conn
	nc, err := c.opts.Dial(timed, c.opts.Address)
	if err == nil {
		conn, err = zmtp.Client(timed, nc, &c.cfg)
	}
	if err != nil && !c.opts.Plain && hungUp(err) {
		err = c.explain(timed, err)
	}
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case timed.Err() != nil:
		return nil, &Error{Code: Timeout}
	default:
		return nil, c.opts.undialled(err)
	}
}

// explain asks a server that hung up in the handshake what it speaks: libzmq gives no
// reason, neither where it does not encrypt, nor where the key is wrong.
func (c *Client) explain(ctx context.Context, hungUp error) error {
	nc, err := c.opts.Dial(ctx, c.opts.Address)
	if err != nil {
		return hungUp
	}
	mechanism, err := zmtp.ServerMechanism(nc)
	switch {
	case err != nil:
		return hungUp
	case mechanism == zmtp.MechanismNull:
		return zmtp.ErrPeerPlain
	default:
		return zmtp.ErrKeyRefused
	}
}

// acquire takes a session, and with it a slot, until release.
func (c *Client) acquire(ctx context.Context) (s *session, reused bool, err error) {
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
func (c *Client) hasSessions() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions) > 0
}

// takeIdle returns a living idle session, or nil.
func (c *Client) takeIdle() *session {
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
func (c *Client) dropIdle() {
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
func (c *Client) release(s *session) {
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

func (c *Client) putBack(s *session) {
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
func (c *Client) with(ctx context.Context, op, path string, repeatable bool, fn func(*session) error) error {
	for {
		s, reused, err := c.acquire(ctx)
		if err != nil {
			return c.failure(op, path, err)
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
		return c.failure(op, path, err)
	}
}

// transfer is with for a transfer, which may take long: it leaves a session to others.
func (c *Client) transfer(ctx context.Context, op, path string, fn func(*session) error) error {
	select {
	case c.bulk <- struct{}{}:
	case <-ctx.Done():
		return c.failure(op, path, context.Cause(ctx))
	}
	defer func() { <-c.bulk }()
	return c.with(ctx, op, path, false, fn)
}

// do is with for a single request that is answered by want.
func (c *Client) do(ctx context.Context, op, path string, r protocol.Request, want protocol.Reason) error {
	return c.with(ctx, op, path, false, func(s *session) error {
		if r.Type == protocol.RemoveFile && s.foreign {
			return &Error{Code: Unsupported}
		}
		_, err := s.request(ctx, &r, want)
		return err
	})
}

// split checks a remote path and returns its directory and its name, "" for
// the root.
func split(op, p string) (dir, name string, err error) {
	if !path.IsAbs(p) {
		return "", "", relative(op, p)
	}
	dir, name = protocol.SplitPath(p)
	return dir, name, nil
}

func relative(op, p string) error {
	return &Error{Op: op, Path: p, Code: InvalidName, Err: errors.New("the path is not absolute")}
}

// splitName is split for a path that can't be the root and whose name the
// protocol must be able to carry.
func splitName(op, p string) (dir, name string, err error) {
	dir, name, err = split(op, p)
	if err == nil && !ValidName(name) {
		err = &Error{Op: op, Path: p, Code: InvalidName, Err: errors.New(`a name has 1 to 255 bytes and none of < > : " / \ | ? *`)}
	}
	return dir, name, err
}
