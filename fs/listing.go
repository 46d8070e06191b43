package fs

import (
	"context"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

// listing is what a directory held. The kernel asks for the attributes of each entry after it has
// read the names: they are here already. While the server can't be reached, it is what a directory
// shows, however old.
type listing struct {
	dir     *node
	told    time.Time // when it was asked for
	changes int64     // tree.changes then
	entries int64     // node.entries then
	names   []string  // as the server told them
	byName  map[string]remote.Attr
}

// mostListed bounds how many entries the listings of a mount have together, if they are more than one.
const mostListed = 100_000

// listed returns the attributes of a name in the last listing of n, if that is young enough and
// nothing was changed through this mount since.
func (n *node) listed(name string) (a remote.Attr, told time.Time, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.listing
	if l == nil || l.changes != n.tree.changes.Load() || time.Since(l.told) >= n.tree.cacheTime {
		return a, told, false
	}
	a, ok = l.byName[name]
	return a, l.told, ok
}

// keepListing keeps a listing, and drops the oldest ones if they are too many.
func (t *tree) keepListing(l *listing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.dir.swapListing(nil, l)
	t.listings = append(t.listings, l)
	t.listed += 1 + len(l.names)
	for t.listed > mostListed && len(t.listings) > 1 {
		oldest := t.listings[0]
		t.listings[0] = nil
		t.listings = t.listings[1:]
		t.listed -= 1 + len(oldest.names)
		oldest.dir.swapListing(oldest, nil)
	}
}

// swapListing replaces the listing old of the directory, nil for any.
func (n *node) swapListing(old, l *listing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if old == nil || n.listing == old {
		n.listing = l
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

// entriesChange is called before and after each change of the entries of the directory n through this
// mount.
func (n *node) entriesChange() {
	n.entries.Add(1)
	n.tree.changes.Add(1)
}

// Readdir lists what the server has, or had where it can't be reached, and what it will have once it is
// published.
func (n *node) Readdir(ctx context.Context) (gofs.DirStream, syscall.Errno) {
	ctx, cancel := patient(ctx)
	defer cancel()
	const op = "readdir"
	l, err := n.list(ctx)
	switch {
	case err == nil:
		n.tree.keepListing(l)
	case errnoOf(err) == syscall.EHOSTDOWN:
		if last := n.lastListing(); last != nil {
			l, err = last, nil
		}
	}
	if err != nil {
		return nil, n.tree.done(op, n.label(), err)
	}
	return gofs.NewListDirStream(n.dirEntries(l)), n.tree.done(op, n.label(), nil)
}

// list asks the server what the directory holds.
func (n *node) list(ctx context.Context) (*listing, error) {
	l := &listing{
		dir: n, told: time.Now(), changes: n.tree.changes.Load(), entries: n.entries.Load(),
		byName: make(map[string]remote.Attr),
	}
	for after, more := "", true; more; more = after != "" {
		err := n.at(func(p string) (err error) {
			var page []remote.Entry
			page, after, err = n.tree.jail.ReadDir(ctx, p, after)
			for i := range page {
				l.names = append(l.names, page[i].Name)
				l.byName[page[i].Name] = page[i].Attr
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return l, nil
}

// dirEntries returns the entries of a listing, and what is staged.
func (n *node) dirEntries(l *listing) []fuse.DirEntry {
	entries := []fuse.DirEntry{
		{Name: ".", Mode: syscall.S_IFDIR, Ino: n.StableAttr().Ino},
		{Name: "..", Mode: syscall.S_IFDIR},
	}
	add := func(name string, mode uint32, ino uint64) {
		entries = append(entries, fuse.DirEntry{Name: name, Mode: mode, Ino: ino, Off: uint64(len(entries) + 1)})
	}
	for _, name := range l.names {
		a := l.byName[name]
		add(name, typeOf(a.Mode), n.tree.number(&a))
	}
	for name, c := range n.createdChildren() {
		if _, published := l.byName[name]; !published {
			s := c.StableAttr()
			add(name, s.Mode, s.Ino)
		}
	}
	return entries
}

// createdChildren returns the files that are staged under new names.
func (n *node) createdChildren() map[string]*node {
	n.mu.Lock()
	defer n.mu.Unlock()
	created := make(map[string]*node, len(n.created))
	for name, c := range n.created {
		created[name] = c
	}
	return created
}
