package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"maps"
	"path"
	"slices"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/remote"
)

// fresh returns the time since when the listing of the directory n counts as fresh.
func (n *wholeNode) fresh() time.Time {
	return n.listing.fresh(n.tree.cacheTime)
}

// find returns the server's entry of a name in the directory n, as it was at the
// time since or later. That there is none is always the server's word.
func (n *wholeNode) find(ctx context.Context, name string, since time.Time) (remote.Entry, error) {
	e, found, err := n.listing.lookup(ctx, name, since)
	if found || err != nil {
		return e, err
	}
	e, err = n.tree.jail.Stat(ctx, path.Join(n.path, name))
	if err == nil {
		n.listing.put(entry{Entry: e})
	}
	return e, err
}

// createdChild returns the file of this name that the server does not have yet,
// or nil.
func (n *wholeNode) createdChild(name string) *wholeNode {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.created[name]
}

// createdNames returns the names of the files that the server does not have yet,
// sorted.
func (n *wholeNode) createdNames() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.created))
}

// settle ends the time in which the server did not have the file name.
func (n *wholeNode) settle(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.created, name)
}

// Lookup finds a name. Names that the protocol can't carry are of no file.
func (n *wholeNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	const op = "lookup"
	if len(name) > unix.NAME_MAX {
		return nil, syscall.ENAMETOOLONG
	}
	p := path.Join(n.path, name)
	if child := n.createdChild(name); child != nil {
		if h := child.held(); h != nil {
			child.fill(&out.Attr, remote.Entry{}, h)
			return child.EmbeddedInode(), n.tree.done(op, p, nil)
		}
	}
	e, err := n.find(ctx, name, n.fresh())
	if errors.Is(err, remote.InvalidName) {
		err = syscall.ENOENT
	}
	if err != nil {
		return nil, n.tree.done(op, p, err)
	}
	child := n.child(ctx, e)
	child.fill(&out.Attr, e, child.held())
	return child.EmbeddedInode(), n.tree.done(op, p, nil)
}

// Readdir lists what the server has and what it will have after a flush.
func (n *wholeNode) Readdir(ctx context.Context) (gofs.DirStream, syscall.Errno) {
	entries, err := n.listing.all(ctx, n.fresh())
	if err != nil {
		return nil, n.tree.done("readdir", n.path, err)
	}
	list := []fuse.DirEntry{{Name: ".", Mode: syscall.S_IFDIR}, {Name: "..", Mode: syscall.S_IFDIR}}
	listed := make(map[string]bool, len(entries))
	for _, e := range entries {
		listed[e.Name] = true
		mode := uint32(syscall.S_IFREG)
		if e.IsDir() {
			mode = syscall.S_IFDIR
		}
		list = append(list, fuse.DirEntry{Name: e.Name, Mode: mode})
	}
	for _, name := range n.createdNames() {
		if !listed[name] {
			list = append(list, fuse.DirEntry{Name: name, Mode: syscall.S_IFREG})
		}
	}
	return gofs.NewListDirStream(list), n.tree.done("readdir", n.path, nil)
}

// checkNewName tells at once what the server would say of a new name, which for a
// file it hears at the first flush only.
func (t *wholeTree) checkNewName(name string) error {
	switch {
	case len(name) > unix.NAME_MAX:
		return syscall.ENAMETOOLONG
	case !t.jail.ValidName(name):
		return syscall.EINVAL
	}
	return nil
}

// Mkdir makes a directory. Its mode is the one of all directories.
func (n *wholeNode) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	p := path.Join(n.path, name)
	sent := time.Now()
	err := n.tree.checkNewName(name)
	if err == nil {
		err = n.tree.jail.MakeDirectory(context.WithoutCancel(ctx), p)
	}
	if err != nil {
		return nil, n.tree.done("mkdir", p, err)
	}
	e := remote.Entry{Name: name, Attr: remote.Attr{Mode: iofs.ModeDir, Modified: time.Now()}}
	n.listing.put(entry{Entry: e, provisional: true})
	child := newWholeDirectory(n.tree, n, p)
	child.listing.setEmpty(sent)
	n.adopt(ctx, child, syscall.S_IFDIR)
	child.fill(&out.Attr, e, nil)
	return child.EmbeddedInode(), n.tree.done("mkdir", p, nil)
}

// Unlink removes a file. Its open handles keep the copy.
func (n *wholeNode) Unlink(ctx context.Context, name string) syscall.Errno {
	return n.tree.done("unlink", path.Join(n.path, name), n.unlink(ctx, name))
}

func (n *wholeNode) unlink(ctx context.Context, name string) error {
	child := n.lookupChild(name)
	if made := n.createdChild(name); made != nil {
		child = made
	}
	if child == nil || child.content == nil {
		return n.remove(ctx, name, false)
	}
	c := child.content
	if err := c.take(ctx); err != nil { // an upload under way would bring the name back
		return err
	}
	defer c.give()
	if !c.state.isNew() {
		if err := n.remove(ctx, name, false); err != nil {
			return err
		}
	}
	c.unlink()
	n.settle(name)
	return nil
}

// Rmdir removes an empty directory.
func (n *wholeNode) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.tree.done("rmdir", path.Join(n.path, name), n.rmdir(ctx, name))
}

func (n *wholeNode) rmdir(ctx context.Context, name string) error {
	if child := n.lookupChild(name); child != nil && len(child.createdNames()) > 0 {
		return syscall.ENOTEMPTY
	}
	return n.remove(ctx, name, true)
}

// remove removes a name on the server, which does not tell files from directories
// then.
func (n *wholeNode) remove(ctx context.Context, name string, directory bool) error {
	e, err := n.find(ctx, name, n.fresh())
	switch {
	case err != nil:
		return err
	case e.IsDir() && !directory:
		return syscall.EISDIR
	case !e.IsDir() && directory:
		return syscall.ENOTDIR
	}
	err = n.tree.jail.Remove(context.WithoutCancel(ctx), path.Join(n.path, name))
	if err == nil || errors.Is(err, remote.NotFound) {
		n.listing.remove(name)
	}
	return err
}

// Rename is not in the protocol. EXDEV has mv copy and remove.
func (n *wholeNode) Rename(context.Context, string, gofs.InodeEmbedder, string, uint32) syscall.Errno {
	return syscall.EXDEV
}

// Link fails with the errno of file systems that have no hard links, link(2).
func (n *wholeNode) Link(context.Context, gofs.InodeEmbedder, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Symlink fails with the errno of file systems that have no symbolic links,
// symlink(2).
func (n *wholeNode) Symlink(context.Context, string, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Mknod fails with the errno of file systems that have no such files, mknod(2).
func (n *wholeNode) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}
