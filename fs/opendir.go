package fs

import (
	"context"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// The kernel keeps the names of a directory that it has read, if an open lets it, and answers the reads of later
// opens itself as long as these tell it that the names are the same.

// keptNames is what the kernel keeps of a directory's names. Guarded by node.mu.
type keptNames struct {
	// listing is the one that they are from: nil as long as the kernel may have others.
	listing *listing
	// users is how many open directories use them. While there are any, no others are kept.
	users int
}

// dirHandle is an open directory. All its methods but the release are called one after the other.
type dirHandle struct {
	dir  *node      // constant
	uses bool       // of the names that the kernel keeps; constant
	read *dirStream // what it is read from; nil before that
}

var (
	_ gofs.FileReaddirenter = (*dirHandle)(nil)
	_ gofs.FileSeekdirer    = (*dirHandle)(nil)
	_ gofs.FileLookuper     = (*dirHandle)(nil)
	_ gofs.FileReleasedirer = (*dirHandle)(nil)
)

// newNames is a flag of an open directory for forgetNames: the kernel is to keep what is read, and none of what
// it has. No flag of the kernel's is this bit.
const newNames = 1 << 31

// OpendirHandle opens the directory.
func (n *node) OpendirHandle(context.Context, uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	n.look()
	l := n.goodListing()
	d, flags := n.openNames(l, l != nil && n.keepsEntries(l))
	if d.read != nil {
		d.read.listing.show()
	}
	return d, flags, n.tree.did("opendir", n, "")
}

// openNames returns an open directory, and what the kernel is to do with the names that it keeps. l is what the server
// would tell, nil where that is not known; kept tells that the kernel knows what the entries are.
func (n *node) openNames(l *listing, kept bool) (d *dirHandle, flags uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := &n.names
	switch {
	case len(n.created) > 0 || n.tree.cacheTime == 0:
		return &dirHandle{dir: n}, 0
	case l != nil && l == k.listing && kept:
		k.users++
		return &dirHandle{dir: n, uses: true, read: &dirStream{listing: l}}, fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE
	case k.users > 0:
		return &dirHandle{dir: n}, 0
	default:
		k.users, k.listing = 1, nil
		return &dirHandle{dir: n, uses: true}, fuse.FOPEN_CACHE_DIR | newNames
	}
}

// keepsEntries reports whether the kernel seems to know what the entries of a listing are: who reads the names may
// ask for that next, and a read then tells more of them at a time than look-ups do.
func (n *node) keepsEntries(l *listing) bool {
	now, last := time.Now(), len(l.held)-1
	for _, i := range []int{0, last / 2, last} {
		if last < 0 {
			break
		}
		e := &l.held[i]
		if known, _ := n.tree.number(e.id); known == nil || !known.isKept(e, now) {
			return false
		}
	}
	return true
}

// isKept reports whether the kernel knows the node as an entry lists it, and for a while yet.
func (n *node) isKept(e *listedEntry, now time.Time) bool {
	t := n.tree
	if n.kept.Load() <= now.Add(t.cacheTime/4).UnixNano() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.forgotten == 0 && n.id == e.id && n.known && !n.unshown && n.last == e.attr
}

// begin returns what the directory is read from.
func (d *dirHandle) begin(ctx context.Context) (*dirStream, syscall.Errno) {
	if d.read != nil {
		return d.read, 0
	}
	s, errno := d.dir.readNames(ctx)
	if errno != 0 {
		return nil, errno
	}
	d.read = s
	if d.uses && s.listing != nil && len(s.staged) == 0 {
		d.dir.mu.Lock()
		defer d.dir.mu.Unlock()
		if d.dir.listing == s.listing {
			d.dir.names.listing = s.listing // the kernel has none from before: it asks for these
		}
	}
	return s, 0
}

// Readdirent returns the next entry, nil at the end.
func (d *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	s, errno := d.begin(ctx)
	if errno != 0 {
		return nil, errno
	}
	return s.read(), 0
}

// Seekdir continues where an entry's offset tells.
func (d *dirHandle) Seekdir(ctx context.Context, off uint64) syscall.Errno {
	s, errno := d.begin(ctx)
	if errno != 0 {
		return errno
	}
	return s.seek(off)
}

// Lookup fills in what an entry is, for those who ask for that next. Without an answer the kernel goes by what it knows.
func (d *dirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	n := d.dir
	if e := d.read.last(); e != nil && e.name == name {
		if known := d.read.known; known != nil && known.isKept(e, time.Now()) {
			return nil, syscall.ENOENT
		}
		if child := d.listedChild(ctx, e, out); child != nil {
			return child.EmbeddedInode(), 0
		}
	}
	if child, a, told, known := n.knownChild(ctx, name); known {
		child.fillEntry(out, keep(&a), told)
		return child.EmbeddedInode(), 0
	}
	return n.Lookup(ctx, name, out)
}

// listedChild returns the node of an entry that was just read, and fills out as it is listed; nil where that will not
// do.
func (d *dirHandle) listedChild(ctx context.Context, e *listedEntry, out *fuse.EntryOut) *node {
	l := d.read.listing
	told, good := l.vouches(e)
	if !good || !l.isShown() {
		return nil
	}
	child, ready := d.dir.childAs(ctx, e.name, e.id)
	if !ready {
		return nil
	}
	child.fillEntry(out, e.attr, told)
	return child
}

// Releasedir ends the use of what the kernel keeps.
func (d *dirHandle) Releasedir(context.Context, uint32) {
	if d.uses {
		d.dir.mu.Lock()
		defer d.dir.mu.Unlock()
		d.dir.names.users--
	}
}

// forgetNames is for flags that go-fuse does not pass on as they are: it lets the kernel keep what it has of
// each directory that it may keep.
type forgetNames struct {
	fuse.RawFileSystem
}

// OpenDir opens a directory.
func (f forgetNames) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	status := f.RawFileSystem.OpenDir(cancel, in, out)
	if out.OpenFlags&newNames != 0 {
		out.OpenFlags &^= newNames | fuse.FOPEN_KEEP_CACHE
	}
	return status
}
