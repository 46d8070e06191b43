package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

// Create makes a file. The server reserves its name, which nobody else sees before the file is
// published: when it is flushed first, synced, renamed, linked or opened again. A file that is opened
// to append, as logs are, is there at once.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	const op = "create"
	n.entriesChange(name)
	defer n.entriesChange(name)
	var h *handle
	err := n.atName(name, func(p string) (err error) {
		h, err = n.create(ctx, p, flags, iofs.FileMode(mode).Perm())
		return err
	})
	if err != nil {
		return nil, nil, 0, n.tree.done(op, n.nameOf(name), err)
	}
	a := h.file().Opened()
	child := n.tree.node(ctx, n, identityOf(&a))
	if h.isStaged() {
		h.parent, h.name = n, name
		n.addCreated(name, child)
	} else {
		child.changing() // it may have been there
	}
	h.open(child, false)
	n.countMaker(ctx)
	child.fillEntry(out, keep(&a), time.Now())
	return child.EmbeddedInode(), h, h.openFlags(), n.tree.done(op, h.file().Name(), nil)
}

// create opens a new file, or an existing one where O_EXCL is not set.
func (n *node) create(ctx context.Context, p string, flags uint32, perm iofs.FileMode) (*handle, error) {
	if flags&syscall.O_APPEND == 0 {
		f, err := n.tree.jail.Stage(ctx, p, perm, remote.StageOptions{Reserve: true, Shared: true, NoFollow: true})
		if err == nil {
			return newHandle(f, flags, createdStage), nil
		}
		if !errors.Is(err, remote.Exists) || flags&syscall.O_EXCL != 0 {
			return nil, err
		}
	}
	f, err := n.tree.jail.OpenFile(ctx, p, openFlags(flags)|int(flags)&(syscall.O_CREAT|syscall.O_EXCL|syscall.O_TRUNC)|syscall.O_CREAT, perm)
	if errors.Is(err, remote.NotAFile) {
		return nil, errNoName // the kernel took it for none, and looks it up again: it may be a link
	}
	if err != nil {
		return nil, err
	}
	return newHandle(f, flags, noStage), nil
}

func (n *node) addCreated(name string, child *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.created == nil {
		n.created = make(map[string]*node)
	}
	n.created[name] = child
}

// settleName ends the time in which a name is that of a staged file.
func (n *node) settleName(name string, child *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.created[name] == child {
		delete(n.created, name)
	}
}

// openFlags returns the flags for remote.OpenFile: appending is done by its own method, and links are
// the kernel's to follow.
func openFlags(flags uint32) int {
	return int(flags)&syscall.O_ACCMODE | syscall.O_NOFOLLOW
}

// Open opens the file. Where its name is another file's by now, ESTALE makes the kernel look it up
// again.
func (n *node) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	h, err := n.openFile(ctx, flags)
	if errors.Is(err, remote.NotFound) || errors.Is(err, remote.NotAFile) {
		err = n.lostName()
	}
	if err != nil {
		return nil, 0, n.tree.done("open", n.label(), err)
	}
	if err := n.revise(h); err != nil {
		h.close()
		return nil, 0, n.tree.done("open", n.label(), err)
	}
	return h, h.openFlags() | n.keep(h), n.tree.done("open", h.file().Name(), nil)
}

// revise makes the kernel ask for the attributes of the file where they are others than it was told: it
// reads no further than the size that it knows.
func (n *node) revise(h *handle) error {
	a := h.file().Opened()
	n.mu.Lock()
	told := n.wasTold(versionOf(&a))
	n.mu.Unlock()
	if told || h.isStaged() {
		return nil
	}
	n.void()
	n.tree.changes.Add(1) // a listing may tell the older ones
	const attributes = -1 // and no pages: for these it would wait until the open is over
	if errno := n.NotifyContent(attributes, 0); errno != 0 && errno != syscall.ENOENT {
		return errno
	}
	return nil
}

func (n *node) openFile(ctx context.Context, flags uint32) (*handle, error) {
	n.countOpening(1)
	defer n.countOpening(-1)
	if err := n.publish(ctx); err != nil {
		return nil, err
	}
	if flags&syscall.O_TRUNC != 0 {
		return n.openEmpty(ctx, flags)
	}
	return n.openWith(ctx, flags)
}

func (n *node) countOpening(more int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.using().opening += more
}

// openWith opens the file by its name.
func (n *node) openWith(ctx context.Context, flags uint32) (h *handle, err error) {
	f := n.tree.offers.take(ctx, n, flags)
	if f == nil {
		f, err = n.openNow(ctx, flags)
	}
	if err != nil {
		return nil, err
	}
	return n.enter(f, flags), nil
}

// enter returns the handle for a file that the server has open.
func (n *node) enter(f *remote.File, flags uint32) *handle {
	h := newHandle(f, flags, noStage)
	h.open(n, false)
	return h
}

