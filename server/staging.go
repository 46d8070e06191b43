package server

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A staging directory is called ".remofile-" and 22 random characters, a part in
// it "part-" and a number, or where it can be resumed as keptName says.
const (
	stagingPrefix = ".remofile-"
	stagingRandom = 22
	partPrefix    = "part-"
)

// isStagingName reports whether name can be that of a staging directory. Whether
// it is one of ours is for hides to say.
func isStagingName(name string) bool {
	random, ok := strings.CutPrefix(name, stagingPrefix)
	return ok && len(random) == stagingRandom
}

// hasStagingMode reports whether st is that of a directory for its owner alone. The
// jail may hand down a set-group-ID bit.
func hasStagingMode(st *unix.Stat_t) bool { return st.Mode&^0o7000 == unix.S_IFDIR|0o700 }

func isPartName(name string) bool {
	number, ok := strings.CutPrefix(name, partPrefix)
	_, err := strconv.ParseUint(number, 10, 64)
	return ok && err == nil
}

// staging is a hidden directory of the jail that holds the parts of the uploads to
// one file system. Its server holds a lock (flock) on it.
type staging struct {
	parent *os.File
	name   string
	dir    *os.File
	place  *stagingPlace // of its file system; nil until it is made
	id     fileID        // zero until it is made; guarded by stagings.mu

	// lingers: it is removed some time after its last use, not with it.
	lingers bool

	// Guarded by place.
	uses    int         // how many uploads and kept parts there are
	unused  time.Time   // since when there are none
	expiry  *time.Timer // nil before the first time that there were none
	expires bool        // expiry will call expire
	gone    bool        // it is closed

	parts  atomic.Uint64 // the number of the last part
	credit atomic.Int64  // bytes that can be written before room is asked again
}

// stagings are the staging directories of a server: one for each file system that
// has uploads under way or parts to be resumed, or had some a moment ago, so that the jail
// holds nothing of ours at rest.
type stagings struct {
	log    *slog.Logger
	linger time.Duration          // lingerTime, but in tests; 0 is not at all
	mu     sync.Mutex             // guards what follows, and staging.id
	places map[fsID]*stagingPlace // of all file systems that ever had one
	listed map[*staging]struct{}  // from before one is made until after it is removed
}

// stagingPlace is where a file system has its staging directory. Its lock is held while that is made
// or removed, and is taken before stagings.mu: a file system that hangs keeps no other waiting.
type stagingPlace struct {
	sync.Mutex
	staging *staging // nil where there is none; guarded by the lock
}

func newStagings(log *slog.Logger) *stagings {
	return &stagings{log: log, linger: lingerTime, places: make(map[fsID]*stagingPlace), listed: make(map[*staging]struct{})}
}

func (s *stagings) place(fs fsID) *stagingPlace {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.places[fs]
	if p == nil {
		p = new(stagingPlace)
		s.places[fs] = p
	}
	return p
}

// hides reports whether the directory with this identity is one of ours. Only
// while that is being made, and has none yet, does its name decide.
func (s *stagings) hides(name string, id fileID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.listed {
		if st.id == id || st.id == (fileID{}) && st.name == name {
			return true
		}
	}
	return false
}

func (s *stagings) list(st *staging) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed[st] = struct{}{}
}

func (s *stagings) unlist(st *staging) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listed, st)
}

func (s *stagings) setID(st *staging, id fileID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.id = id
}

// acquire returns the staging directory for the uploads to d; top is the jail. The
// first upload makes it. Each is to be released.
func (s *stagings) acquire(d, top *directory) (*staging, error) {
	p := s.place(d.fs)
	p.Lock()
	defer p.Unlock()
	st := p.staging
	if st != nil && st.removed() {
		if p.staging = nil; st.uses == 0 {
			s.abandon(st)
		}
		st = nil
	}
	if st == nil {
		var err error
		if st, err = s.makeFor(d, top); err != nil {
			return nil, err
		}
		st.place, p.staging = p, st
	}
	st.uses++
	return st, nil
}

// makeFor makes a staging directory on the file system of d: as high as possible, or where
// the server may write only below that, in d itself.
func (s *stagings) makeFor(d, top *directory) (*staging, error) {
	fd, err := topmost(d, top)
	if err != nil {
		return nil, err
	}
	parent := os.NewFile(uintptr(fd), ".")
	st, err := s.make(parent)
	if err == nil {
		st.lingers = d.fs == top.fs
		return st, nil
	}
	parent.Close()
	if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
		return nil, err
	}
	if parent, err = openat(d.fd(), ".", unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
		return nil, err
	}
	if st, err = s.make(parent); err != nil {
		parent.Close()
	}
	return st, err
}

// adopt makes a locked directory, with the parts in it that can be resumed, one of ours:
// the one of its file system, or else they are moved to that.
func (s *stagings) adopt(d *directory, name string, dir *os.File, parts []*keptPart) ([]*keptPart, error) {
	fs, id, err := identify(int(dir.Fd()))
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	p := s.place(fs)
	p.Lock()
	defer p.Unlock()
	st := p.staging
	if st != nil {
		parts = st.move(dir, parts)
		dir.Close()
		err = unlinkat(d.fd(), name, unix.AT_REMOVEDIR)
	} else {
		parent, err := openat(d.fd(), ".", unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return nil, errors.Join(err, dir.Close())
		}
		st = &staging{parent: parent, name: name, dir: dir, place: p}
		s.list(st)
		s.setID(st, id)
		p.staging = st
	}
	for _, part := range parts {
		part.staging = st
	}
	st.uses += len(parts)
	return parts, err
}

