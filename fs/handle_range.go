package fs

import (
	"context"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/remote"
)

// Lseek finds data and holes; the other kinds are the kernel's.
func (h *handle) Lseek(ctx context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	err := h.node.settle(ctx, h)
	var found int64
	switch {
	case err != nil:
	case whence == unix.SEEK_DATA:
		err = h.withFile(ctx, func(f *remote.File) (err error) {
			found, err = f.SeekData(ctx, int64(off))
			return err
		})
	case whence == unix.SEEK_HOLE:
		err = h.withFile(ctx, func(f *remote.File) (err error) {
			found, err = f.SeekHole(ctx, int64(off))
			return err
		})
	default:
		err = syscall.EINVAL
	}
	return uint64(found), h.node.tree.done("seek", h.file().Name(), err)
}

// allocateModes maps the modes of fallocate(2).
var allocateModes = map[uint32]remote.AllocateMode{
	0:                        remote.AllocateStorage,
	unix.FALLOC_FL_KEEP_SIZE: remote.AllocateKeepSize,
	unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE: remote.AllocatePunch,
	unix.FALLOC_FL_ZERO_RANGE:                            remote.AllocateZero,
	unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE: remote.AllocateZeroKeepSize,
}

// Allocate changes what storage a range of the file has.
func (h *handle) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	m, known := allocateModes[mode]
	if !known {
		return syscall.EOPNOTSUPP
	}
	ctx = context.WithoutCancel(ctx)
	err := h.node.settle(ctx, h)
	if err == nil {
		h.touch(unknownSize)
		h.node.changing()
		defer h.node.changing()
		err = h.withFile(ctx, func(f *remote.File) error { return f.Allocate(ctx, int64(off), int64(size), m) })
	}
	return h.node.tree.done("allocate", h.file().Name(), err)
}

// copyFrom copies a range of another file on the server.
func (h *handle) copyFrom(ctx context.Context, from *handle, off, toOff, length int64) (int64, error) {
	ctx = context.WithoutCancel(ctx)
	for _, of := range []*handle{from, h} {
		if err := of.node.settle(ctx, nil); err != nil {
			return 0, err
		}
	}
	h.touch(unknownSize)
	h.node.changing()
	defer h.node.changing()
	var copied int64
	err := from.withFile(ctx, func(f *remote.File) error {
		return h.withFile(ctx, func(to *remote.File) (err error) {
			copied, err = f.CopyTo(ctx, off, to, toOff, length)
			return err
		})
	})
	return copied, err
}