// openNow makes the server open the file.
func (n *node) openNow(ctx context.Context, flags uint32) (f *remote.File, err error) {
	told := time.Now()
	err = n.at(func(p string) (err error) {
		f, err = n.tree.jail.OpenFile(ctx, p, openFlags(flags), 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	if a := f.Opened(); !n.is(&a) {
		n.tree.offers.make(ctx, n, f, flags, told)
		return nil, n.lostName()
	}
	return f, nil
}

// openEmpty opens the file for O_TRUNC. Where nobody else can see it by another way, the old content
// stays on the server until there is a new one.
func (n *node) openEmpty(ctx context.Context, flags uint32) (*handle, error) {
	n.changing()
	defer n.changing()
	if flags&syscall.O_ACCMODE == syscall.O_RDONLY { // O_TRUNC needs more
		flags |= syscall.O_RDWR
	}
	f := n.tree.offers.take(ctx, n, flags)
	if f == nil {
		h, err := n.stageAlone(ctx, flags)
		if h != nil || err != nil {
			return h, err
		}
		if f, err = n.openNow(ctx, flags); err != nil {
			return nil, err
		}
	}
	h := n.enter(f, flags)
	if err := h.file().Truncate(0); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// stageAlone opens a new content for the file where that is possible: else there is no handle. It is not where
// the name is another file's now.
func (n *node) stageAlone(ctx context.Context, flags uint32) (*handle, error) {
	a, alone, err := n.alone(ctx)
	if err != nil && !errors.Is(err, remote.Stale) {
		return nil, err
	}
	if err != nil || !alone || flags&syscall.O_APPEND != 0 {
		return nil, nil
	}
	return n.stageEmpty(ctx, flags, a.Mode.Perm())
}

// stageEmpty opens a new content for the file. Where another open has begun meanwhile, of the old content,
// there is no handle.
func (n *node) stageEmpty(ctx context.Context, flags uint32, perm iofs.FileMode) (*handle, error) {
	var f *remote.File
	err := n.at(func(p string) (err error) {
		f, err = n.tree.jail.Stage(ctx, p, 0o666, remote.StageOptions{Replace: true, Shared: true, NoFollow: true})
		return err
	})
	if err != nil {
		return nil, err
	}
	h := newHandle(f, flags, emptiedStage)
	h.perm = perm
	if !h.open(n, true) {
		return nil, f.Close()
	}
	return h, nil
}

// alone reports whether the file has one name and no open handle, and returns its attributes.
func (n *node) alone(ctx context.Context) (a remote.Attr, alone bool, err error) {
	if len(n.opened()) > 0 {
		return a, false, nil
	}
	a, err = n.attr(ctx, nil)
	return a, a.Links == 1, err
}

// keep returns whether the kernel may keep the pages of the file: those of the version that was opened.
func (n *node) keep(h *handle) uint32 {
	if h.isStaged() || h.writable {
		return 0
	}
	a := h.file().Opened()
	n.mu.Lock()
	defer n.mu.Unlock()
	if v, u := versionOf(&a), n.using(); u.pages != v {
		u.pages = v
		return 0
	}
	return fuse.FOPEN_KEEP_CACHE
}

// publish makes what is staged of the file visible on the server, complete so far.
func (n *node) publish(ctx context.Context) error { return n.publishWith(ctx, false) }

func (n *node) publishWith(ctx context.Context, sync bool) error {
	if n.stagedHandle() == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	give, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	h := n.stagedHandle()
	if h == nil {
		return nil
	}
	n.changing()
	defer n.changingDirectory()()
	changes, told := n.mark()
	var a remote.Attr
	err = h.withFile(ctx, func(f *remote.File) (err error) {
		a, err = f.Commit(ctx, h.commitOptions(sync))
		return err
	})
	n.changing()
	if err != nil {
		return err
	}
	n.tree.follow(n, identityOf(&a))
	n.published(h)
	n.learn(&a, changes+1, told)
	if h.parent != nil {
		h.parent.countMaker(ctx)
	}
	return nil
}

// changingDirectory voids what is known of the attributes of the directory that the node is in, now and when
// what it returns is called.
func (n *node) changingDirectory() (done func()) {
	_, above := n.Parent()
	if above == nil {
		return func() {}
	}
	dir := above.Operations().(*node)
	dir.void()
	return dir.void
}

// stagedHandle returns the handle whose content is staged, or nil.
func (n *node) stagedHandle() *handle {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.used().staged
}

// published ends the time in which the content of h is staged.
func (n *node) published(h *handle) {
	n.mu.Lock()
	staged := n.used().staged == h
	if staged {
		n.use.staged = nil
	}
	n.mu.Unlock()
	h.setStage(noStage)
	if h.parent != nil {
		h.parent.settleName(h.name, n)
	}
	if h.parent != nil && staged {
		h.parent.entriesChange(h.name)
	}
	if h.writable {
		n.tree.changes.Add(1)
	}
}

// CopyFileRange copies on the server.
func (n *node) CopyFileRange(ctx context.Context, fhIn gofs.FileHandle, offIn uint64, out *gofs.Inode, fhOut gofs.FileHandle, offOut, length, _ uint64) (uint32, syscall.Errno) {
	from, to := fhIn.(*handle), fhOut.(*handle)
	const most = 1 << 30 // what the kernel's answer can tell, and what can be waited for
	copied, err := to.copyFrom(ctx, from, int64(offIn), int64(offOut), int64(min(length, most)))
	return uint32(copied), n.tree.done("copy", n.label(), err)
}
