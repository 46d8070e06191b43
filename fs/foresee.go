package fs

import (
	"context"
	"time"

	"github.com/remofile/remofile/remote"
)

// Programs like git ask for one name of a directory after the other. When they do, the directory is listed, and what
// has been the same for long is answered from that: one answer of the server stands for many.

const (
	// mostAsked is how many names of a directory the server is asked for one by one within the cache time.
	mostAsked = 3
	// shortListing bounds the answer with the listing that is made then, in bytes. Longer directories are not asked for
	// again for memoryTime.
	shortListing = 128 << 10
	// mostListedAgain bounds the entries of a directory that is listed once more when it is watched.
	mostListedAgain = 2000
)

// askedNames are those of a directory that the server was asked for. Guarded by node.mu.
type askedNames struct {
	since   time.Time // when the first was
	changes int64     // tree.changes then
	count   int
	retry   time.Time // the directory is not listed before
}

// countAsked takes note that the server was asked for a name of the directory n, and what it told then.
func (n *node) countAsked(a *remote.Attr, told time.Time) {
	t := n.tree
	if !t.foresees(a, told) {
		return
	}
	changes := t.changes.Load()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked.changes != changes || told.Sub(n.asked.since) >= t.cacheTime {
		n.asked.since, n.asked.changes, n.asked.count = told, changes, 0
	}
	n.asked.count++
}

// foresees reports whether a listing can tell what an entry is, which had these attributes when it was made.
func (t *tree) foresees(a *remote.Attr, told time.Time) bool {
	return (a.IsDir() || a.Links == 1) && t.clock.settled(a, told)
}

// foreseen returns what a name is, if a listing told it within the cache time, and nothing was changed since as
// far as is known.
func (n *node) foreseen(name string) (a remote.Attr, told time.Time, known bool) {
	l := n.recentListing()
	if l == nil {
		return a, told, false
	}
	a, found := l.find(name)
	return a, l.told, found && n.tree.foresees(&a, l.told)
}

// foresee lists the directory if it is to be listed now.
func (n *node) foresee(ctx context.Context) {
	if !n.takeAsked() || n.goodListing() != nil {
		return
	}
	if long, err := n.listShort(ctx); long || err != nil {
		n.retryAsked(time.Now().Add(memoryTime))
	}
}

// askAgain asks for what was told of a directory before the server began to tell of its changes, so that it is
// remembered.
func (n *node) askAgain(ctx context.Context) {
	if l := n.keptListing(); l != nil && len(l.held) <= mostListedAgain && !n.memory().holdsAll(l.told) {
		n.listShort(ctx)
	}
	name, parent := n.nameIn()
	if parent == nil || !parent.memory().isLive() {
		return
	}
	if a, told, err := parent.lstat(ctx, name); err == nil && n.is(&a) {
		parent.remember(name, &a, told)
	}
}

// listShort lists a directory without a wait for more than one answer, unless it is long: then that is not enough.
func (n *node) listShort(ctx context.Context) (long bool, err error) {
	l := n.newListing()
	var page []remote.Entry
	var more string
	err = n.at(func(p string) (err error) {
		page, more, err = n.tree.jail.ReadDirUpTo(ctx, p, "", shortListing)
		return err
	})
	if err != nil || more != "" {
		return more != "", err
	}
	l.hold(listedEntries(page))
	if last := n.keptListing(); last != nil {
		l.shown = last.read()
	}
	n.tree.keepListing(l)
	return false, nil
}

// takeAsked reports whether so many names were asked for that the directory is to be listed. Who gets that answer does
// it: the count begins again.
func (n *node) takeAsked() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := &n.asked
	now := time.Now()
	if k.count < mostAsked || now.Sub(k.since) >= n.tree.cacheTime || k.changes != n.tree.changes.Load() || now.Before(k.retry) {
		return false
	}
	k.count = 0
	return true
}

// retryAsked has the directory not listed before then.
func (n *node) retryAsked(then time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked.retry = then
}
