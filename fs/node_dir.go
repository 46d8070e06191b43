package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/remote"
)

// Lookup finds a name. The attributes of a listing will do as long as they are as good as those
// that the kernel keeps.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	const op = "lookup"
	if len(name) > unix.NAME_MAX {
		return nil, syscall.ENAMETOOLONG
	}
	n.look()
	making := n.takeMaker(ctx)
	if !n.mustAsk(name) {
		if child, a, told, known := n.knownChild(ctx, name); known {
			child.fillEntry(out, keep(&a), told)
			return child.EmbeddedInode(), n.tree.did(op, n, name)
		}
	}
	if making && n.lacks(ctx, name) {
		return nil, n.tree.done(op, n.nameOf(name), syscall.ENOENT)
	}
	changes := n.tree.changes.Load()
	child, a, told, err := n.lookUp(ctx, name)
	if errnoOf(err) == syscall.EHOSTDOWN {
		child, a, err = n.lastEntry(ctx, name, err)
	}
	if err != nil {
		return nil, n.tree.done(op, n.nameOf(name), err)
	}
	child.fillEntry(out, keep(&a), told)
	if a.IsDir() && changes == n.tree.changes.Load() {
		child.learnEntry(told)
	}
	return child.EmbeddedInode(), n.tree.did(op, n, name)
}

// knownChild returns what a name is where the server need not be asked for it, nor anything be waited for.
func (n *node) knownChild(ctx context.Context, name string) (child *node, a remote.Attr, told time.Time, known bool) {
	if a, told, known = n.tree.offers.find(ctx, n, name); !known {
		a, told, known = n.listed(name)
	}
	if !known {
		a, told, known = n.recallSettled(name)
	}
	if !known {
		a, told, known = n.foreseen(name)
	}
	if known {
		child, known = n.childAs(ctx, name, identityOf(&a))
	}
	return child, a, told, known
}

// childAs returns the node of a name that is known to be the file of an identity, unless the name stands for another
// one here, or the file is open: then there may be something to wait for.
func (n *node) childAs(ctx context.Context, name string, id identity) (child *node, ready bool) {
	if n.createdChild(name) != nil {
		return nil, false
	}
	if inode := n.GetChild(name); inode != nil && !inode.Operations().(*node).has(id) {
		return nil, false
	}
	child = n.tree.node(ctx, n, id)
	return child, child.anyHandle() == nil
}

func (n *node) lookUp(ctx context.Context, name string) (child *node, a remote.Attr, told time.Time, err error) {
	if child = n.createdChild(name); child == nil {
		if a, told, err = n.entry(ctx, name); err != nil {
			return nil, a, told, err
		}
		if err = n.awaitSwap(ctx, name, &a); err != nil {
			return nil, a, told, err
		}
		child = n.tree.node(ctx, n, identityOf(&a))
		if child.anyHandle() == nil {
			return child, a, told, nil
		}
	}
	told = time.Now()
	a, open, err := child.openAttr(ctx, nil)
	if !open && err == nil { // it has been closed meanwhile
		if a, told, err = n.lstat(ctx, name); err == nil {
			child = n.tree.node(ctx, n, identityOf(&a))
		}
	}
	return child, a, told, err
}

// entry returns what a name is.
func (n *node) entry(ctx context.Context, name string) (a remote.Attr, told time.Time, err error) {
	a, told, known := n.tree.offers.find(ctx, n, name)
	if known {
		return a, told, nil
	}
	a, told, known = n.listed(name)
	if !known {
		a, told, known = n.recallSettled(name)
	}
	must := n.mustAsk(name)
	if !known && !must {
		n.foresee(ctx)
		a, told, known = n.foreseen(name)
	}
	if known && !must {
		return a, told, nil
	}
	a, told, err = n.lstat(ctx, name)
	switch {
	case err == nil:
		n.remember(name, &a, told)
		n.countAsked(&a, told)
	case errors.Is(err, remote.NotFound):
		n.disown(name)
	}
	return a, told, err
}

// mustAsk reports whether a name is looked up although the kernel keeps it: it must not be out of date then, as for
// O_EXCL.
func (n *node) mustAsk(name string) bool {
	c := n.child(name)
	return c != nil && time.Now().UnixNano() < c.kept.Load()
}

