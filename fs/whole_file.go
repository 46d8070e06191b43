package fs

import (
	"context"
	"errors"
	"path"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

// Create makes a file with an empty copy; the server hears of it at the first
// flush. Its mode is the one of all files.
func (n *wholeNode) Create(ctx context.Context, name string, flags, _ uint32, out *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	p := path.Join(n.path, name)
	child, err := n.create(ctx, p, name, flags&syscall.O_EXCL != 0)
	if err != nil {
		return nil, nil, 0, n.tree.done("create", p, err)
	}
	child.fill(&out.Attr, remote.Entry{}, child.held())
	return child.EmbeddedInode(), &wholeHandle{node: child, writable: true}, 0, n.tree.done("create", p, nil)
}

func (n *wholeNode) create(ctx context.Context, p, name string, exclusive bool) (*wholeNode, error) {
	if err := n.tree.checkNewName(name); err != nil {
		return nil, err
	}
	f, err := n.tree.temp.create()
	if err != nil {
		return nil, err
	}
	c := newContent(created)
	if exclusive {
		c.state = createdExclusive
	}
	c.copy, c.dirty = f, true
	child := newWholeFile(n.tree, n, p, c)
	child.hold()
	n.NewInode(ctx, child, gofs.StableAttr{Mode: syscall.S_IFREG})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.created[name] = child
	return child, nil
}

// Open makes a handle on the file's newest content.
func (n *wholeNode) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	err := n.open(ctx, flags)
	if errors.Is(err, remote.NotAFile) {
		err = syscall.ENXIO // the kernel opens no directories here: a pipe, a socket, a device
	}
	if err != nil {
		return nil, 0, n.tree.done("open", n.path, err)
	}
	return &wholeHandle{node: n, writable: writes(flags)}, 0, n.tree.done("open", n.path, nil)
}

func writes(flags uint32) bool {
	return flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0
}

func (n *wholeNode) open(ctx context.Context, flags uint32) error {
	c := n.content
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	if writes(flags) && !n.replaceable() {
		return syscall.EOPNOTSUPP
	}
	get := n.fetch
	if flags&syscall.O_TRUNC != 0 {
		get = n.empty
	}
	if err := get(ctx); err != nil {
		n.closeUnheld()
		return err
	}
	n.hold()
	return nil
}

// hold counts one handle more.
func (n *wholeNode) hold() {
	n.content.hold()
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	n.tree.open[n] = struct{}{}
}

// modifyNow sets the time of modification to now. That of a file on the server is
// the time of its upload: without a change to send, the file is sent again.
func (n *wholeNode) modifyNow(ctx context.Context) error {
	c := n.content
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	if c.dirty {
		return c.modifyNow()
	}
	return n.edit(ctx, n.fetch, (*content).modifyNow)
}

// truncate sets the size of the file. The change is h's to flush; without h it is
// sent at once.
func (n *wholeNode) truncate(ctx context.Context, h *wholeHandle, size int64) error {
	if h != nil {
		return h.truncate(ctx, size)
	}
	c := n.content
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	get := n.fetch
	if size == 0 {
		get = n.empty
	}
	return n.edit(ctx, get, func(c *content) error { return c.truncate(size) })
}

// edit changes the file without a handle: it gets a copy, changes and sends it.
// It needs the turn.
func (n *wholeNode) edit(ctx context.Context, get func(context.Context) error, change func(*content) error) error {
	if !n.replaceable() {
		return syscall.EOPNOTSUPP
	}
	defer n.closeUnheld()
	if err := get(ctx); err != nil {
		return err
	}
	if err := change(n.content); err != nil {
		return err
	}
	return n.save(context.WithoutCancel(ctx))
}
