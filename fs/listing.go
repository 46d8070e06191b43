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
// read the names: they are here already.
type listing struct {
	told    time.Time // when it was asked for
	changes int64     // tree.changes then
	byName  map[string]remote.Attr
}

// listed returns the attributes of a name in the last listing of n, if that is young enough and
// nothing was changed through this mount since.
func (n *node) listed(name string) (a remote.Attr, told time.Time, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.listing
	if l == nil || l.changes != n.tree.changes.Load() || time.Since(l.told) >= n.tree.cacheTime {
		n.listing = nil
		return a, told, false
	}
	a, ok = l.byName[name]
	return a, l.told, ok
}

func (n *node) setListing(l *listing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listing = l
}

// Readdir lists what the server has, and what it will have once it is published.
func (n *node) Readdir(ctx context.Context) (gofs.DirStream, syscall.Errno) {
	ctx, cancel := patient(ctx)
	defer cancel()
	l := &listing{told: time.Now(), changes: n.tree.changes.Load(), byName: make(map[string]remote.Attr)}
	entries := []fuse.DirEntry{
		{Name: ".", Mode: syscall.S_IFDIR, Ino: n.StableAttr().Ino},
		{Name: "..", Mode: syscall.S_IFDIR},
	}
	add := func(name string, a *remote.Attr) {
		entries = append(entries, fuse.DirEntry{Name: name, Mode: typeOf(a.Mode), Ino: n.tree.number(a), Off: uint64(len(entries) + 1)})
	}
	for after, more := "", true; more; more = after != "" {
		err := n.at(func(p string) (err error) {
			var page []remote.Entry
			page, after, err = n.tree.jail.ReadDir(ctx, p, after)
			for i := range page {
				l.byName[page[i].Name] = page[i].Attr
				add(page[i].Name, &page[i].Attr)
			}
			return err
		})
		if err != nil {
			return nil, n.tree.done("readdir", n.label(), err)
		}
	}
	for name, c := range n.createdChildren() {
		if _, published := l.byName[name]; !published {
			s := c.StableAttr()
			entries = append(entries, fuse.DirEntry{Name: name, Mode: s.Mode, Ino: s.Ino, Off: uint64(len(entries) + 1)})
		}
	}
	n.setListing(l)
	return gofs.NewListDirStream(entries), n.tree.done("readdir", n.label(), nil)
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
