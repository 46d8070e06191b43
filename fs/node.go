package fs

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/remofile/remofile/remote"
)

// node is a file, a directory or a symbolic link of the server. It is known by the server's
// identity of it, whatever its names are.
//
// Locks are taken in this order: turn, tree.mu, mu. No mutex is held while the server is asked.
//
// The kernel may know a node for each of millions of files: what only some of them need is kept apart.
type node struct {
	gofs.Inode

	// Constant.
	tree       *tree
	*directory // nil where it is none

	// forgotten is when the kernel forgot the node, in nanoseconds since 1970; 0 if it knows it. Guarded
	// by tree.mu.
	forgotten int64

	mu sync.Mutex
	// id is the server's identity of the file. When a staged content takes its place it becomes
	// that of the new one. Changed under tree.mu and mu.
	id identity
	// use is what few nodes have: see inUse. Guarded by mu.
	use *inUse
	// last are the attributes that the server told last, if known: they are shown while it can't be
	// reached. Guarded by mu.
	last  keptAttr
	known bool
	// unshown: the kernel was told others than last. Guarded by mu.
	unshown bool
	// removed: it is a directory that was removed through this mount. Guarded by mu.
	removed bool
	// changes counts what told depends on. Guarded by mu.
	changes uint32
	// told is when last was asked for; zero where something was changed since. Guarded by mu.
	told time.Time
	// target is that of a symbolic link, which never changes, or nil as long as it is not known.
	// Guarded by mu.
	target *string

	// kept is until when the kernel keeps what it was told of the node by a name; nanoseconds since 1970.
	kept atomic.Int64
}

// directory is what only the node of a directory has.
type directory struct {
	// created are the files that are staged under new names. Guarded by node.mu.
	created map[string]*node
	// listing is what the directory held when it was read last, or nil. Guarded by node.mu.
	listing *listing
	// coming is closed when the listing that is made ahead is there; nil where none is. Guarded by node.mu.
	coming chan struct{}
	// walk is how the directories in it are read. Guarded by node.mu.
	walk walk
	// names is what the kernel keeps of them. Guarded by node.mu.
	names keptNames
	// asked are the names that the server was asked for. Guarded by node.mu.
	asked askedNames
	// entries counts the changes of the entries through this mount.
	entries atomic.Int64
	// watch is that of a directory that was looked into, or nil.
	watch atomic.Pointer[watch]
}

func newNode(t *tree, id identity) *node {
	n := &node{tree: t, id: id}
	if id.kind.IsDir() {
		n.directory = new(directory)
	}
	return n
}

var (
	_ gofs.NodeLookuper       = (*node)(nil)
	_ gofs.NodeOpendirHandler = (*node)(nil)
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

// did ends an operation that has succeeded, on a name in a directory, or on a node where that is "". Most logs don't
// want to know of it: the path is made for those that do.
func (t *tree) did(op string, n *node, name string) syscall.Errno {
	if !t.log.Enabled(context.Background(), slog.LevelDebug) {
		return 0
	}
	return t.done(op, n.nameOf(name), nil)
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
func (n *node) is(a *remote.Attr) bool { return n.has(identityOf(a)) }

// has reports whether the server's file with this identity is this one.
func (n *node) has(id identity) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id == id
}
