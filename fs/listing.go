package fs

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

// listing is what a directory held. The kernel asks for the attributes of each entry after it has
// read the names: they are here already. While the server can't be reached, it is what a directory
// shows, however old.
type listing struct {
	dir     *node
	told    time.Time     // when it was asked for
	shown   time.Time     // when a program read it, or the one before, last. Guarded by dir.mu
	changes int64         // tree.changes then
	entries int64         // node.entries then
	held    []listedEntry // in the order of names
}

// find returns the attributes of a name.
func (l *listing) find(name string) (a remote.Attr, found bool) {
	i, found := l.index(name)
	if !found {
		return a, false
	}
	e := &l.held[i]
	return e.attr.of(e.id), true
}

// index returns where a name is, or would be.
func (l *listing) index(name string) (i int, found bool) {
	return slices.BinarySearchFunc(l.held, name, func(e listedEntry, name string) int { return strings.Compare(e.name, name) })
}

// mostListed bounds how many entries the listings of a mount have together, if they are more than one.
const mostListed = 100_000

// listed returns the attributes of a name in the last listing of n, if that was read a moment ago and
// nothing was changed since: through this mount, or in the directory as far as the server tells.
func (n *node) listed(name string) (a remote.Attr, told time.Time, ok bool) {
	l := n.keptListing()
	if l == nil || time.Since(l.read()) >= n.tree.cacheTime {
		return a, told, false
	}
	i, found := l.index(name)
	if !found {
		return a, told, false
	}
	e := &l.held[i]
	told, ok = l.vouches(e)
	return e.attr.of(e.id), told, ok
}

// vouches returns when what the listing tells of an entry is taken to have been told, if nothing was changed since.
func (l *listing) vouches(e *listedEntry) (told time.Time, ok bool) {
	t, m := l.dir.tree, l.dir.memory()
	if m.holds(e.name, l.told) && t.vouches(e.id, e.attr.links, l.told) {
		return t.recalled(), true
	}
	return l.told, l.changes == t.changes.Load() && time.Since(l.told) < t.cacheTime && !m.belies(e.name, l.told)
}

// show takes note that a program reads the listing.
func (l *listing) show() {
	l.dir.mu.Lock()
	defer l.dir.mu.Unlock()
	l.shown = time.Now()
}

// read returns when a program read the listing last.
func (l *listing) read() time.Time {
	l.dir.mu.Lock()
	defer l.dir.mu.Unlock()
	return l.shown
}

// isShown reports whether the listing is the last one of its directory, and a program read it within the cache time.
func (l *listing) isShown() bool {
	l.dir.mu.Lock()
	defer l.dir.mu.Unlock()
	return l.dir.listing == l && time.Since(l.shown) < l.dir.tree.cacheTime
}

// keptListing returns the last listing of the directory, however old, or nil.
func (n *node) keptListing() *listing {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.listing
}

// recentListing returns the last listing of n if that is as good as what the kernel keeps, or nil.
func (n *node) recentListing() *listing {
	l := n.keptListing()
	if l != nil && l.changes == n.tree.changes.Load() && time.Since(l.told) < n.tree.cacheTime && !n.memory().beliesAny(l.told) {
		return l
	}
	return nil
}

// goodListing returns a listing that tells what the server would, or is as good as what the kernel keeps, or nil.
func (n *node) goodListing() *listing { return cmp.Or(n.recallListing(), n.recentListing()) }

// keptListing is a listing that is kept, or was: there may be a newer one of the directory.
type keptListing struct {
	dir     *node
	told    time.Time
	entries int
}

// keepListing keeps a listing, and drops the oldest ones if they are too many.
func (t *tree) keepListing(l *listing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.dir.setListing(l)
	t.listings = append(t.listings, keptListing{l.dir, l.told, 1 + len(l.held)})
	t.listed += 1 + len(l.held)
	for t.listed > mostListed && len(t.listings) > 1 {
		oldest := t.listings[0]
		t.listings = t.listings[1:]
		t.listed -= oldest.entries
		oldest.dir.dropListing(oldest.told)
	}
}

func (n *node) setListing(l *listing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listing = l
	if k := n.names.listing; k != nil && l != nil && l.hasNamesOf(k) {
		n.names.listing = l
	} else {
		n.names.listing = nil
	}
}

