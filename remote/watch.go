package remote

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/remofile/remofile/protocol/remofile2"
)

// ChangeKind is what a Change tells.
type ChangeKind int

// The kinds of changes.
const (
	// ChangeEntries: entries of Directory have come or gone, or the content or the attributes of
	// one are others. Without Names, any of them and what is beneath; of "/", all that is watched.
	ChangeEntries ChangeKind = iota
	// ChangeGone: Directory was removed or renamed, and is not watched any longer.
	ChangeGone
	// ChangeUnlinked: the link is lost, and nothing is told before it is back. All may have
	// changed then, which is told. A ChangeGone may be lost with the link: Watch is to be called
	// again for each directory.
	ChangeUnlinked
	// ChangeForgotten: the server has forgotten the session, or there was too much to be told. All may
	// have changed, and Watch has to be called again for each directory.
	ChangeForgotten
)

// Change tells of changes in directories that the client watches, but for those that it made
// itself.
type Change struct {
	Kind      ChangeKind
	Directory string
	Names     []string // sorted; none for any
}

// Watch makes the server tell of changes in a directory, until Unwatch: who lists it after
// that misses nothing that NextChange tells. It fails with Overloaded where the server has no
// room for it, and with Unsupported where it has no watches to offer.
func (c *Client) Watch(ctx context.Context, dir string) error {
	_, err := c.askOne(ctx, "watch", dir, remofile2.Request{Operation: remofile2.OpWatch})
	return err
}

// Unwatch ends Watch. What was under way may still be told.
func (c *Client) Unwatch(ctx context.Context, dir string) error {
	_, err := c.askOne(ctx, "unwatch", dir, remofile2.Request{Operation: remofile2.OpUnwatch})
	return err
}

// NextChange waits for a change. One goroutine at a time may call it. Changes that nobody asks
// for are merged, at last into a ChangeForgotten: they take little memory.
func (c *Client) NextChange(ctx context.Context) (Change, error) {
	const op = "watch"
	c2, err := c.second()
	if err != nil {
		return Change{}, c.failure(op, "/", err)
	}
	for {
		change, found, err := c2.changes.pop()
		if found || err != nil {
			return change, c.failure(op, "/", err)
		}
		select {
		case <-c2.changes.news:
		case <-ctx.Done():
			return Change{}, c.failure(op, "/", context.Cause(ctx))
		}
	}
}

// changes is what the server has told and NextChange has not.
type changes struct {
	news chan struct{} // holds an element when there may be something

	mu        sync.Mutex // guards what follows
	closed    bool
	forgotten bool // told before what follows, as unlinked is
	unlinked  bool
	gone      map[string]bool            // directories
	changed   map[string]map[string]bool // names by directory; a nil map is any
	size      int                        // bytes of all names and directories since there were none
}

// maxUntold is how many bytes of names and directories wait for NextChange.
const maxUntold = 256 << 10

func newChanges() *changes {
	c := &changes{news: make(chan struct{}, 1)}
	c.clear()
	return c
}

// clear drops all that there is to be told; c.mu is held, where others know c.
func (c *changes) clear() {
	c.unlinked, c.size = false, 0
	c.gone, c.changed = make(map[string]bool), make(map[string]map[string]bool)
}

// note changes what there is to be told.
func (c *changes) note(change func()) {
	c.mu.Lock()
	change()
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// close makes NextChange fail.
func (c *changes) close() { c.note(func() { c.closed = true }) }

// unlink is for the loss of a link.
func (c *changes) unlink() { c.note(func() { c.unlinked = true }) }

// forget is for the end of a session.
func (c *changes) forget() {
	c.note(func() {
		c.clear()
		c.forgotten = true
	})
}

// add is for a notice. A new link's first one tells that all may have changed.
func (c *changes) add(n *remofile2.Notice) {
	c.note(func() {
		switch n.Event {
		case remofile2.EventGone:
			c.gone[n.Directory] = true
			c.size += len(n.Directory)
		case remofile2.EventChanged:
			c.addChanged(n)
		}
		if c.size > maxUntold {
			c.clear()
			c.forgotten = true
		}
	})
}

func (c *changes) addChanged(n *remofile2.Notice) {
	if n.Directory == "/" && len(n.Names) == 0 {
		c.unlinked = false
		c.changed = make(map[string]map[string]bool)
	}
	names, known := c.changed[n.Directory]
	switch {
	case len(n.Names) == 0:
		names = nil
	case !known:
		names = make(map[string]bool)
	}
	if !known {
		c.size += len(n.Directory)
	}
	c.changed[n.Directory] = names
	if names == nil {
		return // any of them
	}
	for _, name := range n.Names {
		if !names[name] {
			names[name] = true
			c.size += len(name)
		}
	}
}

// pop returns what is to be told next, if there is something.
func (c *changes) pop() (change Change, found bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return Change{}, false, net.ErrClosed
	case c.forgotten:
		c.forgotten = false
		return Change{Kind: ChangeForgotten}, true, nil
	case c.unlinked:
		c.unlinked = false
		return Change{Kind: ChangeUnlinked}, true, nil
	}
	for directory := range c.gone {
		delete(c.gone, directory)
		c.shrink()
		return Change{Kind: ChangeGone, Directory: directory}, true, nil
	}
	for directory, names := range c.changed {
		delete(c.changed, directory)
		c.shrink()
		return Change{Directory: directory, Names: slices.Sorted(maps.Keys(names))}, true, nil
	}
	return Change{}, false, nil
}

// shrink begins to count again when all has been told.
func (c *changes) shrink() {
	if len(c.gone) == 0 && len(c.changed) == 0 {
		c.size = 0
	}
}
