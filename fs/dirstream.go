package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// dirStream hands a listing to the kernel, an entry at a time. Offsets count the entries.
type dirStream struct {
	listing *listing        // nil of a directory that was removed: nothing is in it
	staged  []fuse.DirEntry // beside it
	next    int
	entry   fuse.DirEntry // the one that was read last
	known   *node         // that this is; nil if the kernel does not know it, or it is not listed
}

// dots are the entries that each directory begins with.
const dots = 2

func (s *dirStream) count() int {
	if s.listing == nil {
		return 0
	}
	return dots + len(s.listing.held) + len(s.staged)
}

// read returns the next entry, which is good until another one is read; nil at the end.
func (s *dirStream) read() *fuse.DirEntry {
	if s.next >= s.count() {
		return nil
	}
	l, i := s.listing, s.next-dots
	s.known = nil
	switch {
	case i == -dots:
		s.entry = fuse.DirEntry{Name: ".", Mode: syscall.S_IFDIR, Ino: l.dir.StableAttr().Ino}
	case i < 0:
		s.entry = fuse.DirEntry{Name: "..", Mode: syscall.S_IFDIR}
	case i < len(l.held):
		e := &l.held[i]
		s.entry = fuse.DirEntry{Name: e.name, Mode: typeOf(e.id.kind)}
		s.known, s.entry.Ino = l.dir.tree.number(e.id)
	default:
		s.entry = s.staged[i-len(l.held)]
	}
	s.next++
	s.entry.Off = uint64(s.next)
	return &s.entry
}

// last returns the entry of the listing that was read last, or nil.
func (s *dirStream) last() *listedEntry {
	if i := s.next - 1 - dots; s.listing != nil && i >= 0 && i < len(s.listing.held) {
		return &s.listing.held[i]
	}
	return nil
}

// seek continues where an entry's offset tells.
func (s *dirStream) seek(off uint64) syscall.Errno {
	if off > uint64(s.count()) {
		return syscall.EINVAL
	}
	s.next = int(off)
	return 0
}
