package fs

import (
	"sync/atomic"
	"syscall"
)

// sticky is the first failure of what was written through a handle, or none. It stays: what comes after
// it would be saved without what failed.
type sticky struct {
	first atomic.Uint32 // the error number, or 0
}

// keep records a failure, if it is the first, and returns the first.
func (s *sticky) keep(errno syscall.Errno) syscall.Errno {
	s.first.CompareAndSwap(0, uint32(errno))
	return s.failed()
}

// failed returns the first failure, or 0.
func (s *sticky) failed() syscall.Errno { return syscall.Errno(s.first.Load()) }