// hasNamesOf reports whether two listings have the same files under the same names.
func (l *listing) hasNamesOf(other *listing) bool {
	return slices.EqualFunc(l.held, other.held, func(a, b listedEntry) bool { return a.name == b.name && a.id == b.id })
}

// dropListing drops the listing that was told then.
func (n *node) dropListing(told time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listing != nil && n.listing.told.Equal(told) {
		n.listing, n.names.listing = nil, nil
	}
}

// lastListing returns what the directory held when it was read last, or nil where that is not known,
// or something was changed in it through this mount since.
func (n *node) lastListing() *listing {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.listing; l != nil && l.entries == n.entries.Load() {
		return l
	}
	return nil
}

// entriesChange is called before and after each change of an entry of the directory n through this
// mount.
func (n *node) entriesChange(name string) {
	n.countChange()
	n.memory().outdateOwn(name)
}

// entryRemoved is entriesChange after a change that has left nothing under the name, as it was asked for then.
func (n *node) entryRemoved(name string, asked time.Time) {
	n.countChange()
	n.memory().outdateRemoved(name, asked)
}

// countChange voids what is known of the entries from before.
func (n *node) countChange() {
	n.entries.Add(1)
	n.tree.changes.Add(1)
	n.void()
}

// readNames lists what the server has, or had where it can't be reached, and what it will have once it is
// published.
func (n *node) readNames(ctx context.Context) (*dirStream, syscall.Errno) {
	const op = "readdir"
	if n.isRemoved() {
		return &dirStream{}, 0
	}
	n.look()
	n.walked()
	var err error
	l := n.goodListing()
	if l == nil {
		n.awaitListing(ctx)
		l = n.goodListing()
	}
	if l == nil {
		l, err = n.listNow(ctx)
	}
	if err != nil {
		return nil, n.tree.done(op, n.label(), err)
	}
	l.show()
	return &dirStream{listing: l, staged: n.stagedEntries(l)}, n.tree.did(op, n, "")
}

// listNow returns what the directory holds, or held when the server was asked last where that can't be
// reached.
func (n *node) listNow(ctx context.Context) (*listing, error) {
	l, err := n.list(ctx)
	switch {
	case err == nil:
		n.tree.keepListing(l)
	case errnoOf(err) == syscall.EHOSTDOWN:
		if last := n.lastListing(); last != nil {
			return last, nil
		}
	}
	return l, err
}

// newListing returns the listing that is asked for now.
func (n *node) newListing() *listing {
	return &listing{dir: n, told: time.Now(), changes: n.tree.changes.Load(), entries: n.entries.Load()}
}

// list asks the server what the directory holds.
func (n *node) list(ctx context.Context) (*listing, error) {
	l := n.newListing()
	var pages [][]listedEntry
	for after, more := "", true; more; more = after != "" {
		err := n.at(func(p string) (err error) {
			var page []remote.Entry
			page, after, err = n.tree.jail.ReadDir(ctx, p, after)
			if err == nil {
				pages = append(pages, listedEntries(page))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		n.setListing(nil) // long ones take much memory
	}
	l.hold(pages...)
	return l, nil
}

// hold is for what the server has told. The listing keeps the pages.
func (l *listing) hold(pages ...[]listedEntry) {
	if l.held = pages[0]; len(pages) > 1 {
		l.held = slices.Concat(pages...)
	}
	slices.SortFunc(l.held, func(a, b listedEntry) int { return strings.Compare(a.name, b.name) })
}

func listedEntries(page []remote.Entry) []listedEntry {
	listed := make([]listedEntry, len(page))
	for i := range page {
		e := &page[i]
		listed[i] = listedEntry{e.Name, identityOf(&e.Attr), keep(&e.Attr)}
	}
	return listed
}

// stagedEntries returns the entries for what is staged under names that are not in the listing.
func (n *node) stagedEntries(l *listing) []fuse.DirEntry {
	var entries []fuse.DirEntry
	for name, c := range n.createdChildren() {
		if _, published := l.find(name); !published {
			s := c.StableAttr()
			entries = append(entries, fuse.DirEntry{Name: name, Mode: s.Mode, Ino: s.Ino})
		}
	}
	return entries
}

// createdChildren returns the files that are staged under new names.
func (n *node) createdChildren() map[string]*node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.created)
}
