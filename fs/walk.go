package fs

import (
	"context"
	"sync"
	"time"
)

// Programs like find read the directories in a directory one after the other, in its order. When they do, the next
// ones are listed ahead: who reads them need not wait for the server then.

// mostWalked is how many directories in one directory are listed ahead of a program at a time.
const mostWalked = 8

// walk is how the directories in a directory are read. Guarded by its node.mu.
type walk struct {
	last    string    // the one that was read last, or ""
	when    time.Time // that was
	changes int64     // tree.changes then
	ahead   int       // how many behind it are listed ahead
	retry   time.Time // none are before: one was long
}

// walks are the listings under way in a mount that are made ahead.
type walks struct {
	life    context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (w *walks) init() { w.life, w.cancel = context.WithCancel(context.Background()) }

// end interrupts them, and waits for that.
func (w *walks) end() {
	w.cancel()
	w.running.Wait()
}

// walked takes note that a program reads the directory n now, and lists those ahead that it may read next.
func (n *node) walked() {
	name, parent := n.nameIn()
	if parent == nil || n.tree.cacheTime == 0 {
		return
	}
	l := parent.keptListing()
	if l == nil {
		return
	}
	for ahead, i := parent.walkTo(l, name), l.behind(name); ahead > 0 && i < len(l.held); i++ {
		if !l.held[i].id.kind.IsDir() {
			continue
		}
		ahead--
		if next := parent.child(l.held[i].name); next != nil && next.directory != nil {
			next.listAhead(parent)
		}
	}
}

// walkTo takes note that the directory of this name is read now, and returns how many behind it in the listing are to
// be listed ahead: twice as many each time, as long as they are read in order, and nothing is changed meanwhile.
func (n *node) walkTo(l *listing, name string) int {
	now, shown, changes := time.Now(), l.read(), n.tree.changes.Load()
	n.mu.Lock()
	defer n.mu.Unlock()
	w := &n.walk
	switch {
	case w.last == name && w.changes == changes || now.Before(w.retry):
	case now.Sub(w.when) < n.tree.cacheTime && w.changes == changes && l.isNextDirectory(w.last, name):
		w.ahead = min(max(1, 2*w.ahead), mostWalked)
	case now.Sub(shown) < n.tree.cacheTime && l.isNextDirectory("", name):
		w.ahead = 1
	default:
		w.ahead = 0
	}
	w.last, w.when, w.changes = name, now, changes
	return w.ahead
}

// isNextDirectory reports whether a name is that of the first directory behind another name.
func (l *listing) isNextDirectory(last, name string) bool {
	for i := l.behind(last); i < len(l.held) && l.held[i].name <= name; i++ {
		if l.held[i].id.kind.IsDir() {
			return l.held[i].name == name
		}
	}
	return false
}

// behind returns the index of the first entry behind a name.
func (l *listing) behind(name string) int {
	i, found := l.index(name)
	if found {
		i++
	}
	return i
}

// listAhead lists the directory n in the directory parent, unless that was done a moment ago, or is under way.
func (n *node) listAhead(parent *node) {
	if n.goodListing() != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.coming != nil {
		return
	}
	n.coming = make(chan struct{})
	w := &n.tree.walks
	w.running.Go(func() { // ends with the answer, or the mount
		long, _ := n.listShort(w.life) // an error is for who reads it
		n.mu.Lock()
		close(n.coming)
		n.coming = nil
		n.mu.Unlock()
		if long {
			parent.stopWalk(time.Now().Add(memoryTime))
		}
	})
}

// stopWalk has nothing in the directory n listed ahead before then.
func (n *node) stopWalk(then time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.walk.ahead, n.walk.retry = 0, then
}

// awaitListing waits for the listing that is made ahead, if one is.
func (n *node) awaitListing(ctx context.Context) {
	n.mu.Lock()
	coming := n.coming
	n.mu.Unlock()
	if coming == nil {
		return
	}
	select {
	case <-coming:
	case <-ctx.Done():
	}
}
