package fs

import (
	"context"
	"errors"
	"path"
	"sync"
	"sync/atomic"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/remofile/remofile/remote"
)

// node is a file, a directory or a symbolic link of the server. It is known by the server's
// identity of it, whatever its names are.
//
// Locks are taken in this order: turn, tree.mu, mu. No mutex is held while the server is asked.
type node struct {
	gofs.Inode

	// Constant.
	tree *tree

	// forgotten is when the kernel forgot the node, in nanoseconds since 1970; 0 if it knows it. Guarded
	// by tree.mu.
	forgotten int64

	mu sync.Mutex
	// turn has room for one: who publishes what is staged, gives it up or changes its attributes. A
	// channel, because that takes as long as the network does; nil before the first. Guarded by mu.
	turn chan struct{}
	// id is the server's identity of the file. When a staged content takes its place it becomes
	// that of the new one. Changed under tree.mu and mu.
	id identity
	// handles are the open ones; most nodes have none, and no map. Guarded by mu.
	handles map[*handle]struct{}
	// opening is how many opens are under way. Guarded by mu.
	opening int
	// staged is the handle whose content waits to be published, or nil. Guarded by mu.
	staged *handle
	// pages is the version of the file that the kernel's pages hold; zero is an unknown one.
	// Guarded by mu.
	pages version
	// created are the files of this directory that are staged under new names. Guarded by mu.
	created map[string]*node
	// listing is what a directory held when it was read last, or nil. Guarded by mu.
	listing *listing
	// last are the attributes that the server told last, if known: they are shown while it can't be
	// reached. Guarded by mu.
	last  keptAttr
	known bool
	// removed: it is a directory that was removed through this mount. Guarded by mu.
	removed bool
	// told is when last was asked for; zero where something was changed since. Guarded by mu.
	told time.Time
	// changes counts what told depends on. Guarded by mu.
	changes int64
	// target is that of a symbolic link, which never changes, or "" as long as it is not known.
	// Guarded by mu.
	target string

	// entries counts the changes of the entries of a directory through this mount.
	entries atomic.Int64
	// shown is when the kernel was told of the node by a name, kept until when it keeps that; nanoseconds
	// since 1970.
	shown, kept atomic.Int64
	// watch is that of a directory that was looked into, or nil.
	watch atomic.Pointer[watch]
}

var (
	_ gofs.NodeLookuper       = (*node)(nil)
	_ gofs.NodeReaddirer      = (*node)(nil)
	_ gofs.NodeMkdirer        = (*node)(nil)
	_ gofs.NodeUnlinker       = (*node)(nil)
	_ gofs.NodeRmdirer        = (*node)(nil)
	_ gofs.NodeRenamer        = (*node)(nil)
	_ gofs.NodeLinker         = (*node)(nil)
	_ gofs.NodeSymlinker      = (*node)(nil)
	_ gofs.NodeReadlinker     = (*node)(nil)
	_ gofs.NodeMknoder        = (*node)(nil)
	_ gofs.NodeCreater        = (*node)(nil)
	_ gofs.NodeOpener         = (*node)(nil)
	_ gofs.NodeGetattrer      = (*node)(nil)
	_ gofs.NodeSetattrer      = (*node)(nil)
	_ gofs.NodeFsyncer        = (*node)(nil)
	_ gofs.NodeStatfser       = (*node)(nil)
	_ gofs.NodeCopyFileRanger = (*node)(nil)
	_ gofs.NodeOnForgetter    = (*node)(nil)
)

// errNoName is that of a file that has lost all the names by which it is known here.
var errNoName = &remote.Error{Code: remote.Stale}

// OnForget is called when the kernel has forgotten the node.
func (n *node) OnForget() {
	n.tree.forget(n)
	if c := n.tree.notices; c != nil {
		c.forget(n)
	}
}

// path returns a path of the node in the jail.
func (n *node) path() (string, error) {
	var names []string
	at := &n.Inode
	for !at.IsRoot() {
		name, parent := at.Parent()
		if parent == nil {
			return "", errNoName
		}
		names = append(names, name)
		at = parent
	}
	p := n.tree.dir
	for i := len(names) - 1; i >= 0; i-- {
		p = path.Join(p, names[i])
	}
	return p, nil
}

// at calls f with a path of the node. Where it is not found, and has been renamed meanwhile, f is
// called again.
func (n *node) at(f func(p string) error) error {
	const attempts = 10
	p, err := n.path()
	for range attempts {
		if err != nil {
			return err
		}
		err = f(p)
		if !errors.Is(err, remote.NotFound) {
			return err
		}
		now, moved := n.path()
		if moved != nil || now == p {
			return err
		}
		p, err = now, nil
	}
	return err
}

// atName is at for a name in the directory n.
func (n *node) atName(name string, f func(p string) error) error {
	return n.at(func(p string) error { return f(path.Join(p, name)) })
}

// nameOf returns the path of a name in the directory n, for the log.
func (n *node) nameOf(name string) string {
	p, err := n.path()
	if err != nil {
		return name
	}
	return path.Join(p, name)
}

// label returns the path of the node, for the log.
func (n *node) label() string {
	p, err := n.path()
	if err != nil {
		return "?"
	}
	return p
}

// isBelow reports whether n is dir or beneath it.
func (n *node) isBelow(dir *node) bool {
	for at := &n.Inode; at != nil; _, at = at.Parent() {
		if at == &dir.Inode {
			return true
		}
	}
	return false
}

// is reports whether the server's file with these attributes is this one.
func (n *node) is(a *remote.Attr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id == identityOf(a)
}

// opened returns the open handles.
func (n *node) opened() []*handle {
	n.mu.Lock()
	defer n.mu.Unlock()
	handles := make([]*handle, 0, len(n.handles))
	for h := range n.handles {
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
	if n.turn == nil {
		n.turn = make(chan struct{}, 1)
	}
	turn := n.turn
	n.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
