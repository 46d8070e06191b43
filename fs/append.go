package fs

import (
	"math"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// atEnd is the offset of a write at the end of the file. No other write has it:
// the kernel's largest offset of a byte is one less.
const atEnd = math.MaxInt64

// appendAtEnd tells appending writes from others, which the nodes of go-fuse can't.
// The kernel sends them with its own idea of the size, which is the one of the
// look-up before the open: it may be older than the content that the open brought.
type appendAtEnd struct {
	fuse.RawFileSystem
}

// Writev is what go-fuse asks first for every write.
func (a appendAtEnd) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	// Pages of a shared mapping (WRITE_CACHE) go where they belong, whatever
	// handle the kernel takes for them.
	if in.Flags&syscall.O_APPEND != 0 && in.WriteFlags&fuse.WRITE_CACHE == 0 {
		in.Offset = atEnd
	}
	return a.RawFileSystem.Writev(cancel, in, data)
}
