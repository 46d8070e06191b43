package server

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// staged is a file on its way to its name: nobody sees it before the commit.
type staged struct {
	table  *uploads
	holder holder
	since  time.Time
	shared bool         // others may be on their way to the name
	failed func() error // of the first change that failed: it is not whole; nil for a file of Remofile 1
	dir    *directory   // of the destination; belongs to it
	name   string
	part   *os.File
	id     fileID // of the part, in Remofile 2

	// mu is held for reading while the part is written to, for writing while the state
	// changes. It guards what follows; that in the table changes only with the state.
	mu       sync.RWMutex
	state    stagedState
	claim    int64 // bytes of the staging limit that it takes
	staging  *staging
	partName string
	renamed  bool // the part has left staging
}

// stagedState is what has become of a staged file. Each of the others follows upon hidden,
// and end goes there.
type stagedState int

const (
	hidden    stagedState = iota // in the table
	published                    // it has its name, and goes on as any other file
	displaced                    // by another upload, which may have resumed the part
	closed
)

// intent is what an upload is begun with.
type intent struct {
	holder holder
	failed func() error
	shared bool
	size   int64  // bytes that are known to come
	mode   uint32 // of a new file, less the umask
	part   string // by which it can be resumed; "" is not at all
	resume bool   // goes on with that part, if there is one
}

// stage begins a file for a name in dir, which belongs to it then. It is to be closed.
func (t *uploads) stage(ctx context.Context, dir *directory, name string, how *intent) (*staged, error) {
	s := &staged{
		table:  t,
		holder: how.holder,
		since:  time.Now(),
		shared: how.shared,
		failed: how.failed,
		dir:    dir,
		name:   name,
	}
	if err := t.claim(ctx, s); err != nil {
		dir.close()
		return nil, err
	}
	s.mu.Lock()
	err := s.take(how.size)
	if err == nil {
		err = s.makePart(how)
	}
	s.mu.Unlock()
	if err != nil {
		s.close(false)
		return nil, err
	}
	return s, nil
}

func (s *staged) place() place { return place{s.dir.id, s.name} }

// isHidden reports whether nobody sees the file yet.
func (s *staged) isHidden() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state == hidden
}

func (s *staged) makePart(how *intent) error {
	j := s.table.jail
	var err error
	if s.staging, err = j.stagings.acquire(s.dir, j.top); err != nil {
		return err
	}
	if how.part == "" {
		s.part, s.partName, err = s.staging.newPart(how.mode)
	} else {
		err = s.makeKept(how)
	}
	if errors.Is(err, unix.ENOENT) {
		err = errStagingGone
	}
	return err
}

// makeKept makes a part that can be resumed, or resumes it. Its name is nobody else's, as
// the place is not.
func (s *staged) makeKept(how *intent) (err error) {
	name := keptName(s.place(), how.part)
	if kept := s.table.forget(partID{s.staging, name}); kept != nil {
		if how.resume {
			switch err := s.resume(kept); {
			case err == nil:
				return nil
			case !errors.Is(err, unix.ENOENT):
				s.table.keep(kept)
				return err
			}
		}
		s.table.remove(kept)
	}
	s.part, err = openat(s.staging.fd(), name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, how.mode)
	if err == nil {
		s.partName = name
	}
	return err
}

// resume goes on with a kept part, whose bytes and use of the staging directory are those
// of s then. On ENOENT, somebody has removed it.
func (s *staged) resume(kept *keptPart) (err error) {
	if s.part, err = openat(s.staging.fd(), kept.name, unix.O_RDWR, 0); err != nil {
		return err
	}
	s.partName = kept.name
	s.claim += kept.size
	s.table.jail.stagings.release(s.staging)
	return nil
}

// change holds the state, until done is called, for a change of the part. It fails where
// that is another upload's by now.
func (s *staged) change() (done func(), err error) {
	s.mu.RLock()
	if s.state == displaced {
		s.mu.RUnlock()
		return nil, errDisplaced
	}
	return s.mu.RUnlock, nil
}

// grow takes what a part of size bytes needs of the staging limit, and of the disk, where so
// many are about to be written; the state is held.
func (s *staged) grow(size, written int64) error {
	if s.state != hidden {
		return nil
	}
	if err := s.table.use(s.staging, max(size-s.claim, written)); err != nil {
		return err
	}
	return s.take(size)
}

