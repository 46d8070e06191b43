package fs

import (
	"context"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

// wholeFiles is what the file system needs of a *remote.Client.
type wholeFiles interface {
	Foreign() bool
	ValidName(name string) bool
	List(ctx context.Context, dir string) ([]remote.Entry, error)
	Stat(ctx context.Context, path string) (remote.Entry, error)
	MakeDirectory(ctx context.Context, path string) error
	Remove(ctx context.Context, path string) error
	Upload(ctx context.Context, path string, r io.Reader, size int64, o remote.TransferOptions) error
	Download(ctx context.Context, path string, w io.Writer, o remote.TransferOptions) (int64, error)
}

var _ wholeFiles = (*remote.Client)(nil)

// wholeTree is what the nodes of one mount share.
type wholeTree struct {
	// Constant.
	shown
	jail      wholeFiles
	temp      tempDir
	cacheTime time.Duration
	mounted   time.Time // the root's modification time: no listing has one

	mu sync.Mutex
	// open are the files with a handle, under which changes can be unsaved.
	// Guarded by mu.
	open map[*wholeNode]struct{}
}

// wholeNode is a file or a directory. It is known by its path: the protocol tells no
// identity, and as nothing is ever renamed a wholeNode's path does not change.
//
// Locks are taken in this order: the turn of a file's content, mu of a directory,
// the mutex of a content, a listing or the tree. No mutex is held while the server
// is asked.
type wholeNode struct {
	gofs.Inode

	// Constant.
	tree    *wholeTree
	parent  *wholeNode // nil: the root
	path    string
	content *content      // of a file, else nil
	listing *wholeListing // of a directory, else nil

	mu sync.Mutex
	// created are the files of this directory that the server does not have yet,
	// by name. Guarded by mu.
	created map[string]*wholeNode
}

var (
	_ gofs.NodeLookuper  = (*wholeNode)(nil)
	_ gofs.NodeReaddirer = (*wholeNode)(nil)
	_ gofs.NodeMkdirer   = (*wholeNode)(nil)
	_ gofs.NodeUnlinker  = (*wholeNode)(nil)
	_ gofs.NodeRmdirer   = (*wholeNode)(nil)
	_ gofs.NodeRenamer   = (*wholeNode)(nil)
	_ gofs.NodeLinker    = (*wholeNode)(nil)
	_ gofs.NodeSymlinker = (*wholeNode)(nil)
	_ gofs.NodeMknoder   = (*wholeNode)(nil)
	_ gofs.NodeCreater   = (*wholeNode)(nil)
	_ gofs.NodeOpener    = (*wholeNode)(nil)
	_ gofs.NodeGetattrer = (*wholeNode)(nil)
	_ gofs.NodeSetattrer = (*wholeNode)(nil)
	_ gofs.NodeFsyncer   = (*wholeNode)(nil)
	_ gofs.NodeStatfser  = (*wholeNode)(nil)
)

// newWholeRoot returns the node of the directory dir, which is to be mounted.
func newWholeRoot(ctx context.Context, j wholeFiles, dir string, s shown, o *Options) (*wholeNode, error) {
	dir = path.Clean(dir)
	e, err := j.Stat(ctx, dir)
	if err == nil && !e.IsDir() {
		err = &os.PathError{Op: "mount", Path: dir, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return nil, err
	}
	return newWholeTree(j, dir, s, o)
}

// newWholeTree returns the node of a directory that there is.
func newWholeTree(j wholeFiles, dir string, s shown, o *Options) (*wholeNode, error) {
	temp, err := openTempDir(o.TempDir)
	if err != nil {
		return nil, err
	}
	t := &wholeTree{
		shown:     s,
		jail:      j,
		temp:      temp,
		cacheTime: o.cacheTime(),
		mounted:   time.Now(),
		open:      make(map[*wholeNode]struct{}),
	}
	return newWholeDirectory(t, nil, dir), nil
}

// configure lets the kernel keep the pages of files until the next open, which is when content
// can change behind its back: it need not ask for the time of modification at each read.
func (n *wholeNode) configure(o *fuse.MountOptions) {
	o.DisabledCapabilities |= fuse.CAP_AUTO_INVAL_DATA
}

func (n *wholeNode) end() { n.tree.temp.close() }

// unsaved returns the open files with changes that the server does not have.
func (n *wholeNode) unsaved() []*wholeNode {
	t := n.tree
	t.mu.Lock()
	open := slices.Collect(maps.Keys(t.open))
	t.mu.Unlock()
	return slices.DeleteFunc(open, func(n *wholeNode) bool { return !n.content.unsaved() })
}

func (n *wholeNode) dirty() []string {
	var paths []string
	for _, n := range n.unsaved() {
		paths = append(paths, n.path)
	}
	slices.Sort(paths)
	return paths
}

func (n *wholeNode) saveOpen(ctx context.Context) {
	for _, n := range n.unsaved() {
		if err := n.content.take(ctx); err != nil {
			return
		}
		if err := n.save(ctx); err != nil {
			n.tree.unsaved("save", n.path, err)
		}
		n.content.give()
	}
}

// newWholeDirectory returns the node of the directory p.
func newWholeDirectory(t *wholeTree, parent *wholeNode, p string) *wholeNode {
	list := func(ctx context.Context) ([]remote.Entry, error) { return t.jail.List(ctx, p) }
	return &wholeNode{tree: t, parent: parent, path: p, listing: &wholeListing{list: list}, created: make(map[string]*wholeNode)}
}

// newWholeFile returns the node of the file p.
func newWholeFile(t *wholeTree, parent *wholeNode, p string, c *content) *wholeNode {
	return &wholeNode{tree: t, parent: parent, path: p, content: c}
}

func (n *wholeNode) name() string {
	return path.Base(n.path)
}

// child returns the node of an entry that the server has: the one that there is,
// or else a new one.
func (n *wholeNode) child(ctx context.Context, e remote.Entry) *wholeNode {
	n.mu.Lock()
	defer n.mu.Unlock()
	if child := n.lookupChild(e.Name); child != nil && child.IsDir() == e.IsDir() {
		return child
	}
	p := path.Join(n.path, e.Name)
	if e.IsDir() {
		return n.adopt(ctx, newWholeDirectory(n.tree, n, p), syscall.S_IFDIR)
	}
	return n.adopt(ctx, newWholeFile(n.tree, n, p, newContent(onServer)), syscall.S_IFREG)
}

// adopt puts a new node into go-fuse's tree at once, so that look-ups side by
// side get the same.
func (n *wholeNode) adopt(ctx context.Context, child *wholeNode, mode uint32) *wholeNode {
	n.AddChild(child.name(), n.NewInode(ctx, child, gofs.StableAttr{Mode: mode}), true)
	return child
}

// lookupChild returns the node that there is for a name, or nil.
func (n *wholeNode) lookupChild(name string) *wholeNode {
	inode := n.GetChild(name)
	if inode == nil {
		return nil
	}
	child := inode.Operations().(*wholeNode)
	if child.content != nil && child.content.status() == unlinked {
		return nil
	}
	return child
}
