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

// blockSize is the size of requests that programs take for efficient, in bytes: the
// largest that the kernel reads ahead.
const blockSize = 128 << 10

// mode returns the permission bits of all files or all directories.
func (t *wholeTree) mode(directory bool) uint32 {
	if directory {
		return 0o777 &^ t.umask
	}
	return 0o666 &^ t.umask
}

// held is what a copy tells of its file.
type held struct {
	size     int64
	modified time.Time
	exact    bool // modified is the file's time, not only near it
	unlinked bool
}

// held returns what the copy tells, or nil where none is held.
func (n *wholeNode) held() *held {
	if n.content == nil {
		return nil
	}
	return n.content.held()
}

func (c *content) held() *held {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.copy == nil {
		return nil
	}
	info, err := c.copy.Stat()
	if err != nil {
		return nil
	}
	h := &held{size: info.Size(), modified: info.ModTime(), unlinked: c.state == unlinked}
	switch {
	case c.version.known() && !c.dirty:
		h.modified, h.exact = c.version.modified, true
	case c.dirty || c.state != onServer:
		h.exact = true
	}
	return h
}

// fill fills a with what the server says of the node and with what the copy knows
// better; h is nil where there is none.
func (n *wholeNode) fill(a *fuse.Attr, e remote.Entry, h *held) {
	a.Mode = n.Mode() | n.tree.mode(n.IsDir())
	a.Owner = fuse.Owner{Uid: n.tree.uid, Gid: n.tree.gid}
	a.Nlink = 1
	if h != nil {
		e.Size = h.size
		if h.exact || e.Modified.IsZero() {
			e.Modified = h.modified
		}
		if h.unlinked {
			a.Nlink = 0
		}
	}
	a.Size = uint64(e.Size)
	a.Blocks = (a.Size + 511) / 512
	a.Blksize = blockSize
	a.SetTimes(&e.Modified, &e.Modified, &e.Modified)
}

// attributes asks the server only for what is not known here. An open file has
// attributes even where the server can't tell its time.
func (n *wholeNode) attributes(ctx context.Context, a *fuse.Attr) error {
	var e remote.Entry
	h := n.held()
	if h == nil || !h.exact {
		var err error
		e, err = n.entry(ctx)
		if err != nil && (h == nil || errors.Is(err, context.Canceled)) {
			return err
		}
	}
	n.fill(a, e, h)
	return nil
}

// entry returns the server's entry of the node.
func (n *wholeNode) entry(ctx context.Context) (remote.Entry, error) {
	if n.parent == nil {
		return remote.Entry{Attr: remote.Attr{Mode: iofs.ModeDir, Modified: n.tree.mounted}}, nil
	}
	e, err := n.parent.find(ctx, n.name(), n.parent.fresh())
	if err == nil && e.IsDir() != n.IsDir() {
		err = syscall.ESTALE // the kernel looks the path up again
	}
	return e, err
}

// Getattr answers stat and fstat.
func (n *wholeNode) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return n.tree.done("getattr", n.path, n.attributes(ctx, &out.Attr))
}

// Setattr changes the size, and the time of modification to now. Changes of other
// attributes that change nothing succeed; access times are dropped.
func (n *wholeNode) Setattr(ctx context.Context, f gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	h, _ := f.(*wholeHandle)
	err := n.setattr(ctx, h, in)
	if err == nil {
		out.Ino = n.StableAttr().Ino // go-fuse fills it in everywhere but here
		err = n.attributes(ctx, &out.Attr)
	}
	return n.tree.done("setattr", n.path, err)
}

func (n *wholeNode) setattr(ctx context.Context, h *wholeHandle, in *fuse.SetAttrIn) error {
	if mode, ok := in.GetMode(); ok && mode != n.tree.mode(n.IsDir()) {
		return syscall.EOPNOTSUPP
	}
	if uid, ok := in.GetUID(); ok && uid != n.tree.uid {
		return syscall.EOPNOTSUPP
	}
	if gid, ok := in.GetGID(); ok && gid != n.tree.gid {
		return syscall.EOPNOTSUPP
	}
	if size, ok := in.GetSize(); ok {
		return n.truncate(ctx, h, int64(size))
	}
	mtime, ok := in.GetMTime()
	if !ok {
		return nil
	}
	if in.Valid&fuse.FATTR_MTIME_NOW != 0 && n.content != nil {
		return n.modifyNow(ctx)
	}
	var now fuse.Attr
	if err := n.attributes(ctx, &now); err != nil {
		return err
	}
	if !mtime.Equal(now.ModTime()) {
		return syscall.EOPNOTSUPP
	}
	return nil
}

// Statfs answers df. The protocol does not tell the server's space; what is shown
// is a size that no program takes for full.
func (n *wholeNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	const unit = 4096
	const blocks = 1 << 50 / unit
	*out = fuse.StatfsOut{
		Blocks: blocks, Bfree: blocks, Bavail: blocks,
		Files: 1 << 30, Ffree: 1 << 30,
		Bsize: unit, Frsize: unit, NameLen: unix.NAME_MAX,
	}
	return 0
}
