package server

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

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

// intent is what an upload is begun with.
type intent struct {
	peer   string // who uploads
	size   int64  // bytes that are known to come
	mode   uint32 // of a new file, less the umask
	part   string // by which it can be resumed; "" is not at all
	resume bool   // goes on with that part, if there is one
}

// stage begins a file for a name in dir, which belongs to it then. It is to be closed.
func (t *uploads) stage(dir *directory, name string, how *intent) (*staged, error) {
	s := &staged{table: t, dir: dir, name: name}
	if err := t.claim(s.place(), how.peer); err != nil {
		dir.close()
		return nil, err
	}
	err := s.grow(how.size)
	if err == nil {
		err = s.makePart(how)
	}
	if err != nil {
		s.close(false)
		return nil, err
	}
	return s, nil
}

func (s *staged) place() place { return place{s.dir.id, s.name} }

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
			if err := s.resume(kept); !errors.Is(err, unix.ENOENT) {
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
	s.table.jail.release(s.staging)
	return nil
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

// close ends it. Without a commit nothing of it stays but a part that can be resumed.
func (s *staged) close(discard bool) {
	if s.part == nil {
		s.free()
		return
	}
	resumable := !discard && s.resumable()
	s.part.Close()
	if resumable {
		s.keep()
	} else {
		s.free()
	}
}

// resumable reports whether there is a part that somebody can resume.
func (s *staged) resumable() bool {
	var st unix.Stat_t
	return isKeptName(s.partName) && !s.renamed && fstat(int(s.part.Fd()), &st) == nil && st.Nlink > 0 && st.Size > 0
}

// keep gives all back but the part, its bytes and its staging directory.
func (s *staged) keep() {
	s.table.keep(&keptPart{staging: s.staging, name: s.partName, size: s.claim, since: time.Now()})
	s.table.free(s.place(), 0)
	s.dir.close()
}

// free gives back all but the part's descriptor.
func (s *staged) free() {
	log := s.table.jail.log
	if s.partName != "" && !s.renamed {
		if err := unlinkat(s.staging.fd(), s.partName, 0); err != nil {
			log.Warn("part of an upload stays", "path", s.partName, "err", err)
		}
	}
	if s.staging != nil {
		s.table.jail.release(s.staging)
	}
	s.table.free(s.place(), s.claim)
	s.dir.close()
}
