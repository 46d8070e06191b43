package fs

import "context"

// inUse is what a node has whose file is open, or was: most never are.
type inUse struct {
	// turn has room for one: who publishes what is staged, gives it up or changes attributes. A channel,
	// because that takes as long as the network does; nil before the first.
	turn chan struct{}
	// handles are the open ones.
	handles map[*handle]struct{}
	// opening is how many opens are under way.
	opening int
	// staged is the handle whose content waits to be published, or nil.
	staged *handle
	// pages is the version of the file that the kernel's pages hold; zero is an unknown one.
	pages version
}

// used returns what the node has in use, to be read only; mu is held.
func (n *node) used() inUse {
	if n.use == nil {
		return inUse{}
	}
	return *n.use
}

// using is used, to be changed; mu is held.
func (n *node) using() *inUse {
	if n.use == nil {
		n.use = new(inUse)
	}
	return n.use
}

// enter enters a handle; mu is held.
func (u *inUse) enter(h *handle) {
	if u.handles == nil {
		u.handles = make(map[*handle]struct{})
	}
	u.handles[h] = struct{}{}
	if h.stage != noStage {
		u.staged = h
	}
}

// leave takes a handle out; mu is held.
func (u *inUse) leave(h *handle) {
	delete(u.handles, h)
	if len(u.handles) == 0 {
		u.handles = nil
	}
}

// opened returns the open handles.
func (n *node) opened() []*handle {
	n.mu.Lock()
	defer n.mu.Unlock()
	u := n.used()
	handles := make([]*handle, 0, len(u.handles))
	for h := range u.handles {
		handles = append(handles, h)
	}
	return handles
}

// settle waits until the server has what other handles than h have written: it then sees the
// file as the programs here do. That a write failed is for its handle to tell.
func (n *node) settle(ctx context.Context, h *handle) error {
	for _, other := range n.opened() {
		if other != h && other.writable {
			other.file().Flush(ctx)
		}
	}
	return ctx.Err()
}

// take waits for the turn, which the caller gives back.
func (n *node) take(ctx context.Context) (give func(), err error) {
	n.mu.Lock()
	u := n.using()
	if u.turn == nil {
		u.turn = make(chan struct{}, 1)
	}
	turn := u.turn
	n.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
