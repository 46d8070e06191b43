package server

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
)

// uploads is the table of the uploads under way and of the parts that can be resumed.
// Together they do not exceed the staging limit.
type uploads struct {
	jail  *jail
	limit int64 // bytes; 0 is none
	seed  maphash.Seed
	// signTime is how long a holder has for a sign of life: remofile2.SignTime, but in tests
	// in real time.
	signTime time.Duration

	mu       sync.Mutex            // guards what follows
	names    map[uint64]*nameLocks // by device: one that hangs keeps no other waiting
	claims   map[place]*staged     // one at a time for a place; those that share it are not here
	reserved map[place]*staged     // for whoever makes names, these are taken
	staged   int64                 // bytes: in Remofile 1 as declared, in Remofile 2 as they come; kept ones, too
	kept     map[partID]*keptPart
}

// nameLocks are held for reading while a name is made, for writing while one is reserved: which
// of them depends on the place. They are taken before uploads.mu, after staged.mu.
type nameLocks [64]sync.RWMutex

// place is a name in a directory, such as the destination of an upload. As long as it counts
// the directory is open, or watched, so that the identity holds.
type place struct {
	directory fileID
	name      string
}

// holder is who uploads: a link in Remofile 1, a session in Remofile 2.
type holder interface {
	address() string
	// alive reports whether it has a connection. One that may be dead is tried until ctx
	// ends.
	alive(ctx context.Context) bool
}

func newUploads(j *jail, limit int64) *uploads {
	return &uploads{
		jail:     j,
		limit:    limit,
		seed:     maphash.MakeSeed(),
		signTime: remofile2.SignTime,
		names:    make(map[uint64]*nameLocks),
		claims:   make(map[place]*staged),
		reserved: make(map[place]*staged),
		kept:     make(map[partID]*keptPart),
	}
}

// claim enters an upload into the table. Another one to its place is displaced where its
// holder has lost its connection: that a session is kept then is for its open files and
// reserved names.
func (t *uploads) claim(ctx context.Context, s *staged) error {
	for {
		other, err := t.tryClaim(s)
		if other == nil || err != nil {
			return err
		}
		if other.holder == s.holder || t.isAlive(ctx, other.holder) {
			return inUse(fmt.Sprintf("in use by %s, which uploads it since %s", other.holder.address(),
				other.since.Format(time.DateTime)))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		other.displace()
	}
}

func (t *uploads) isAlive(ctx context.Context, h holder) bool {
	ctx, cancel := context.WithTimeout(ctx, t.signTime)
	defer cancel()
	return h.alive(ctx)
}

// tryClaim is claim where no other upload is in the way.
func (t *uploads) tryClaim(s *staged) (other *staged, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := s.place()
	if t.reserved[p] != nil {
		return nil, errReserved
	}
	if s.shared {
		return nil, nil
	}
	if other = t.claims[p]; other == nil {
		t.claims[p] = s
	}
	return other, nil
}

// free takes an upload out of the table, with so many bytes.
func (t *uploads) free(s *staged, size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := s.place()
	if t.claims[p] == s {
		delete(t.claims, p)
	}
	if t.reserved[p] == s {
		delete(t.reserved, p)
	}
	t.staged -= size
}

// makeName makes a name in d by a call of make, unless it is reserved.
func (t *uploads) makeName(d *directory, name string, make func(dirfd int, name string) error) error {
	return t.makeNameOf(nil, place{d.id, name}, func() error { return make(d.fd(), name) })
}

// makeNameOf is makeName for an upload, which may have reserved the name itself.
func (t *uploads) makeNameOf(s *staged, p place, make func() error) error {
	lock := t.lockOf(p)
	lock.RLock()
	defer lock.RUnlock()
	if r := t.reservedBy(p); r != nil && r != s {
		return errReserved
	}
	return make()
}

// reserve makes the name of an upload taken for whoever makes names; free tells whether it
// is so far.
func (t *uploads) reserve(s *staged, free func() error) error {
	done, err := s.change()
	if err != nil {
		return err // its session has lost its connection
	}
	defer done()
	p := s.place()
	lock := t.lockOf(p)
	lock.Lock()
	defer lock.Unlock()
	if err := free(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reserved[p] != nil {
		return errReserved
	}
	t.reserved[p] = s
	return nil
}

// lockOf returns the lock of a place.
func (t *uploads) lockOf(p place) *sync.RWMutex {
	t.mu.Lock()
	defer t.mu.Unlock()
	locks := t.names[p.directory.device]
	if locks == nil {
		locks = new(nameLocks)
		t.names[p.directory.device] = locks
	}
	return &locks[maphash.Comparable(t.seed, p)%uint64(len(locks))]
}

// reservedBy returns the upload for which a place is reserved, or nil.
func (t *uploads) reservedBy(p place) *staged {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reserved[p]
}

// grow takes so many bytes of the staging limit. Kept parts make room.
func (t *uploads) grow(size int64) error {
	for {
		oldest, fits := t.tryGrow(size)
		if fits {
			return nil
		}
		if oldest == nil {
			return noRoom(fmt.Sprintf("the uploads under way would exceed the staging limit of %d bytes", t.limit))
		}
		t.remove(oldest)
	}
}

// tryGrow is grow without that. Where there is no room, the oldest kept part is no longer
// in the table, and is to be removed.
func (t *uploads) tryGrow(size int64) (oldest *keptPart, fits bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.limit == 0 || size <= t.limit-t.staged {
		t.staged += size
		return nil, true
	}
	if size > t.limit-t.staged+t.keptBytes(anyPart) {
		return nil, false // no part has to go in vain
	}
	return t.forgetOldest(anyPart), false
}

// total returns the bytes of all uploads.
func (t *uploads) total() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.staged
}
