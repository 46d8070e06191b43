package fs

import (
	"context"
	"io"
	"log/slog"
	"path"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/remofile/remofile/remote"
)

// jail is what the file system needs of a *remote.Client.
type jail interface {
	Foreign() bool
	ValidName(name string) bool
	List(ctx context.Context, dir string) ([]remote.Entry, error)
	Stat(ctx context.Context, path string) (remote.Entry, error)
	MakeDirectory(ctx context.Context, path string) error
	Remove(ctx context.Context, path string) error
	Upload(ctx context.Context, path string, r io.Reader, size int64, o remote.TransferOptions) error
	Download(ctx context.Context, path string, w io.Writer, o remote.TransferOptions) (int64, error)
}

var _ jail = (*remote.Client)(nil)

// tree is what the nodes of one mount share.
type tree struct {
	// Constant.
	jail      jail
	temp      tempDir
	cacheTime time.Duration
	uid, gid  uint32
	umask     uint32
	mounted   time.Time // the root's modification time: no listing has one
	log       *slog.Logger

	mu sync.Mutex
	// open are the files with a handle, under which changes can be unsaved.
	// Guarded by mu.
	open map[*node]struct{}
}

// node is a file or a directory. It is known by its path: the protocol tells no
// identity, and as nothing is ever renamed a node's path does not change.
//
// Locks are taken in this order: the turn of a file's content, mu of a directory,
// the mutex of a content, a listing or the tree. No mutex is held while the server
// is asked.
type node struct {
	gofs.Inode

	// Constant.
	tree    *tree
	parent  *node // nil: the root
	path    string
	content *content // of a file, else nil
	listing *listing // of a directory, else nil

	mu sync.Mutex
	// created are the files of this directory that the server does not have yet,
	// by name. Guarded by mu.
	created map[string]*node
}

var (
	_ gofs.NodeLookuper  = (*node)(nil)
	_ gofs.NodeReaddirer = (*node)(nil)
	_ gofs.NodeMkdirer   = (*node)(nil)
	_ gofs.NodeUnlinker  = (*node)(nil)
	_ gofs.NodeRmdirer   = (*node)(nil)
	_ gofs.NodeRenamer   = (*node)(nil)
	_ gofs.NodeLinker    = (*node)(nil)
	_ gofs.NodeSymlinker = (*node)(nil)
	_ gofs.NodeMknoder   = (*node)(nil)
	_ gofs.NodeCreater   = (*node)(nil)
	_ gofs.NodeOpener    = (*node)(nil)
	_ gofs.NodeGetattrer = (*node)(nil)
	_ gofs.NodeSetattrer = (*node)(nil)
	_ gofs.NodeFsyncer   = (*node)(nil)
	_ gofs.NodeStatfser  = (*node)(nil)
)

// newDirectory returns the node of the directory p.
func newDirectory(t *tree, parent *node, p string) *node {
	list := func(ctx context.Context) ([]remote.Entry, error) { return t.jail.List(ctx, p) }
	return &node{tree: t, parent: parent, path: p, listing: &listing{list: list}, created: make(map[string]*node)}
}

// newFile returns the node of the file p.
func newFile(t *tree, parent *node, p string, c *content) *node {
	return &node{tree: t, parent: parent, path: p, content: c}
}

func (n *node) name() string {
	return path.Base(n.path)
}

// child returns the node of an entry that the server has: the one that there is,
// or else a new one.
func (n *node) child(ctx context.Context, e remote.Entry) *node {
	n.mu.Lock()
	defer n.mu.Unlock()
	if child := n.lookupChild(e.Name); child != nil && child.IsDir() == e.IsDir() {
		return child
	}
	p := path.Join(n.path, e.Name)
	if e.IsDir() {
		return n.adopt(ctx, newDirectory(n.tree, n, p), syscall.S_IFDIR)
	}
	return n.adopt(ctx, newFile(n.tree, n, p, newContent(onServer)), syscall.S_IFREG)
}

// adopt puts a new node into go-fuse's tree at once, so that look-ups side by
// side get the same.
func (n *node) adopt(ctx context.Context, child *node, mode uint32) *node {
	n.AddChild(child.name(), n.NewInode(ctx, child, gofs.StableAttr{Mode: mode}), true)
	return child
}

// lookupChild returns the node that there is for a name, or nil.
func (n *node) lookupChild(name string) *node {
	inode := n.GetChild(name)
	if inode == nil {
		return nil
	}
	child := inode.Operations().(*node)
	if child.content != nil && child.content.status() == unlinked {
		return nil
	}
	return child
}
