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

// version tells whether a file has changed since.
type version struct {
	size              int64
	modified, changed int64 // nanoseconds since 1970
}

func versionOf(a *remote.Attr) version {
	return version{a.Size, a.Modified.UnixNano(), a.Changed.UnixNano()}
}

// typeOf returns the S_IFMT part of a mode.
func typeOf(m iofs.FileMode) uint32 {
	switch m.Type() {
	case iofs.ModeDir:
		return syscall.S_IFDIR
	case iofs.ModeSymlink:
		return syscall.S_IFLNK
	case iofs.ModeNamedPipe:
		return syscall.S_IFIFO
	case iofs.ModeSocket:
		return syscall.S_IFSOCK
	case iofs.ModeDevice | iofs.ModeCharDevice:
		return syscall.S_IFCHR
	case iofs.ModeDevice:
		return syscall.S_IFBLK
	default:
		return syscall.S_IFREG
	}
}

// fill fills a with attributes of the server. The owner is who mounted.
func (n *node) fill(a *fuse.Attr, attr keptAttr) {
	t := n.tree
	a.Mode = typeOf(attr.mode) | uint32(attr.mode.Perm())&^t.hidden
	a.Size = uint64(attr.size)
	a.Blocks = (a.Size + 511) / 512
	a.Blksize = blockSize
	a.Nlink = attr.links
	a.Owner = fuse.Owner{Uid: t.uid, Gid: t.gid}
	modified, changed := time.Unix(0, attr.modified), time.Unix(0, attr.changed)
	a.SetTimes(&modified, &modified, &changed)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.wasTold(attr.version) {
		for h := range n.used().handles { // the kernel drops its pages, and is not to get them from here again
			h.ahead.void()
		}
	}
	n.last, n.known, n.unshown, n.told = attr, true, false, time.Time{}
}

// wasTold reports whether v is what the kernel was told last, and nothing was changed since; n.mu is held.
func (n *node) wasTold(v version) bool { return n.known && n.last.version == v }

// fillEntry fills out for an entry whose attributes were told at that time.
func (n *node) fillEntry(out *fuse.EntryOut, attr keptAttr, told time.Time) {
	n.fill(&out.Attr, attr)
	now := time.Now()
	left := max(0, n.tree.cacheTime-now.Sub(told))
	n.kept.Store(now.Add(left).UnixNano())
	out.SetEntryTimeout(left)
	out.SetAttrTimeout(left)
}

// attr returns the attributes of the node, as the programs here see it.
func (n *node) attr(ctx context.Context, h *handle) (remote.Attr, error) {
	a, open, err := n.openAttr(ctx, h)
	if open || err != nil {
		return a, err
	}
	if a, removed := n.removedAttr(); removed {
		return a, nil
	}
	name, parent := n.nameIn()
	told := time.Now()
	err = n.at(func(p string) error {
		e, err := n.tree.jail.Lstat(ctx, p)
		a = e.Attr
		return err
	})
	gone := errors.Is(err, remote.NotFound) || err == nil && !n.is(&a)
	if gone && !n.IsRoot() {
		err = n.lostName() // the kernel looks it up again
	}
	if again, in := n.nameIn(); err == nil && parent != nil && again == name && in == parent {
		parent.remember(name, &a, told)
	}
	return a, err
}

// openAttr returns the attributes of the node where it is open: the server then has what was written, and
// what is staged only its handle shows. h is preferred; nil is any.
func (n *node) openAttr(ctx context.Context, h *handle) (a remote.Attr, open bool, err error) {
	if err := n.settle(ctx, nil); err != nil {
		return a, false, err
	}
	if h == nil {
		h = n.anyHandle()
	}
	if h == nil {
		return a, false, nil
	}
	err = h.withFile(ctx, func(f *remote.File) (err error) {
		a, err = f.Attr(ctx)
		return err
	})
	if err != nil && !h.isStaged() && ctx.Err() == nil { // it has been closed meanwhile
		return a, false, nil
	}
	n.doubt(&a)
	return h.shows(a), true, err
}

