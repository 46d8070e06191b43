package fs

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/remofile/remofile/remote"
)

// What a server that has forgotten a session takes with it.
var (
	errStagedLost = fmt.Errorf("the server was restarted before the file was published: %w", syscall.EIO)
	errUnsure     = fmt.Errorf("the server was restarted before the changes were synced: %w", syscall.EIO)
)

// file returns the file as the server has it open, or had.
func (h *handle) file() *remote.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.current
}

// withFile calls f with the file; and once more where the server has forgotten it, after a restart or a
// long time without a link, with the file opened again. A change that may have been made is not made
// again.
func (h *handle) withFile(ctx context.Context, f func(*remote.File) error) error {
	file := h.file()
	err := f(file)
	if err == nil || !file.Lost() {
		return err
	}
	again, failed := h.reopen(ctx, file)
	if failed != nil {
		return failed
	}
	if errors.Is(err, remote.OutcomeUnknown) {
		return err
	}
	return f(again)
}

// reopen opens the file again by its name, if that still is the same file, in the place of lost.
func (h *handle) reopen(ctx context.Context, lost *remote.File) (*remote.File, error) {
	select {
	case h.reopening <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.reopening }()
	if f := h.file(); f != lost {
		return f, nil
	}
	h.noteLoss(lost)
	if h.isStaged() {
		return nil, errStagedLost
	}
	f, err := h.openAgain(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.current = f
	h.mu.Unlock()
	h.ahead.void()
	lost.Close() // what it lacks is noted
	return f, nil
}

// noteLoss makes the handle fail from now on where something was written that the server may not have,
// and its fsync where it may have lost it.
func (h *handle) noteLoss(lost *remote.File) {
	switch err := lost.Failed(); {
	case h.failed() != 0: // it does so already
	case h.isStaged():
		h.fail("write", errStagedLost)
	case err != nil:
		h.fail("write", lossOf(err))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unsure = h.unsure || h.changes != h.synced
}

// lossOf returns the failure of a write that was accepted. What is that of the session means nothing to
// the program.
func lossOf(err error) error {
	for _, code := range []remote.Code{remote.Stale, remote.OutcomeUnknown, remote.Unreachable, remote.Timeout} {
		if errors.Is(err, code) {
			return fmt.Errorf("what was written may be lost: %v: %w", err, syscall.EIO)
		}
	}
	return err
}

func (h *handle) openAgain(ctx context.Context) (*remote.File, error) {
	n := h.node
	var f *remote.File
	err := n.at(func(p string) (err error) {
		f, err = n.tree.jail.OpenFile(ctx, p, h.mode|syscall.O_NOFOLLOW, 0)
		return err
	})
	if errors.Is(err, remote.NotFound) || errors.Is(err, remote.NotAFile) {
		err = n.lostName()
	}
	if err != nil {
		return nil, err
	}
	if a := f.Opened(); !n.is(&a) {
		f.Close()
		return nil, n.lostName()
	}
	n.tree.log.Info("opened again", "op", "reopen", "path", f.Name())
	return f, nil
}

// changed returns the count of changes.
func (h *handle) changed() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changes
}

// setSynced takes note that an fsync has succeeded which began after so many changes.
func (h *handle) setSynced(changes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.synced = changes
}

func (h *handle) isUnsure() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unsure
}
