package fs

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/remofile/remofile/remote"
)

const (
	// maxWatches is how many directories a mount watches, a quarter of what the server allows.
	maxWatches = 1024
	// idleTime is when a watched directory that nobody looks into makes room for another.
	idleTime = time.Minute
	// filledTime is that of one that is watched because entries of it were changed one after the other.
	filledTime = time.Second
	// refusedTime is for how long a directory is not asked for again that the server can't watch.
	refusedTime = time.Minute
	// lateTime is for how long after the loss of a link a change may still be carried out that was sent over
	// it. The server does not tell of it: it is this mount's.
	lateTime = 10 * time.Second
	// watchers is how many directories are asked for at a time.
	watchers = 8
)

// notices follows the server's change notices, for the memories of the directories that it makes the server
// watch. These are the ones into which programs look again after the time for which what the server told is
// good anyway, most are looked into for a moment only, and those in which they make one name after the other.
//
// Nobody waits for it but the end of the mount, for which its own requests are interrupted.
type notices struct {
	tree    *tree
	life    context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup // its goroutines

	memories memories

	mu sync.Mutex // guards what follows; taken before memory.mu
	// queued is told of each element of queue, and of the end.
	queued *sync.Cond
	queue  []*watch
	table  map[string]*watch // all but the unwatched, by path
	late   time.Time         // what is asked for before is not remembered
}

type watchState int

const (
	unwatched watchState = iota
	wanted               // in the queue, to be watched
	asked                // the server's answer is waited for
	live                 // watched
	leaving              // in the queue, to be unwatched, or that is under way
)

// watch is a directory that may be watched.
type watch struct {
	node   *node // nil where only the path is known
	memory memory
	makers makers

	// first is when the directory was looked into for the first time, used when it was last, and it is
	// not asked for before retry. Guarded by notices.mu.
	first, used, retry time.Time
	state              watchState // guarded by notices.mu
	filled             bool       // it is watched for its makers. Guarded by notices.mu
	path               string     // by which it is watched. Guarded by notices.mu
	// again: it has to be asked for once more; unneeded: it is not needed any longer. Both are for the time in
	// which an answer is waited for. Guarded by notices.mu.
	again, unneeded bool
}

// newNotices begins to follow, until end.
func newNotices(t *tree) *notices {
	c := &notices{tree: t, table: make(map[string]*watch)}
	c.queued = sync.NewCond(&c.mu)
	c.life, c.cancel = context.WithCancel(context.Background())
	c.running.Go(c.follow)
	for range watchers {
		c.running.Go(c.work)
	}
	return c
}

// end waits for the goroutines. The server's watches end with the client's session.
func (c *notices) end() {
	c.cancel()
	c.mu.Lock()
	c.queued.Broadcast()
	c.mu.Unlock()
	c.running.Wait()
}

// look is called when a directory is looked into.
func (c *notices) look(n *node) {
	now := time.Now()
	w := n.watch.Load()
	if w == nil {
		n.watch.CompareAndSwap(nil, &watch{node: n, memory: memory{all: &c.memories}, first: now, used: now})
		return
	}
	c.mu.Lock()
	w.used = now
	due := w.state == unwatched && now.Sub(w.first) > c.tree.cacheTime && now.After(w.retry)
	c.mu.Unlock()
	if due {
		c.want(w, now, false)
	}
}

// fill is called when entries of a directory are changed one after the other through this mount.
func (c *notices) fill(w *watch, now time.Time) {
	c.mu.Lock()
	due := w.state == unwatched && now.After(w.retry)
	c.mu.Unlock()
	if due {
		c.want(w, now, true)
	}
}

// want has a directory watched if there is room.
func (c *notices) want(w *watch, now time.Time, filled bool) {
	p, err := w.node.path()
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.state == unwatched && c.admit(w, p, now) {
		w.path, w.filled, w.again, w.unneeded = p, filled, false, false
		c.table[p] = w
		c.enqueue(w, wanted)
	}
}

// admit reports whether there is room for a directory at a path, and else sees to it that there will be; mu is
// held.
func (c *notices) admit(w *watch, p string, now time.Time) bool {
	if other := c.table[p]; other != nil {
		c.leave(other) // the path was another directory's
		return false
	}
	full := len(c.table) >= maxWatches
	if full || c.memories.outdated.Load() > mostOutdated/2 {
		c.makeRoom(now)
	}
	if full {
		w.retry = now.Add(c.tree.cacheTime)
	}
	return !full
}

// makeRoom ends the watches of the directories that were filled, and are idle, and that of the idlest of the others; mu
// is held.
func (c *notices) makeRoom(now time.Time) {
	var idlest *watch
	for _, w := range c.table {
		switch {
		case w.state != live:
		case w.filled && now.Sub(w.used) > filledTime:
			c.leave(w)
		case idlest == nil || w.used.Before(idlest.used):
			idlest = w
		}
	}
	if idlest != nil && now.Sub(idlest.used) > idleTime {
		c.leave(idlest)
	}
}