// move moves parts from another directory to st, and returns those that were: others have
// the same name as one that is there.
func (st *staging) move(from *os.File, parts []*keptPart) (moved []*keptPart) {
	for _, p := range parts {
		if renameat2(int(from.Fd()), p.name, st.fd(), p.name, unix.RENAME_NOREPLACE) == nil {
			moved = append(moved, p)
		} else {
			unlinkat(int(from.Fd()), p.name, 0) // where it fails, the directory stays: the caller tells
		}
	}
	return moved
}

// make makes a staging directory in parent, which belongs to it then. As long as
// it is not locked, another server may take it for a leftover or look whether it is
// locked: then another one is made.
func (s *stagings) make(parent *os.File) (*staging, error) {
	const attempts = 3
	var err error
	for range attempts {
		st := &staging{parent: parent, name: stagingPrefix + rand.Text()[:stagingRandom]}
		s.list(st)
		err = s.create(st)
		if err == nil {
			return st, nil
		}
		s.unlist(st)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.ENOENT) {
			break
		}
	}
	return nil, err
}

// create makes the directory of st and locks it. On an error it leaves none.
func (s *stagings) create(st *staging) (err error) {
	parent := int(st.parent.Fd())
	if err := mkdirat(parent, st.name, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			unlinkat(parent, st.name, unix.AT_REMOVEDIR)
		}
	}()
	dir, err := openat(parent, st.name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = lock(dir)
	var attr unix.Stat_t
	if err == nil {
		err = fstatat(parent, st.name, &attr) // it may be gone by now
	}
	if err != nil {
		dir.Close()
		return err
	}
	st.dir = dir
	s.setID(st, idOf(&attr))
	return nil
}

func (st *staging) fd() int { return int(st.dir.Fd()) }

// close gives the descriptors back; the lock of its place is held.
func (st *staging) close() {
	st.gone = true
	if st.expiry != nil {
		st.expiry.Stop()
	}
	st.dir.Close()
	st.parent.Close()
}

// removed reports whether somebody else has removed the directory.
func (st *staging) removed() bool {
	var attr unix.Stat_t
	return fstat(st.fd(), &attr) == nil && attr.Nlink == 0
}

// newPart makes a file for one upload and returns it with its name. The mode is
// that of a new file, less the umask, since the directory hides it.
func (st *staging) newPart(mode uint32) (*os.File, string, error) {
	name := partPrefix + strconv.FormatUint(st.parts.Add(1), 10)
	f, err := openat(st.fd(), name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, mode)
	return f, name, err
}

// lockedElsewhere reports whether a directory that is named like a staging one is
// that of another running server: then that has locked it.
func lockedElsewhere(dirfd int) bool {
	err := flock(dirfd, unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		flock(dirfd, unix.LOCK_UN)
	}
	return errors.Is(err, unix.EWOULDBLOCK)
}

// isLeftover reports whether a directory that is named like a staging one holds the
// parts of a server that was killed, and nothing else. Only a server that starts and
// may write sweeps them.
func isLeftover(dirfd int) bool {
	var st unix.Stat_t
	if fstat(dirfd, &st) != nil || !hasStagingMode(&st) {
		return false
	}
	parts := 0
	err := forEachName(dirfd, func(name string) error {
		if parts++; !isPartName(name) && !isKeptName(name) {
			return unix.EEXIST
		}
		return nil
	})
	return err == nil && parts > 0
}

// lock marks a staging directory as in use. Where the file system knows no locks
// there is none, and sweep won't get one either.
func lock(dir *os.File) error {
	err := flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	return nil
}

// topmost opens the highest directory above d, or d itself, that is on its file
// system and in the jail, whose own directory is top.
func topmost(d, top *directory) (fd int, err error) {
	if d.fs == top.fs {
		return openAt(top.fd(), ".", unix.O_PATH|unix.O_DIRECTORY, 0)
	}
	at, err := openAt(d.fd(), ".", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	for id := d.id; ; {
		up, upFS, upID, err := above(at)
		if err == nil && upID == id {
			unix.Close(up)
			err = unix.ENOENT // the system's root: d was moved out of the jail
		}
		if err != nil {
			unix.Close(at)
			return -1, err
		}
		if upFS != d.fs {
			unix.Close(up)
			return at, nil
		}
		unix.Close(at)
		at, id = up, upID
	}
}

// above opens the parent of a directory.
func above(dirfd int) (fd int, fs fsID, id fileID, err error) {
	up, err := openAt(dirfd, "..", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, fsID{}, fileID{}, err
	}
	if fs, id, err = identify(up); err != nil {
		unix.Close(up)
		return -1, fsID{}, fileID{}, err
	}
	return up, fs, id, nil
}