// awaitSwap waits, where a name has come to be another file's than its node stands for, until what is being
// published there is: the node then stands for the new file, and there must be no second one for it.
func (n *node) awaitSwap(ctx context.Context, name string, a *remote.Attr) error {
	c := n.child(name)
	if c == nil || c.is(a) {
		return nil
	}
	give, err := c.take(ctx)
	if err != nil {
		return err
	}
	give()
	return nil
}

// lastEntry returns what a name was when the server was asked last, as long as it can't be reached, which
// gone tells.
func (n *node) lastEntry(ctx context.Context, name string, gone error) (*node, remote.Attr, error) {
	if child := n.child(name); child != nil {
		a, err := child.orLast(remote.Attr{}, gone)
		return child, a, err
	}
	if l := n.lastListing(); l != nil {
		if a, listed := l.find(name); listed {
			return n.tree.node(ctx, n, identityOf(&a)), a, nil
		}
	}
	return nil, remote.Attr{}, gone
}

// lstat asks the server for a name in the directory n.
func (n *node) lstat(ctx context.Context, name string) (a remote.Attr, told time.Time, err error) {
	told = time.Now()
	err = n.atName(name, func(p string) error {
		e, err := n.tree.jail.Lstat(ctx, p)
		a = e.Attr
		return err
	})
	return a, told, err
}

// createdChild returns the file that is staged under a new name, or nil.
func (n *node) createdChild(name string) *node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.created[name]
}

// child returns the node of a name that the kernel knows, or nil.
func (n *node) child(name string) *node {
	if c := n.createdChild(name); c != nil {
		return c
	}
	inode := n.GetChild(name)
	if inode == nil {
		return nil
	}
	return inode.Operations().(*node)
}

// publishChild publishes what is staged under a name.
func (n *node) publishChild(ctx context.Context, name string) error {
	c := n.child(name)
	if c == nil {
		return nil
	}
	return c.publish(ctx)
}

// made returns the inode of what was made under a name in the directory n, and fills out.
func (n *node) made(ctx context.Context, out *fuse.EntryOut, a *remote.Attr) *gofs.Inode {
	child := n.tree.node(ctx, n, identityOf(a))
	child.fillEntry(out, keep(a), time.Now())
	return child.EmbeddedInode()
}

// Mkdir makes a directory.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return n.make(ctx, "mkdir", name, out, func(ctx context.Context, p string) (remote.Attr, error) {
		return n.tree.jail.Mkdir(ctx, p, iofs.FileMode(mode).Perm())
	})
}

// Symlink makes a symbolic link, whose target the server stores as it is.
func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return n.make(ctx, "symlink", name, out, func(ctx context.Context, p string) (remote.Attr, error) {
		return n.tree.jail.Symlink(ctx, target, p)
	})
}

// Mknod makes an empty file; the protocol has no devices and no pipes.
func (n *node) Mknod(ctx context.Context, name string, mode, _ uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if kind := mode & syscall.S_IFMT; kind != syscall.S_IFREG && kind != 0 {
		return nil, n.tree.done("mknod", n.nameOf(name), syscall.EPERM)
	}
	return n.make(ctx, "mknod", name, out, func(ctx context.Context, p string) (remote.Attr, error) {
		f, err := n.tree.jail.OpenFile(ctx, p, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, iofs.FileMode(mode).Perm())
		if err != nil {
			return remote.Attr{}, err
		}
		a := f.Opened()
		return a, f.Close()
	})
}

// Link gives a file one more name.
func (n *node) Link(ctx context.Context, target gofs.InodeEmbedder, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	from := target.(*node)
	return n.make(ctx, "link", name, out, func(ctx context.Context, p string) (a remote.Attr, err error) {
		if err := from.publish(ctx); err != nil {
			return a, err
		}
		from.changing()
		defer from.changing()
		err = from.at(func(old string) error {
			a, err = n.tree.jail.Link(ctx, old, p)
			return err
		})
		return a, err
	})
}

// make makes something under a name. Once it was asked of the server the answer is waited for.
func (n *node) make(ctx context.Context, op, name string, out *fuse.EntryOut, ask func(ctx context.Context, p string) (remote.Attr, error)) (*gofs.Inode, syscall.Errno) {
	ctx = context.WithoutCancel(ctx)
	n.entriesChange(name)
	defer n.entriesChange(name)
	var a remote.Attr
	err := n.atName(name, func(p string) (err error) {
		a, err = ask(ctx, p)
		return err
	})
	if err != nil {
		return nil, n.tree.done(op, n.nameOf(name), err)
	}
	n.countMaker(ctx)
	return n.made(ctx, out, &a), n.tree.done(op, n.nameOf(name), nil)
}

