package fs

import (
	"time"

	"github.com/remofile/remofile/remote"
)

// The kernel forgets attributes with each change that it passes on, and asks for them again: those of a file when it was
// written. What the server told last is kept for the cache time, as the kernel would.

// mark returns what learn has to know of a node from before the server is asked.
func (n *node) mark() (changes uint32, told time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changes, time.Now()
}

// void is called before and after each change of what the attributes of the node tell.
func (n *node) void() {
	n.outdate()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.voidLocked()
}

// voidLocked is void; n.mu is held.
func (n *node) voidLocked() {
	n.changes++
	n.told = time.Time{}
}

// learn takes note of what the server tells of the node after so many changes, and when it was asked. What is of
// another file, or nothing, and what a change has overtaken, it leaves alone.
func (n *node) learn(a *remote.Attr, changes uint32, told time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changes == changes && n.id == identityOf(a) {
		n.unshown = n.unshown || n.last != keep(a)
		n.last, n.known, n.told = keep(a), true, told
	}
}

// learnEntry takes note that the attributes of a directory, which the kernel was just told, were told then. A change that
// has begun since, through this mount, makes void when it is done.
func (n *node) learnEntry(told time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = told
}

// recent returns the attributes that the server told within the cache time, if nothing was changed since.
func (n *node) recent() (a remote.Attr, told time.Time, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last.of(n.id), n.told, time.Since(n.told) < n.tree.cacheTime
}
