package fs

import (
	"context"
	iofs "io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

// tree is what the nodes of one mount share.
type tree struct {
	shown
	jail      *remote.Client
	dir       string        // of the jail, that is mounted
	device    uint64        // of the root
	cacheTime time.Duration // how long what the server told is kept
	ahead     budget        // of all handles

	// changes counts the changes through this mount: a listing from before the last one is not
	// used any longer.
	changes atomic.Int64

	mu sync.Mutex
	// nodes are those that the kernel knows, by the server's identity. Guarded by mu.
	nodes map[identity]*node
	// numbers are the inode numbers that nodes have: one keeps its own when another file takes its
	// place on the server, which may use the number again. Guarded by mu.
	numbers map[uint64]*node
	// forgotten are the nodes that the kernel has forgotten, in that order. Guarded by mu.
	forgotten []*node
	// open are the handles that can write. Guarded by mu.
	open map[*handle]struct{}
	// listings are those that directories have, or had, the oldest first, with listed entries.
	// Guarded by mu.
	listings []keptListing
	listed   int
	// space is what the server told last: it is shown while it can't be
	// reached. Guarded by mu.
	space remote.Space
}

// identity is what the server knows a file by, as long as it exists.
type identity struct {
	device, inode uint64
	born          int64         // nanoseconds since 1970; inodes are used again at once
	kind          iofs.FileMode // and clocks are coarse
}

func identityOf(a *remote.Attr) identity {
	return identity{a.Device, a.Inode, a.Born.UnixNano(), a.Mode.Type()}
}

// newRoot returns the node of the directory dir of a jail, which is to be mounted.
func newRoot(ctx context.Context, jail *remote.Client, dir string, s shown, o *Options) (*node, error) {
	dir = path.Clean(dir)
	e, err := jail.Stat(ctx, dir)
	if err == nil && !e.IsDir() {
		err = &os.PathError{Op: "mount", Path: dir, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return nil, err
	}
	t := &tree{
		shown:     s,
		jail:      jail,
		dir:       dir,
		cacheTime: o.cacheTime(),
		ahead:     newBudget(),
		nodes:     make(map[identity]*node),
		numbers:   make(map[uint64]*node),
		open:      make(map[*handle]struct{}),
		device:    e.Device,
	}
	root := t.newNode(&e.Attr)
	root.last = e.Attr
	return root, nil
}

func (t *tree) newNode(a *remote.Attr) *node { return &node{tree: t, id: identityOf(a)} }

// node returns the inode of the file that has these attributes: the one that the kernel knows, or a
// new one, with parent in go-fuse's tree.
func (t *tree) node(ctx context.Context, parent *node, a *remote.Attr) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes[identityOf(a)]; n != nil {
		n.forgotten = time.Time{}
		return n
	}
	n := t.newNode(a)
	s := t.stableAttr(a)
	for t.numbers[s.Ino] != nil {
		s.Ino = freeNumber(s.Ino + 1)
	}
	parent.NewInode(ctx, n, s)
	t.nodes[n.id] = n
	t.numbers[s.Ino] = n
	return n
}

// number returns the inode number that the file with these attributes has, or will have.
func (t *tree) number(a *remote.Attr) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes[identityOf(a)]; n != nil {
		return n.StableAttr().Ino
	}
	return t.stableAttr(a).Ino
}

// stableAttr returns what the kernel is to know a file by. The number mixes device and inode, the
// generation tells files apart that had the same inode one after the other.
func (t *tree) stableAttr(a *remote.Attr) gofs.StableAttr {
	const odd = 0x9e3779b97f4a7c15 // spreads device numbers over all bits
	ino := a.Inode ^ a.Device*odd
	if a.Device == t.device {
		ino = a.Inode
	}
	return gofs.StableAttr{Mode: typeOf(a.Mode), Ino: freeNumber(ino), Gen: uint64(a.Born.UnixNano())}
}

// freeNumber returns the next inode number that go-fuse has no other use for.
func freeNumber(ino uint64) uint64 {
	for (&gofs.StableAttr{Ino: ino}).Reserved() || ino <= 1 {
		ino += 2
	}
	return ino
}

// forgetTime is for how long a node that the kernel has forgotten is kept: a look-up may have found it
// just before, and is about to hand it to the kernel again.
const forgetTime = 10 * time.Second

// forget drops nodes that the kernel knows no longer: n, which it has just forgotten, in a while.
func (t *tree) forget(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.forgotten = time.Now()
	t.forgotten = append(t.forgotten, n)
	for len(t.forgotten) > 0 && time.Since(t.forgotten[0].forgotten) > forgetTime {
		if n := t.forgotten[0]; !n.forgotten.IsZero() {
			t.drop(n)
		}
		t.forgotten = t.forgotten[1:]
	}
}

// drop drops a node; t.mu is held.
func (t *tree) drop(n *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.nodes[n.id] == n {
		delete(t.nodes, n.id)
	}
	if ino := n.StableAttr().Ino; t.numbers[ino] == n {
		delete(t.numbers, ino)
	}
}

// follow makes n, whose file has another one as its content now, known as that.
func (t *tree) follow(n *node, id identity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.nodes[n.id] == n {
		delete(t.nodes, n.id)
	}
	n.id = id
	t.nodes[id] = n
}

// writable returns the handles that can write.
func (t *tree) writable() []*handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	handles := make([]*handle, 0, len(t.open))
	for h := range t.open {
		handles = append(handles, h)
	}
	return handles
}

// publishBelow publishes what is staged in a directory and beneath it.
func (t *tree) publishBelow(ctx context.Context, dir *node) error {
	for _, h := range t.writable() {
		if h.isStaged() && h.node.isBelow(dir) {
			if err := h.node.publish(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// configure lets the kernel drop the pages of a file whose time of modification has changed.
func (n *node) configure(o *fuse.MountOptions) { o.ExtraCapabilities |= fuse.CAP_AUTO_INVAL_DATA }

func (n *node) end() {}

func (n *node) saveOpen(ctx context.Context) {
	for _, h := range n.tree.writable() {
		h.Flush(ctx) // a failure is in the log, and makes the handle dirty
	}
}

func (n *node) dirty() []string {
	var paths []string
	for _, h := range n.tree.writable() {
		if h.dirty() {
			paths = append(paths, h.file().Name())
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}
