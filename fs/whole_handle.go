package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// wholeHandle is one open file. What it reads and writes is the node's copy.
type wholeHandle struct {
	// Constant.
	node     *wholeNode
	writable bool

	sticky // of a write or a flush
}

var (
	_ gofs.FileReader   = (*wholeHandle)(nil)
	_ gofs.FileWriter   = (*wholeHandle)(nil)
	_ gofs.FileFlusher  = (*wholeHandle)(nil)
	_ gofs.FileReleaser = (*wholeHandle)(nil)
	_ gofs.FileLseeker  = (*wholeHandle)(nil)
)

// Read reads from the copy.
func (h *wholeHandle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := h.node.content.read(dest, off)
	if err != nil {
		return nil, h.node.tree.done("read", h.node.path, err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Lseek finds data and holes of the copy; the other kinds are the kernel's.
func (h *wholeHandle) Lseek(_ context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	found, err := h.node.content.seek(int64(off), int(whence))
	return uint64(found), errnoOf(err)
}

// Write writes to the copy.
func (h *wholeHandle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := h.failed(); errno != 0 {
		return 0, errno
	}
	c := h.node.content
	if err := c.take(ctx); err != nil {
		return 0, errnoOf(err)
	}
	defer c.give()
	if err := c.write(data, off); err != nil {
		return 0, h.keep(h.node.tree.done("write", h.node.path, err))
	}
	return uint32(len(data)), 0
}

// truncate sets the size of the copy.
func (h *wholeHandle) truncate(ctx context.Context, size int64) error {
	if errno := h.failed(); errno != 0 {
		return errno
	}
	c := h.node.content
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	return c.truncate(size)
}

// Flush is called for each close of a descriptor. It can't be interrupted: the
// program would not call again.
func (h *wholeHandle) Flush(ctx context.Context) syscall.Errno {
	return h.save(ctx, "flush", false)
}

// Fsync of a directory has nothing to do: its changes are the server's at once.
func (n *wholeNode) Fsync(ctx context.Context, f gofs.FileHandle, _ uint32) syscall.Errno {
	h, ok := f.(*wholeHandle)
	if !ok {
		return 0
	}
	return h.save(ctx, "fsync", true)
}

// save sends what has changed, whichever handle changed it. The first flush of a
// shell's redirection comes before its first write. What is only empty so far waits
// then, until final: a file that was emptied by its open, so that the old content stays
// until there is a new one, and a new file where the server could not replace it.
func (h *wholeHandle) save(ctx context.Context, op string, final bool) syscall.Errno {
	if !h.writable {
		return 0
	}
	if errno := h.failed(); errno != 0 {
		return errno
	}
	ctx = context.WithoutCancel(ctx)
	n := h.node
	if err := n.content.take(ctx); err != nil {
		return n.tree.done(op, n.path, err)
	}
	defer n.content.give()
	if !final && (n.content.emptied || n.content.state.isNew() && n.tree.jail.Foreign() && n.content.isEmpty()) {
		return 0
	}
	if err := n.save(ctx); err != nil {
		return h.keep(n.tree.unsaved(op, n.path, err))
	}
	return n.tree.done(op, n.path, nil)
}

// Release is called when the last descriptor and mapping of the handle is gone.
// Nobody hears its result.
func (h *wholeHandle) Release(ctx context.Context) syscall.Errno {
	const op = "release"
	h.save(ctx, op, true) // writes of a mapping come after the last flush
	n := h.node
	if err := n.content.take(context.WithoutCancel(ctx)); err != nil {
		return errnoOf(err)
	}
	defer n.content.give()
	n.content.release()
	if n.closeUnheld() {
		n.tree.log.Error("unsaved changes are dropped", "op", op, "path", n.path)
	}
	return 0
}