// Readlink returns what a symbolic link leads to.
func (n *node) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	var target string
	err := n.at(func(p string) (err error) {
		target, err = n.tree.jail.Readlink(ctx, p)
		return err
	})
	if errors.Is(err, remote.NotFound) || errors.Is(err, remote.Unsupported) { // it is no link any longer
		err = n.lostName()
	}
	n.mu.Lock()
	switch {
	case err == nil:
		n.target = &target
	case errnoOf(err) == syscall.EHOSTDOWN && n.target != nil:
		target, err = *n.target, nil
	}
	n.mu.Unlock()
	return []byte(target), n.tree.done("readlink", n.label(), err)
}

// Unlink removes a file. Its open handles go on.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	err := n.remove(ctx, name, n.tree.jail.Unlink)
	return n.tree.done("unlink", n.nameOf(name), err)
}

// Rmdir removes an empty directory.
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	if c := n.child(name); c != nil {
		if err := n.tree.publishBelow(context.WithoutCancel(ctx), c); err != nil {
			return n.tree.done("rmdir", n.nameOf(name), err)
		}
	}
	c := n.child(name)
	err := n.remove(ctx, name, n.tree.jail.Rmdir)
	if err == nil && c != nil {
		c.setRemoved()
	}
	return n.tree.done("rmdir", n.nameOf(name), err)
}

func (n *node) remove(ctx context.Context, name string, ask func(ctx context.Context, p string) error) error {
	ctx = context.WithoutCancel(ctx)
	if err := n.publishChild(ctx, name); err != nil {
		return err
	}
	c := n.child(name)
	if c != nil {
		c.changing()
	}
	n.entriesChange(name)
	asked := time.Now()
	err := n.atName(name, func(p string) error { return ask(ctx, p) })
	if c != nil {
		c.changed()
	}
	if err != nil {
		n.entriesChange(name)
		return err
	}
	n.entryRemoved(name, asked)
	n.countMaker(ctx)
	return nil
}

// renameModes maps the flags of renameat2(2).
var renameModes = map[uint32]remote.RenameMode{
	0:                     remote.RenameReplace,
	unix.RENAME_NOREPLACE: remote.RenameKeep,
	unix.RENAME_EXCHANGE:  remote.RenameExchange,
}

// Rename gives an entry another name.
func (n *node) Rename(ctx context.Context, name string, newParent gofs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	err := n.rename(context.WithoutCancel(ctx), name, newParent.(*node), newName, flags)
	return n.tree.done("rename", n.nameOf(name), err)
}

func (n *node) rename(ctx context.Context, name string, to *node, newName string, flags uint32) error {
	mode, known := renameModes[flags]
	if !known {
		return syscall.EINVAL
	}
	replaced := to.child(newName)
	for _, c := range []*node{n.child(name), replaced} {
		if c == nil {
			continue
		}
		if err := n.tree.publishBelow(ctx, c); err != nil {
			return err
		}
		defer c.changing()
	}
	n.entriesChange(name)
	defer n.entriesChange(name)
	to.entriesChange(newName)
	defer to.entriesChange(newName)
	err := n.atName(name, func(old string) error {
		return to.atName(newName, func(p string) error { return n.tree.jail.Rename(ctx, old, p, mode) })
	})
	if err != nil {
		return err
	}
	if replaced != nil && replaced != n.child(name) && mode != remote.RenameExchange {
		replaced.setRemoved()
	}
	n.countMaker(ctx)
	to.countMaker(ctx)
	return nil
}

// Fsync puts a file, or the entries of a directory, on stable storage.
func (n *node) Fsync(ctx context.Context, f gofs.FileHandle, flags uint32) syscall.Errno {
	if h, ok := f.(*handle); ok {
		const dataOnly = 1
		return h.sync(ctx, flags&dataOnly != 0)
	}
	ctx = context.WithoutCancel(ctx)
	if n.isRemoved() {
		return 0 // it has no entries
	}
	err := n.at(func(p string) error { return n.tree.jail.Sync(ctx, p) })
	if errors.Is(err, remote.NotFound) {
		err = n.lostName()
	}
	return n.tree.done("fsyncdir", n.label(), err)
}
