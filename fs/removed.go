package fs

import (
	"time"

	"github.com/remofile/remofile/remote"
)

// A directory that was removed through this mount may still be open. It has no entries then, and attributes that
// only those can see who have it open, and change.

// setRemoved is called when n was removed.
func (n *node) setRemoved() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.removed = n.id.kind.IsDir()
	n.voidLocked()
}

// setFound is called when the server tells of n. If it is said to be removed, others had given its name to
// another directory just before, and it was that one.
func (n *node) setFound() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.removed = false
}

func (n *node) isRemoved() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.removed
}

// removedAttr returns the attributes of a directory that was removed.
func (n *node) removedAttr() (a remote.Attr, removed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.removed {
		return a, false
	}
	a = n.last.of(n.id)
	a.Links = 0
	return a, true
}

// changeRemoved changes the attributes of a directory that was removed.
func (n *node) changeRemoved(c remote.Changes) (a remote.Attr, removed bool) {
	a, removed = n.removedAttr()
	if !removed {
		return a, false
	}
	a.Changed = time.Now()
	if c.Mode != nil {
		a.Mode = a.Mode.Type() | *c.Mode
	}
	if c.Modified != nil {
		a.Modified = *c.Modified
	}
	return a, true // Setattr makes them those of the node
}
