package server

import (
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// lingerTime is how long a staging directory is kept after its last use: who uploads one small file
// after the other would else have one made and removed for each. No use is foreseen any more when a
// session ends. Only one in the jail's own directory lingers, which the server holds open as long as
// it runs: elsewhere it would keep a directory from being removed, or a file system mounted.
const lingerTime = 200 * time.Millisecond

// release gives one use of a directory back.
func (s *stagings) release(st *staging) {
	st.place.Lock()
	defer st.place.Unlock()
	if st.uses--; st.uses > 0 {
		return
	}
	if !st.lingers || s.linger == 0 {
		s.remove(st)
		return
	}
	st.unused = time.Now()
	switch {
	case st.expiry == nil:
		st.expiry = time.AfterFunc(s.linger, func() { s.expire(st) })
	case !st.expires:
		st.expiry.Reset(s.linger)
	}
	st.expires = true
}

// expire removes a directory that has had no use for long enough. The timer is set again only then,
// or where there was a use meanwhile: not with each.
func (s *stagings) expire(st *staging) {
	st.place.Lock()
	defer st.place.Unlock()
	st.expires = false
	if st.uses > 0 || st.gone {
		return
	}
	if left := s.linger - time.Since(st.unused); left > 0 {
		st.expires = true
		st.expiry.Reset(left)
		return
	}
	s.remove(st)
}

// remove removes a directory that has no use. One that somebody has put files into stays, and is
// not ours any longer. One that can't be removed stays hidden, for the next upload. The lock of its
// place is held.
func (s *stagings) remove(st *staging) {
	err := unlinkat(int(st.parent.Fd()), st.name, unix.AT_REMOVEDIR)
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTEMPTY) {
		s.abandon(st)
	}
	if err != nil {
		s.log.Warn("staging directory stays", "path", st.name, "err", err)
	}
}

// abandon forgets a directory that is no longer ours; the lock of its place is held.
func (s *stagings) abandon(st *staging) {
	if st.place.staging == st {
		st.place.staging = nil
	}
	s.unlist(st)
	st.close()
}

// removeUnused removes the directories that linger.
func (s *stagings) removeUnused() {
	for _, p := range s.allPlaces() {
		p.Lock()
		if st := p.staging; st != nil && st.uses == 0 && st.expires {
			s.remove(st)
		}
		p.Unlock()
	}
}

func (s *stagings) allPlaces() []*stagingPlace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.places))
}

// close removes the directories that linger, and unlocks those that hold kept parts: the next
// server finds them. It may be called more than once.
func (s *stagings) close() {
	s.removeUnused()
	s.mu.Lock()
	listed := slices.Collect(maps.Keys(s.listed))
	s.mu.Unlock()
	for _, st := range listed {
		st.place.Lock()
		if !st.gone {
			s.abandon(st)
		}
		st.place.Unlock()
	}
}