// doubt makes what is remembered of the node outdated where the server tells something else.
func (n *node) doubt(a *remote.Attr) {
	n.mu.Lock()
	told := n.wasTold(versionOf(a))
	n.mu.Unlock()
	if !told {
		n.distrust()
	}
}

// anyHandle returns an open handle, the staged one if there is one, or nil.
func (n *node) anyHandle() *handle {
	n.mu.Lock()
	defer n.mu.Unlock()
	if staged := n.used().staged; staged != nil {
		return staged
	}
	for h := range n.used().handles {
		return h
	}
	return nil
}

// Getattr answers stat and fstat. The root has attributes even where the server can't be reached.
func (n *node) Getattr(ctx context.Context, f gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if a, told, known := n.recallOwn(); known {
		n.fill(&out.Attr, keep(&a))
		out.SetTimeout(n.tree.cacheTime - time.Since(told))
		return n.tree.did("getattr", n, "")
	}
	changes, now := n.mark()
	a, told, recent := n.recent()
	var err error
	if !recent || n.belied(told) {
		h, _ := f.(*handle)
		told = now
		a, err = n.attr(ctx, h)
	}
	learnt := err == nil
	if a, err = n.orLast(a, err); err == nil {
		n.fill(&out.Attr, keep(&a))
		out.SetTimeout(n.tree.cacheTime - time.Since(told))
	}
	if learnt {
		n.learn(&a, changes, told)
	}
	return n.tree.done("getattr", n.label(), err)
}

