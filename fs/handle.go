package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"math"
	"sync"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

// stage tells how the content of a handle waits to be published.
type stage int

const (
	noStage      stage = iota // it is the file's
	createdStage              // a new file, whose name is reserved
	emptiedStage              // opened with O_TRUNC: the old content is on the server
)

// handle is one open file.
type handle struct {
	// Constant.
	node              *node
	writable, appends bool
	reopening         chan struct{} // has room for one: who opens the file again
	mode              int           // O_RDONLY, O_WRONLY or O_RDWR, to open it with then
	parent            *node         // of a file that was created here, or nil
	name              string

	ahead  readAhead
	sticky // of a write, a flush or a sync

	mu sync.Mutex // held for memory accesses only
	// current is the file as the server has it open. Guarded by mu.
	current *remote.File
	// stage changes to noStage when the content is published. Guarded by mu.
	stage stage
	// perm are the permission bits that what an open has emptied will have. Guarded by mu.
	perm iofs.FileMode
	// size is that of what is staged, in bytes; unknownSize where only the server knows. Guarded by mu.
	size int64
	// written: something was, or the size changed. Guarded by mu.
	written bool
	// changes counts these; synced is what it was at the last fsync. Guarded by mu.
	changes, synced int64
	// unsure: the server has ended before it was asked to sync some of them. Guarded by mu.
	unsure bool
	// entryUnsynced: the file was created by this handle, and its name not yet put on stable storage.
	// Guarded by mu.
	entryUnsynced bool
}

var (
	_ gofs.FileReader    = (*handle)(nil)
	_ gofs.FileWriter    = (*handle)(nil)
	_ gofs.FileFlusher   = (*handle)(nil)
	_ gofs.FileReleaser  = (*handle)(nil)
	_ gofs.FileLseeker   = (*handle)(nil)
	_ gofs.FileAllocater = (*handle)(nil)
)

// newHandle returns a handle that is to be opened on its node.
func newHandle(f *remote.File, flags uint32, s stage) *handle {
	mode := int(flags) & syscall.O_ACCMODE
	if s != noStage {
		mode = syscall.O_RDWR
	}
	return &handle{
		current:       f,
		reopening:     make(chan struct{}, 1),
		mode:          mode,
		writable:      writes(flags) || s != noStage, // O_RDONLY|O_CREAT has to be published, too
		appends:       flags&syscall.O_APPEND != 0,
		stage:         s,
		entryUnsynced: s == createdStage || flags&syscall.O_CREAT != 0,
	}
}

// open enters the handle into its node. With alone it fails where there is another handle, or another
// open is under way.
func (h *handle) open(n *node, alone bool) bool {
	h.node = n
	h.ahead.init(h)
	n.mu.Lock()
	u := n.using()
	entered := !alone || len(u.handles) == 0 && u.opening == 1
	if entered {
		u.enter(h)
	}
	n.mu.Unlock()
	if entered && h.writable {
		n.tree.mu.Lock()
		n.tree.open[h] = struct{}{}
		n.tree.mu.Unlock()
	}
	return entered
}

// close takes the handle out of its node and closes its file.
func (h *handle) close() error {
	n := h.node
	n.published(h)
	if h.writable { // what was written last, the server may be told by closing the file only
		n.outdate()
		defer n.outdate()
	}
	n.mu.Lock()
	n.using().leave(h)
	n.mu.Unlock()
	n.tree.mu.Lock()
	delete(n.tree.open, h)
	n.tree.mu.Unlock()
	h.ahead.end()
	f := h.file()
	err := f.Release(func(err error) { n.tree.unsaved("release", f.Name(), err) })
	if f.Lost() {
		return f.Failed() // there is nothing to be closed
	}
	return err
}

// openFlags tells the kernel how to use the handle. Where the server decides what an offset is, no
// pages are kept. What can't write has nothing to be flushed.
func (h *handle) openFlags() (flags uint32) {
	if h.appends {
		flags |= fuse.FOPEN_DIRECT_IO
	}
	if !h.writable {
		flags |= fuse.FOPEN_NOFLUSH
	}
	return flags
}

func (h *handle) isStaged() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stage != noStage
}

func (h *handle) setStage(s stage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stage = s
}

// shows returns the attributes of a staged file as programs are to see them: the file keeps its
// permission bits.
func (h *handle) shows(a remote.Attr) remote.Attr {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stage == emptiedStage {
		a.Mode = a.Mode.Type() | h.perm
	}
	return a
}

// setPerm changes the permission bits that a staged file will have.
func (h *handle) setPerm(perm iofs.FileMode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.perm = perm
}

