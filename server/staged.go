package server

import (
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// uploads is the table of the uploads under way: no two have the same destination,
// and together they do not exceed the staging limit.
type uploads struct {
	jail  *jail
	limit int64 // bytes; 0 is none
	seed  maphash.Seed

	// names are held for reading while a name is made, for writing while one is reserved:
	// which of them depends on the place. Taken before mu.
	names [64]sync.RWMutex

	mu     sync.Mutex // guards what follows
	claims map[place]claim
	staged int64 // bytes: in Remofile 1 as declared, in Remofile 2 as they come
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
	return &uploads{jail: j, limit: limit, seed: maphash.MakeSeed(), claims: make(map[place]claim)}
}

// reserve enters an upload of size bytes into the table.
func (t *uploads) reserve(p place, size int64, peer string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.claims[p]; ok && c.reserved {
		return unix.EEXIST
	} else if ok {
		return inUse(fmt.Sprintf("in use by %s, which uploads it since %s", c.peer, c.since.Format(time.DateTime)))
	}
	if err := t.grow(size); err != nil {
		return err
	}
	t.claims[p] = claim{peer: peer, since: time.Now()}
	return nil
}

// grow takes so many bytes of the staging limit; mu is held.
func (t *uploads) grow(size int64) error {
	if t.limit > 0 && size > t.limit-t.staged {
		return noRoom(fmt.Sprintf("the uploads under way would exceed the staging limit of %d bytes", t.limit))
	}
	t.staged += size
	return nil
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

// staged is a file on its way to its name: nobody sees it before the commit.
type staged struct {
	table *uploads
	dir   *directory // of the destination; belongs to it
	name  string
	claim int64 // bytes of the staging limit that it takes

	staging  *staging
	part     *os.File
	partName string
	renamed  bool // the part has left staging
}

// stage begins a file of size bytes for a name in dir, which belongs to it then. It is
// to be closed.
func (t *uploads) stage(dir *directory, name string, size int64, peer string, mode uint32) (*staged, error) {
	s := &staged{table: t, dir: dir, name: name, claim: size}
	if err := t.reserve(s.place(), size, peer); err != nil {
		dir.close()
		return nil, err
	}
	if err := s.makePart(mode); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *staged) place() place { return place{s.dir.id, s.name} }

func (s *staged) makePart(mode uint32) error {
	j := s.table.jail
	var err error
	if s.staging, err = j.stagings.acquire(s.dir, j.top); err != nil {
		return err
	}
	s.part, s.partName, err = s.staging.newPart(mode)
	if errors.Is(err, unix.ENOENT) {
		err = errStagingGone
	}
	return err
}

// reserve makes the name taken for whoever makes names; it is locked for that.
func (s *staged) reserve() {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	c := s.table.claims[s.place()]
	c.reserved = true
	s.table.claims[s.place()] = c
}

// grow takes the bytes of the staging limit that a part of size bytes needs.
func (s *staged) grow(size int64) error {
	if size <= s.claim {
		return nil
	}
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	if err := s.table.grow(size - s.claim); err != nil {
		return err
	}
	s.claim = size
	return nil
}

// prepare is the first half of a commit, which nobody sees: the file gets the permission
// bits of the one that it replaces.
func (s *staged) prepare(replace bool) error {
	if err := s.checkDirectory(); err != nil {
		return err
	}
	if replace {
		if err := s.adoptMode(); err != nil {
			return err
		}
	}
	return s.settle()
}

// publish is the second half: the complete file becomes visible under its name, in one
// step.
func (s *staged) publish(replace bool) error {
	var part unix.Stat_t
	if err := fstatat(s.staging.fd(), s.partName, &part); errors.Is(err, unix.ENOENT) {
		return errStagingGone
	}
	if replace {
		err := renameat(s.staging.fd(), s.partName, s.dir.fd(), s.name)
		s.renamed = err == nil
		if errors.Is(err, unix.EISDIR) {
			err = unix.EEXIST // a directory that was made meanwhile
		}
		return err
	}
	err := renameat2(s.staging.fd(), s.partName, s.dir.fd(), s.name, unix.RENAME_NOREPLACE)
	s.renamed = err == nil
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return s.link()
	}
	return err
}

// settle closes a descriptor of the part: some file systems report a failed write as
// late as then.
func (s *staged) settle() error {
	fd, err := unix.FcntlInt(s.part.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// checkDirectory fails where the directory that the file goes to has lost its path: it
// may have been moved out of the jail since.
func (s *staged) checkDirectory() error {
	d, err := s.table.jail.open(s.dir.path)
	if err != nil {
		return err
	}
	defer d.close()
	if d.id != s.dir.id {
		return errNoDirectory
	}
	return nil
}

// link is publish where renameat2 does not know RENAME_NOREPLACE. The part's own
// name goes when the file is closed.
func (s *staged) link() error {
	return linkat(s.staging.fd(), s.partName, s.dir.fd(), s.name)
}

// adoptMode gives the part the permission bits of the file that it will replace;
// that may have gone meanwhile, or become something else.
func (s *staged) adoptMode() error {
	var st unix.Stat_t
	err := s.table.jail.stat(s.dir, s.name, &st)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil && kindOf(&st) != unix.S_IFREG {
		err = unix.EEXIST
	}
	if err != nil {
		return err
	}
	return s.part.Chmod(os.FileMode(st.Mode & 0o777))
}

// close ends it. Without a commit nothing of it stays.
func (s *staged) close() {
	if s.part != nil {
		s.part.Close()
	}
	s.free()
}

// free gives back all but the part's descriptor.
func (s *staged) free() {
	log := s.table.jail.log
	if s.part != nil && !s.renamed {
		if err := unlinkat(s.staging.fd(), s.partName, 0); err != nil {
			log.Warn("part of an upload stays", "path", s.partName, "err", err)
		}
	}
	if s.staging != nil {
		if err := s.table.jail.stagings.release(s.staging); err != nil {
			log.Warn("staging directory stays", "path", s.staging.name, "err", err)
		}
	}
	s.table.free(s.place(), s.claim)
	s.dir.close()
}
