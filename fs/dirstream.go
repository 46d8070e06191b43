package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// dirStream hands a listing to the kernel, an entry at a time. Offsets count the entries.
type dirStream struct {
	listing *listing        // nil of a directory that was removed: nothing is in it
	staged  []fuse.DirEntry // beside it
	next    int
}

var (
	_ gofs.DirStream     = (*dirStream)(nil)
	_ gofs.FileSeekdirer = (*dirStream)(nil)
)

// dots are the entries that each directory begins with.
const dots = 2

func (s *dirStream) count() int {
	if s.listing == nil {
		return 0
	}
	return dots + len(s.listing.held) + len(s.staged)
}

// HasNext reports whether there is one more entry.
func (s *dirStream) HasNext() bool { return s.next < s.count() }

// Next returns the next entry.
func (s *dirStream) Next() (fuse.DirEntry, syscall.Errno) {
	e := s.entry(s.next)
	s.next++
	e.Off = uint64(s.next)
	return e, 0
}

// last returns the entry of the listing that was read last, or nil.
func (s *dirStream) last() *listedEntry {
	if i := s.next - 1 - dots; s.listing != nil && i >= 0 && i < len(s.listing.held) {
		return &s.listing.held[i]
	}
	return nil
}

func (s *dirStream) entry(i int) fuse.DirEntry {
	l := s.listing
	switch {
	case i == 0:
		return fuse.DirEntry{Name: ".", Mode: syscall.S_IFDIR, Ino: l.dir.StableAttr().Ino}
	case i < dots:
		return fuse.DirEntry{Name: "..", Mode: syscall.S_IFDIR}
	case i < dots+len(l.held):
		e := &l.held[i-dots]
		return fuse.DirEntry{Name: e.name, Mode: typeOf(e.id.kind), Ino: l.dir.tree.number(e.id)}
	default:
		return s.staged[i-dots-len(l.held)]
	}
}

// Seekdir continues where an entry's offset tells.
func (s *dirStream) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off > uint64(s.count()) {
		return syscall.EINVAL
	}
	s.next = int(off)
	return 0
}

// Close has nothing to close.
func (s *dirStream) Close() {}
