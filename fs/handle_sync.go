package fs

import (
	"context"
	"errors"
	"syscall"

	"github.com/remofile/remofile/remote"
)

// sync is fsync: of a file that was created here, its name is put on stable storage, too.
func (h *handle) sync(ctx context.Context, dataOnly bool) syscall.Errno {
	if errno := h.failed(); errno != 0 {
		return errno
	}
	ctx = context.WithoutCancel(ctx)
	n := h.node
	changes := h.changed()
	err := n.settle(ctx, h)
	if err == nil && h.isStaged() {
		if err = n.publishWith(ctx, true); err == nil {
			h.entrySynced()
		}
	} else if err == nil {
		err = h.withFile(ctx, func(f *remote.File) error {
			switch errno := h.failed(); {
			case errno != 0:
				return errno
			case h.isUnsure():
				return errUnsure
			}
			return f.SyncContext(ctx, dataOnly)
		})
	}
	if err == nil {
		h.setSynced(changes)
	}
	if err == nil && h.needsEntry() {
		if err = n.tree.syncEntry(ctx, n); err == nil {
			h.entrySynced()
		}
	}
	if err != nil {
		return h.fail("fsync", err)
	}
	return n.tree.done("fsync", h.file().Name(), nil)
}

// syncEntry puts the names of the directory that n is in on stable storage.
func (t *tree) syncEntry(ctx context.Context, n *node) error {
	_, above := n.Parent()
	if above == nil {
		return nil // it has lost its name
	}
	err := above.Operations().(*node).at(func(p string) error { return t.jail.Sync(ctx, p) })
	if errors.Is(err, remote.NotFound) || errors.Is(err, errNoName) {
		return nil // with its directory
	}
	return err
}

func (h *handle) needsEntry() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.entryUnsynced
}

func (h *handle) entrySynced() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entryUnsynced = false
}