// take is grow for the staging limit alone.
func (s *staged) take(size int64) error {
	if size <= s.claim {
		return nil
	}
	if err := s.table.grow(size - s.claim); err != nil {
		return err
	}
	s.claim = size
	return nil
}

// prepare is the first half of a commit, which nobody sees: the file gets the permission
// bits of the one that it replaces. mu is held, as for publish.
func (s *staged) prepare(replace bool) error {
	if err := s.table.jail.checkInside(s.dir); err != nil {
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
	err := s.table.makeNameOf(s, s.place(), func() error { return s.rename(replace) })
	if err == nil {
		s.end(published, false)
	}
	return err
}

// publishReserved makes the file visible for which a name is reserved, as far as it has
// come. It reports whether there was one.
func (t *uploads) publishReserved(p place) (bool, error) {
	s := t.reservedBy(p)
	if s == nil {
		return false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != hidden {
		return true, nil
	}
	err := s.failed()
	if err == nil {
		err = s.prepare(false)
	}
	if err == nil {
		err = s.publish(false)
	}
	return true, err
}

// rename gives the part its name.
func (s *staged) rename(replace bool) error {
	flags := uint(unix.RENAME_NOREPLACE)
	if replace {
		flags = 0
	}
	err := renameat2(s.staging.fd(), s.partName, s.dir.fd(), s.name, flags)
	s.renamed = err == nil
	switch {
	case errors.Is(err, unix.ENOENT) && s.partGone():
		return errStagingGone
	case replace && errors.Is(err, unix.EISDIR):
		return unix.EEXIST // a directory that was made meanwhile
	case !replace && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)):
		return s.link()
	}
	return err
}

// partGone reports whether somebody else has removed the part.
func (s *staged) partGone() bool {
	var st unix.Stat_t
	return errors.Is(fstatat(s.staging.fd(), s.partName, &st), unix.ENOENT)
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

// link is rename where renameat2 does not know RENAME_NOREPLACE. The part's own
// name goes with the end.
func (s *staged) link() error {
	return linkat(s.staging.fd(), s.partName, s.dir.fd(), s.name)
}

// adoptMode gives the part the permission bits of the file that it will replace;
// that may have gone meanwhile, or become something else.
func (s *staged) adoptMode() error {
	var st unix.Statx_t
	err := s.table.jail.stat(s.dir, s.name, &st)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil && kindOfX(&st) != unix.S_IFREG {
		err = unix.EEXIST
	}
	if err != nil {
		return err
	}
	return s.part.Chmod(os.FileMode(st.Mode & 0o777))
}

// displace ends it for another upload, which may resume the part, unless it has reserved
// its name meanwhile. Its holder is told when it uses it.
func (s *staged) displace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table.reservedBy(s.place()) != s {
		s.end(displaced, true)
	}
}

// close ends it and closes the part. Without a commit nothing of it stays but, unless
// discarded, a part that can be resumed.
func (s *staged) close(discard bool) error {
	s.mu.Lock()
	s.end(closed, !discard)
	s.mu.Unlock()
	s.dir.close()
	if s.part == nil {
		return nil
	}
	return s.part.Close()
}

// end takes it out of the table; mu is held. Its part goes, unless it has its name or can
// be resumed and is to be kept.
func (s *staged) end(state stagedState, keep bool) {
	if s.state != hidden {
		return
	}
	s.state = state
	if keep && s.resumable() {
		s.table.keep(&keptPart{staging: s.staging, name: s.partName, size: s.claim, since: time.Now()})
		s.table.free(s, 0)
		return
	}
	if s.partName != "" && !s.renamed {
		if err := unlinkat(s.staging.fd(), s.partName, 0); err != nil {
			s.table.jail.log.Warn("part of an upload stays", "path", s.partName, "err", err)
		}
	}
	if s.staging != nil {
		s.table.jail.stagings.release(s.staging)
	}
	s.table.free(s, s.claim)
}

// resumable reports whether there is a part that somebody can resume.
func (s *staged) resumable() bool {
	var st unix.Stat_t
	return isKeptName(s.partName) && fstat(int(s.part.Fd()), &st) == nil && st.Nlink > 0 && st.Size > 0
}
