package fs

import (
	"context"
	iofs "io/fs"
	"maps"
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
	cacheTime time.Duration // how long what the server told is kept, where it does not tell of changes
	clock     serverClock
	notices   *notices // nil where it is not listened to
	ahead     budget   // of all handles
	offers    offers
	walks     walks

	// changes counts the changes through this mount: a listing from before the last one is not
	// used any longer.
	changes atomic.Int64

	mu sync.Mutex
	// nodes are those that the kernel knows, by their inode numbers. Guarded by mu.
	nodes map[uint64]*node
	// strays are those of them whose number is not the one that their identity makes: it was taken, or
	// another file has taken the place of theirs on the server. Guarded by mu.
	strays map[identity]*node
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
		nodes:     make(map[uint64]*node),
		strays:    make(map[identity]*node),
		open:      make(map[*handle]struct{}),
		device:    e.Device,
	}
	t.walks.init()
	root := newNode(t, identityOf(&e.Attr))
	root.last = keep(&e.Attr)
	if t.cacheTime > 0 {
		t.clock = askClock(ctx, jail)
	}
	if o.CacheTime == 0 {
		t.notices = newNotices(t)
	}
	return root, nil
}

// node returns the inode of the file that has this identity: the one that the kernel knows, or a
// new one, with parent in go-fuse's tree.
func (t *tree) node(ctx context.Context, parent *node, id identity) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.find(id); n != nil {
		n.forgotten = 0
		n.setFound()
		return n
	}
	n := newNode(t, id)
	s := t.stableAttr(id)
	for t.nodes[s.Ino] != nil {
		t.strays[id] = n
		s.Ino = freeNumber(s.Ino + 1)
	}
	parent.NewInode(ctx, n, s)
	t.nodes[s.Ino] = n
	return n
}

// find returns the node of a file, or nil; t.mu is held.
func (t *tree) find(id identity) *node {
	if n := t.strays[id]; n != nil {
		return n
	}
	if n := t.nodes[t.stableAttr(id).Ino]; n != nil && n.id == id {
		return n
	}
	return nil
}

// number returns the inode number that a file has, or will have, and its node; nil where there is none.
func (t *tree) number(id identity) (*node, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.find(id); n != nil {
		return n, n.StableAttr().Ino
	}
	return nil, t.stableAttr(id).Ino
}

// stableAttr returns what the kernel is to know a file by. The number mixes device and inode, the
// generation tells files apart that had the same inode one after the other.
func (t *tree) stableAttr(id identity) gofs.StableAttr {
	const odd = 0x9e3779b97f4a7c15 // spreads device numbers over all bits
	ino := id.inode ^ id.device*odd
	if id.device == t.device {
		ino = id.inode
	}
	return gofs.StableAttr{Mode: typeOf(id.kind), Ino: freeNumber(ino), Gen: uint64(id.born)}
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
	now := time.Now().UnixNano()
	n.forgotten = now
	t.forgotten = append(t.forgotten, n)
	for len(t.forgotten) > 0 && now-t.forgotten[0].forgotten > int64(forgetTime) {
		if n := t.forgotten[0]; n.forgotten != 0 {
			t.drop(n)
		}
		t.forgotten = t.forgotten[1:]
	}
}

// drop drops a node; t.mu is held.
func (t *tree) drop(n *node) {
	if t.strays[n.id] == n {
		delete(t.strays, n.id)
	}
	if ino := n.StableAttr().Ino; t.nodes[ino] == n {
		delete(t.nodes, ino)
	}
}

// follow makes n, whose file has another one as its content now, known as that.
func (t *tree) follow(n *node, id identity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.strays[n.id] == n {
		delete(t.strays, n.id)
	}
	n.id = id
	if t.nodes[t.stableAttr(id).Ino] != n {
		t.strays[id] = n
	}
}

// writable returns the handles that can write.
func (t *tree) writable() []*handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.open))
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

func (n *node) end() {
	if c := n.tree.notices; c != nil {
		c.end()
	}
	n.tree.walks.end()
	n.tree.offers.end()
}

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