// orLast returns the attributes that the server told last where it can't be reached; not of a file that is
// being written: the kernel knows better how large that is. Those of the root will do whatever has failed.
func (n *node) orLast(a remote.Attr, err error) (remote.Attr, error) {
	if err == nil {
		return a, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.IsRoot() || n.known && !n.isWritten() && errnoOf(err) == syscall.EHOSTDOWN {
		return n.last.of(n.id), nil
	}
	return a, err
}

// isWritten reports whether a handle is open that can write; mu is held.
func (n *node) isWritten() bool {
	for h := range n.used().handles {
		if h.writable {
			return true
		}
	}
	return false
}

// Setattr changes size, permission bits and times. The owner can only become what it is shown to be.
func (n *node) Setattr(ctx context.Context, f gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	h, _ := f.(*handle)
	a, told, err := n.setattr(ctx, h, in)
	if err == nil {
		out.Ino = n.StableAttr().Ino // go-fuse fills it in everywhere but here
		n.fill(&out.Attr, keep(&a))
	}
	if told {
		out.SetTimeout(n.tree.cacheTime)
	}
	return n.tree.done("setattr", n.label(), err)
}

// setattr returns the attributes, and whether the server has told them.
func (n *node) setattr(ctx context.Context, h *handle, in *fuse.SetAttrIn) (a remote.Attr, told bool, err error) {
	c, err := n.changesOf(in)
	if err != nil {
		return a, false, err
	}
	if c == (remote.Changes{}) {
		a, err = n.attr(ctx, h)
		return a, err == nil, err
	}
	if a, removed := n.changeRemoved(c); removed {
		return a, false, nil
	}
	return n.change(context.WithoutCancel(ctx), h, c)
}

// changesOf returns what a SETATTR changes. The owner it can't.
func (n *node) changesOf(in *fuse.SetAttrIn) (c remote.Changes, err error) {
	if uid, ok := in.GetUID(); ok && uid != n.tree.uid {
		return c, syscall.EPERM
	}
	if gid, ok := in.GetGID(); ok && gid != n.tree.gid {
		return c, syscall.EPERM
	}
	if size, ok := in.GetSize(); ok {
		s := int64(size)
		c.Size = &s
	}
	if mode, ok := in.GetMode(); ok {
		m := iofs.FileMode(mode).Perm()
		if mode&(syscall.S_ISUID|syscall.S_ISGID) != 0 {
			return c, syscall.EPERM
		}
		c.Mode = &m
	}
	if t, ok := in.GetATime(); ok {
		c.Accessed = &t
	}
	if t, ok := in.GetMTime(); ok {
		c.Modified = &t
	}
	return c, nil
}

// change changes attributes, through a handle where there is one that can. It returns them, and whether the server has
// told them.
func (n *node) change(ctx context.Context, h *handle, c remote.Changes) (a remote.Attr, told bool, err error) {
	if err := n.settle(ctx, nil); err != nil {
		return a, false, err
	}
	give, err := n.take(ctx)
	if err != nil { // what is staged stays so, or is published
		return a, false, err
	}
	defer give()
	n.changing()
	defer n.changing()
	if h := n.changer(h, c.Size != nil); h != nil {
		return h.change(ctx, c)
	}
	err = n.at(func(p string) (err error) {
		a, err = n.tree.jail.Set(ctx, p, c)
		return err
	})
	if errors.Is(err, remote.NotFound) {
		err = n.lostName()
	}
	return a, err == nil, err
}

// change changes attributes of the file. The times of what is staged are sent as a write is: what they become is known
// without the server, but for the time of the change.
func (h *handle) change(ctx context.Context, c remote.Changes) (a remote.Attr, told bool, err error) {
	if a, known := h.retimed(c); known {
		h.touch(0)
		return h.shows(a), false, h.withFile(ctx, func(f *remote.File) error { return f.SetLater(ctx, c) })
	}
	h.touch(unknownSize)
	if c.Mode != nil {
		h.setPerm(*c.Mode)
	}
	err = h.withFile(ctx, func(f *remote.File) (err error) {
		a, err = f.Set(ctx, c)
		return err
	})
	return h.shows(a), err == nil, err
}

// retimed returns the attributes of what is staged with other times, if nothing else is to be changed and all of
// them are known.
func (h *handle) retimed(c remote.Changes) (a remote.Attr, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stage == noStage || h.size == unknownSize || c.Modified == nil || c.Mode != nil || c.Size != nil {
		return a, false
	}
	a = h.current.Opened()
	a.Size, a.Modified, a.Changed = h.size, *c.Modified, time.Now()
	return a, true
}

// changer returns a handle that can change attributes, h if it can, or nil. What is staged only its own
// handle can change, and what has lost its name any handle; for the size one has to be writable.
func (n *node) changer(h *handle, size bool) *handle {
	n.mu.Lock()
	defer n.mu.Unlock()
	if staged := n.used().staged; staged != nil {
		return staged
	}
	if h != nil && (h.writable || !size) {
		return h
	}
	for h := range n.used().handles {
		if h.writable || !size {
			return h
		}
	}
	return nil
}

// changing is called before and after each change of the node: what is known of it from before is
// void.
func (n *node) changing() {
	n.outdate()
	n.changed()
}

// changed is changing but for what is remembered of its name.
func (n *node) changed() {
	n.tree.changes.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known = false
	n.voidLocked()
	if n.use != nil {
		n.use.pages = version{}
	}
	for h := range n.used().handles {
		h.ahead.void()
	}
}

// Statfs answers df.
func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	const unit = 4096
	t := n.tree
	s, err := t.jail.Space(ctx, t.dir)
	t.mu.Lock()
	if err == nil {
		t.space = s
	}
	s = t.space
	t.mu.Unlock()
	*out = fuse.StatfsOut{
		Blocks: uint64(s.Total) / unit, Bfree: uint64(s.Free) / unit, Bavail: uint64(s.Available) / unit,
		Files: s.Files, Ffree: s.FreeFiles,
		Bsize: unit, Frsize: unit, NameLen: unix.NAME_MAX,
	}
	return 0
}