// enqueue puts a watch into the queue; mu is held.
func (c *notices) enqueue(w *watch, s watchState) {
	w.state = s
	c.queue = append(c.queue, w)
	c.queued.Signal()
}

// leave sees to it that a directory is not watched any longer; mu is held.
func (c *notices) leave(w *watch) {
	w.memory.end()
	switch w.state {
	case wanted:
		w.state = leaving // it is in the queue
	case asked:
		w.unneeded = true
	case live:
		c.enqueue(w, leaving)
	}
}

// forget is for a directory that the kernel has forgotten.
func (c *notices) forget(n *node) {
	if n.directory == nil {
		return
	}
	if w := n.watch.Load(); w != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.leave(w)
	}
}

// work asks the server for what is in the queue, until the end.
func (c *notices) work() {
	for {
		w, leaves := c.next()
		switch {
		case w == nil:
			return
		case leaves:
			c.left(w, c.tree.jail.Unwatch(c.life, w.path))
		default:
			err := c.ask(w)
			if filled := c.answered(w, err); err == nil && !filled {
				w.node.askAgain(c.life)
			}
		}
	}
}

// next waits for the queue; nil is the end.
func (c *notices) next() (w *watch, leaves bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && c.life.Err() == nil {
		c.queued.Wait()
	}
	if c.life.Err() != nil {
		return nil, false
	}
	w = c.queue[0]
	c.queue = c.queue[1:]
	if w.state == wanted {
		w.state = asked
	}
	return w, w.state == leaving
}

// ask makes the server watch a directory. The path may have become another's.
func (c *notices) ask(w *watch) error {
	if err := c.tree.jail.Watch(c.life, w.path); err != nil {
		return err
	}
	e, err := c.tree.jail.Lstat(c.life, w.path)
	if err == nil && !w.node.is(&e.Attr) {
		err = errNoName
	}
	return err
}

// answered is for the answer to ask. It reports whether the directory is being filled.
func (c *notices) answered(w *watch, err error) (filled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case w.unneeded:
		c.enqueue(w, leaving)
	case err != nil:
		c.tree.log.Debug("not watched", "op", "watch", "path", w.path, "err", err)
		w.retry = now.Add(retryTime(err))
		c.enqueue(w, leaving)
	case w.again:
		w.again = false
		c.enqueue(w, wanted)
	default:
		w.state = live
		w.memory.begin(later(now, c.late)) // requests before may have missed what was told already
	}
	return w.filled
}

// retryTime returns for how long a directory is not asked for again after an error.
func retryTime(err error) time.Duration {
	switch errnoOf(err) {
	case syscall.EHOSTDOWN, syscall.ENOENT, syscall.ESTALE: // it may be there again at once
		return time.Second
	default:
		return refusedTime
	}
}

// left is for the answer to Unwatch; where there is none, what is told of the path makes it be asked again.
func (c *notices) left(w *watch, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.tree.log.Debug("still watched", "op", "unwatch", "path", w.path, "err", err)
	}
	c.remove(w, w.retry)
}

// remove takes a watch out of the table; mu is held.
func (c *notices) remove(w *watch, retry time.Time) {
	w.memory.end()
	w.state, w.retry = unwatched, retry
	if c.table[w.path] == w {
		delete(c.table, w.path)
	}
}

// follow hears what the server tells, until the end.
func (c *notices) follow() {
	for {
		change, err := c.tree.jail.NextChange(c.life)
		if err != nil { // the end, or that of the client
			c.unlinked()
			return
		}
		switch {
		case change.Kind == remote.ChangeUnlinked:
			c.unlinked()
		case change.Kind == remote.ChangeGone:
			c.gone(change.Directory)
		case change.Kind == remote.ChangeForgotten, change.Directory == "/" && len(change.Names) == 0:
			c.unsure()
		default:
			c.changed(change.Directory, change.Names)
		}
	}
}

// unlinked is for the loss of the link: changes are not told.
func (c *notices) unlinked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.table {
		w.memory.end()
	}
}

// unsure is for when anything may have changed, and any directory may not be watched any longer.
func (c *notices) unsure() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = time.Now().Add(lateTime)
	for _, w := range c.table {
		w.memory.end()
		switch w.state {
		case live:
			c.enqueue(w, wanted)
		case asked:
			w.again = true
		}
	}
}

// gone is for a directory that is not watched any longer.
func (c *notices) gone(p string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.table[p]
	switch {
	case w == nil:
	case w.state == live:
		c.remove(w, time.Time{})
	case w.state == asked:
		w.again = true
	}
}

// changed is for changes in a directory; without names also beneath it.
func (c *notices) changed(p string, names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.table[p]
	switch {
	case w == nil && len(c.table) < 2*maxWatches:
		c.table[p] = &watch{path: p, memory: memory{all: &c.memories}}
		c.enqueue(c.table[p], leaving)
	case w == nil:
	case len(names) > 0:
		w.memory.outdate(names...)
	default:
		for beneath, w := range c.table {
			if beneath == p || strings.HasPrefix(beneath, p+"/") {
				w.memory.outdateAll()
			}
		}
	}
}