// commitOptions returns how the content is to be committed.
func (h *handle) commitOptions(sync bool) remote.CommitOptions {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := remote.CommitOptions{Sync: sync}
	if h.stage == emptiedStage {
		perm := h.perm
		o.Changes.Mode = &perm
	}
	return o
}

// isUnwritten reports whether the handle has emptied its file and nothing more.
func (h *handle) isUnwritten() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stage == emptiedStage && !h.written
}

// unknownSize is that of a staged file of which only the server knows it.
const unknownSize = math.MaxInt64

// touch takes note that something is written, up to the offset end, or unknownSize.
func (h *handle) touch(end int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.written = true
	h.changes++
	h.size = max(h.size, end)
}

// dirty reports whether the server may lack something that was written.
func (h *handle) dirty() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stage != noStage || h.failed() != 0 || h.current.Unflushed() > 0
}

// Read reads from the server, or what was read ahead.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	mark := h.ahead.mark()
	err := h.node.settle(ctx, h)
	n := 0
	if err == nil {
		err = h.withFile(ctx, func(*remote.File) (err error) {
			n, err = h.ahead.read(ctx, dest, off, mark)
			return err
		})
	}
	if err != nil {
		return nil, h.node.tree.done("read", h.file().Name(), err)
	}
	return filled(dest[:n]), 0
}

// Write sends what is written and does not wait for the answer.
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := h.failed(); errno != 0 {
		return 0, errno
	}
	n, err := h.write(ctx, data, off)
	if errors.Is(err, context.Canceled) {
		if n > 0 {
			err = nil // the program writes the rest
		}
		return uint32(n), errnoOf(err)
	}
	if errnoOf(err) == syscall.EHOSTDOWN && h.file().Failed() == nil { // it was not sent
		return 0, h.node.tree.done("write", h.file().Name(), err)
	}
	if err != nil {
		return 0, h.fail("write", err)
	}
	return uint32(n), 0
}

func (h *handle) write(ctx context.Context, data []byte, off int64) (int, error) {
	if err := h.node.settle(ctx, h); err != nil {
		return 0, err
	}
	end := off + int64(len(data))
	if off == atEnd {
		end = unknownSize
	}
	h.touch(end)
	h.node.changing()
	defer h.node.changing()
	n := 0
	err := h.withFile(ctx, func(f *remote.File) (err error) {
		if errno := h.failed(); errno != 0 {
			return errno
		}
		if off == atEnd {
			n, err = f.AppendContext(ctx, data)
			return err
		}
		n, err = f.WriteAtContext(ctx, data, off)
		return err
	})
	return n, err
}

// Flush is called for each close of a descriptor. It can't be interrupted: the program would not call
// again.
func (h *handle) Flush(ctx context.Context) syscall.Errno {
	if !h.writable {
		return 0
	}
	if errno := h.failed(); errno != 0 {
		return errno
	}
	ctx = context.WithoutCancel(ctx)
	if h.isUnwritten() {
		return 0
	}
	err := h.node.publish(ctx)
	if err == nil {
		err = h.withFile(ctx, func(f *remote.File) error {
			if errno := h.failed(); errno != 0 {
				return errno // what was lost with the file before
			}
			return f.Flush(ctx)
		})
	}
	if err != nil {
		return h.fail("flush", err)
	}
	return h.node.tree.done("flush", h.file().Name(), nil)
}

// Release is called when the last descriptor and mapping of the handle is gone. Nobody hears its
// result.
func (h *handle) Release(ctx context.Context) syscall.Errno {
	const op = "release"
	ctx = context.WithoutCancel(ctx)
	name := h.file().Name()
	err := h.giveUp(ctx)
	if err == nil && h.isStaged() && h.failed() == 0 { // writes of a mapping come after the last flush
		err = h.node.publish(ctx)
	}
	err = errors.Join(err, h.close())
	if err != nil && h.writable {
		return h.node.tree.unsaved(op, name, err)
	}
	return h.node.tree.done(op, name, nil)
}

// giveUp makes the file on the server empty, which an open with O_TRUNC has left as it was, where
// nothing more was done with it.
func (h *handle) giveUp(ctx context.Context) error {
	n := h.node
	give, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	if !h.isUnwritten() || h.failed() != 0 {
		return nil
	}
	n.changing()
	defer n.changing()
	defer n.published(h)
	var none int64
	return n.at(func(p string) error {
		_, err := n.tree.jail.Set(ctx, p, remote.Changes{Size: &none})
		return err
	})
}

// fail logs a failure that leaves changes unsaved, records the first one and returns that.
func (h *handle) fail(op string, err error) syscall.Errno {
	return h.keep(h.node.tree.unsaved(op, h.file().Name(), err))
}
