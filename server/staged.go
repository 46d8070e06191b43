package server

import (
	"errors"
	"fmt"
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

	mu     sync.Mutex // guards what follows
	claims map[place]claim
	staged int64 // bytes, as declared
}

// place is the destination of an upload. Its directory is open all the time, so
// that the identity holds.
type place struct {
	directory fileID
	name      string
}

// claim tells who uploads to a place.
type claim struct {
	peer  string
	since time.Time
}

func newUploads(j *jail, limit int64) *uploads {
	return &uploads{jail: j, limit: limit, claims: make(map[place]claim)}
}

// reserve enters an upload of size bytes into the table.
func (t *uploads) reserve(p place, size int64, peer string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.claims[p]; ok {
		return failure(fmt.Sprintf("in use by %s, which uploads it since %s", c.peer, c.since.Format(time.DateTime)))
	}
	if t.limit > 0 && size > t.limit-t.staged {
		return failure(fmt.Sprintf("the uploads under way would exceed the staging limit of %d bytes", t.limit))
	}
	t.claims[p] = claim{peer: peer, since: time.Now()}
	t.staged += size
	return nil
}

func (t *uploads) free(p place, size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.claims, p)
	t.staged -= size
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
func (t *uploads) stage(dir *directory, name string, size int64, peer string) (*staged, error) {
	s := &staged{table: t, dir: dir, name: name, claim: size}
	if err := t.reserve(s.place(), size, peer); err != nil {
		dir.close()
		return nil, err
	}
	if err := s.makePart(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *staged) place() place { return place{s.dir.id, s.name} }

func (s *staged) makePart() error {
	j := s.table.jail
	var err error
	if s.staging, err = j.stagings.acquire(s.dir, j.top); err != nil {
		return err
	}
	s.part, s.partName, err = s.staging.newPart()
	if errors.Is(err, unix.ENOENT) {
		err = errStagingGone
	}
	return err
}

// commit makes the complete file visible under its name, in one step. A file that
// it replaces keeps its permission bits.
func (s *staged) commit(replace bool) error {
	if err := s.checkDirectory(); err != nil {
		return err
	}
	if replace {
		if err := s.adoptMode(); err != nil {
			return err
		}
	}
	// Some file systems report a failed write as late as here.
	if err := s.part.Close(); err != nil {
		return err
	}
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

// link is commit where renameat2 does not know RENAME_NOREPLACE. The part's own
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
