package remote

import (
	"path"
	"sync"
)

// node is a directory whose content is being transferred. When all in it is done, what is gone at the
// source is removed, and the directory gets its attributes.
type node struct {
	run    *run
	parent *node // nil for the root
	path   string
	source Attr
	there  *Attr // what the destination had; nil for nothing

	decided chan struct{} // closed when usable is set
	usable  bool          // there is such a directory at the destination

	unseen bool // the destination's part can't be listed, so that nothing is done in it; the merge's

	opened sync.Once // before the first change in it

	mu      sync.Mutex // guards what follows
	left    int        // tasks and nodes in it that are not done, and 1 while the walk is in it
	failed  bool       // not all that should be there is: nothing is removed
	touched bool       // something was changed, so that its time was
	gone    goneList
}

func (r *run) newNode(parent *node, i item, there *Attr) *node {
	n := &node{run: r, parent: parent, path: i.path, source: i.Attr, there: there, decided: make(chan struct{}), left: 1}
	if parent != nil {
		parent.hold()
	}
	return n
}

// decide tells those who wait whether the directory can be used.
func (n *node) decide(usable bool) {
	n.usable = usable
	close(n.decided)
}

// wait reports whether the directory can be used, when that is known.
func (n *node) wait() bool {
	<-n.decided
	return n.usable
}

// isUnusable reports whether it is known already that it can't.
func (n *node) isUnusable() bool {
	select {
	case <-n.decided:
		return !n.usable
	default:
		return false
	}
}

func (n *node) hold() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left++
}

// fail takes note that not all in it was done.
func (n *node) fail() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failed = true
}

// remove takes note of an entry that is to be removed.
func (n *node) remove(name string, isDir bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone.add(name, isDir)
}

// keep takes that back.
func (n *node) keep(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone.keep(name)
}

// touch is called before each change of its entries, or what would be one.
func (n *node) touch() {
	n.opened.Do(func() {
		n.mu.Lock()
		n.touched = true
		n.mu.Unlock()
		if n.there != nil && n.run.carries && !n.run.o.DryRun && n.there.Mode&0o700 != 0o700 {
			mode := n.there.Mode.Perm() | 0o700
			n.run.to.set(n.run.ctx, n.path, Changes{Mode: &mode}) // where that fails, so does the change
		}
	})
}

// release ends what hold has begun. The last one completes the directory.
func (n *node) release() {
	for n != nil {
		n.mu.Lock()
		n.left--
		done := n.left == 0
		n.mu.Unlock()
		if !done {
			return
		}
		n.complete()
		switch {
		case n.parent == nil && n.run.close != nil:
			n.run.close()
		case n.parent != nil && n.failed:
			n.parent.fail()
		}
		n = n.parent
	}
}

// complete is called when nothing in the directory is under way any longer.
func (n *node) complete() {
	r := n.run
	if !n.usable || r.stopped.Load() {
		n.failed = true
		return
	}
	if !n.gone.isEmpty() && !n.failed && !r.incomplete.Load() {
		n.clear()
	}
	if err := n.attributes(); err != nil {
		n.failed = true
		r.failTask(r.shown(n.path), err)
	}
}

// removers is how many removals of a directory are under way at a time.
const removers = 16

// clear removes what is gone at the source.
func (n *node) clear() {
	r := n.run
	var running sync.WaitGroup
	defer running.Wait()
	free := make(chan struct{}, removers)
	for name, isDir := range n.gone.all() {
		p := path.Join(n.path, name)
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			if err := r.discard(n, p, isDir); err != nil {
				n.fail()
				r.failTask(r.shown(p), err)
			}
		})
	}
}

// isToDo reports whether a directory has to be changed, as far as is known.
func (n *node) isToDo() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.touched || !n.gone.isEmpty() || n.run.carries && !n.isSame()
}

// isSame reports whether the destination's directory has the right attributes.
func (n *node) isSame() bool {
	return n.there != nil && n.there.Mode.Perm() == n.source.Mode.Perm() && n.there.Modified.Equal(n.source.Modified)
}

// attributes gives the directory the mode and the time of its source.
func (n *node) attributes() error {
	r := n.run
	if n.parent == nil && r.rootStays || n.there == nil && !r.carries {
		return nil
	}
	if !n.touched && (n.isSame() || !r.carries) {
		r.unchanged(n.path)
		return nil
	}
	if !r.carries {
		return nil
	}
	if !r.o.DryRun {
		modified, mode := n.source.Modified, n.source.Mode.Perm()
		if err := r.to.set(r.ctx, n.path, Changes{Mode: &mode, Modified: &modified}); err != nil {
			return err
		}
	}
	if n.there != nil && !n.isSame() {
		r.count(Event{Kind: EventAttributes, Path: r.shown(n.path)}, func(s *Summary) { s.Attributes++ })
	}
	return nil
}
