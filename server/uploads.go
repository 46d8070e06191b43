package server

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// uploads is the table of the uploads under way, of which no two have the same
// destination, and of the parts that can be resumed. Together they do not exceed the
// staging limit.
type uploads struct {
	jail  *jail
	limit int64 // bytes; 0 is none
	seed  maphash.Seed

	// names are held for reading while a name is made, for writing while one is reserved:
	// which of them depends on the place. Taken before mu.
	names [64]sync.RWMutex

	mu     sync.Mutex // guards what follows
	claims map[place]claim
	staged int64 // bytes: in Remofile 1 as declared, in Remofile 2 as they come; kept ones, too
	kept   map[partID]*keptPart
}

// place is the destination of an upload. Its directory is open all the time, so
// that the identity holds.
type place struct {
	directory fileID
	name      string
}

// claim tells who uploads to a place.
type claim struct {
	peer     string
	since    time.Time
	reserved bool // for whoever makes names, this one is taken
}

func newUploads(j *jail, limit int64) *uploads {
	return &uploads{jail: j, limit: limit, seed: maphash.MakeSeed(), claims: make(map[place]claim),
		kept: make(map[partID]*keptPart)}
}

// claim enters an upload to a place into the table.
func (t *uploads) claim(p place, peer string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.claims[p]; ok && c.reserved {
		return unix.EEXIST
	} else if ok {
		return inUse(fmt.Sprintf("in use by %s, which uploads it since %s", c.peer, c.since.Format(time.DateTime)))
	}
	t.claims[p] = claim{peer: peer, since: time.Now()}
	return nil
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
	var kept int64
	for _, p := range t.kept {
		kept += p.size
	}
	if size > t.limit-t.staged+kept {
		return nil, false // no part has to go in vain
	}
	return t.forgetOldest(), false
}

// lockToMake is called before a name is made, lockToReserve before one is reserved, unlock
// afterwards.
func (t *uploads) lockToMake(p place) (unlock func()) {
	lock := t.lockOf(p)
	lock.RLock()
	return lock.RUnlock
}

func (t *uploads) lockToReserve(p place) (unlock func()) {
	lock := t.lockOf(p)
	lock.Lock()
	return lock.Unlock
}

func (t *uploads) lockOf(p place) *sync.RWMutex {
	return &t.names[maphash.Comparable(t.seed, p)%uint64(len(t.names))]
}

// reserved reports whether a staged file has reserved a place.
func (t *uploads) reserved(p place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.claims[p].reserved
}

func (t *uploads) free(p place, size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.claims, p)
	t.staged -= size
}

// total returns the bytes of all uploads.
func (t *uploads) total() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.staged
}
