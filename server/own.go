package server

import (
	"slices"

	"golang.org/x/sys/unix"
)

// ownChange is what a session does to a name in a directory that it watches. Its events stand
// in the queue between two marks. That others' events stand there, too, and are taken for it,
// must not keep the session from knowing what they have done:
//   - What happens once for a change is taken for it once. Two such events are not merged,
//     since the opposite lies between them, but for renames to one name: see ownMove.
//   - IN_MODIFY and IN_ATTRIB of another may be taken for it, but attributes are read for the
//     answer behind the second mark, and who wrote in that moment causes IN_CLOSE_WRITE when he
//     closes the file.
type ownChange struct {
	session *session
	dir     *watched
	name    string // "" is any
	events  uint32 // that it causes and that were not read yet
	begin   uint64 // number of the mark before
	end     uint64 // and of that behind; 0 as long as the change goes on
}

// onceEvents happen once for a change.
const onceEvents = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE

// own makes a change to a place, of which the session is not told as long as it causes no other
// events. Where it fails the session is told: what was taken for its own may be another's.
func (t *task) own(p place, events uint32, do func() error) error {
	w := t.session.server.watcher
	c := w.begin(t.session, p, events)
	err := do()
	if c != nil {
		w.finish(c, err == nil)
	}
	return err
}

// ownMove is own for a rename of the file moved to a name: that it is there then tells that
// nobody else has changed the name since.
func (t *task) ownMove(d *directory, name string, moved fileID, do func() error) error {
	w := t.session.server.watcher
	c := w.begin(t.session, place{d.id, name}, unix.IN_CREATE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO)
	err := do()
	if c == nil {
		return err
	}
	w.finish(c, err == nil)
	var st unix.Stat_t
	if fstatat(d.fd(), name, &st) != nil || idOf(&st) != moved {
		w.doubt(c)
	}
	return err
}

// begin is nil where the session is to be told of whatever happens, or of nothing.
func (w *watcher) begin(s *session, p place, events uint32) *ownChange {
	if s.watches.Load() == 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	dir := w.byID[p.directory]
	if dir == nil || dir.watchers[s] == nil {
		return nil
	}
	number, err := w.inotify.mark()
	if err != nil {
		return nil
	}
	c := &ownChange{session: s, dir: dir, name: p.name, events: events, begin: number}
	dir.prune(w.passed)
	dir.own = append(dir.own, c)
	return c
}

// finish ends a change. Without certainty all of its events are told.
func (w *watcher) finish(c *ownChange, certain bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	number, err := w.inotify.mark()
	if err == nil && certain {
		c.end = number
		return
	}
	c.dir.own = slices.DeleteFunc(c.dir.own, func(other *ownChange) bool { return other == c })
	w.tellAuthor(c)
}

// changed tells of a change of a session that causes no event: a file has got one more name.
func (w *watcher) changed(p place, by *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if dir := w.byID[p.directory]; dir != nil {
		w.tell(dir, p.name, by)
	}
}

// doubt tells a session of its own change.
func (w *watcher) doubt(c *ownChange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tellAuthor(c)
}

// tellAuthor is doubt; w.mu is held.
func (w *watcher) tellAuthor(c *ownChange) {
	for _, path := range c.dir.watchers[c.session] {
		c.session.tellChanged(path, c.name)
	}
}

// prune forgets the changes whose events were all read.
func (dir *watched) prune(passed uint64) {
	dir.own = slices.DeleteFunc(dir.own, func(c *ownChange) bool { return c.end != 0 && c.end <= passed })
}

// author returns the session whose own change an event is, or nil where that is not certain;
// w.mu is held.
func (w *watcher) author(dir *watched, e *event) *session {
	dir.prune(w.passed)
	var first *ownChange
	for _, c := range dir.own {
		if c.begin > w.passed || c.name != "" && c.name != e.name || c.events&e.mask == 0 {
			continue
		}
		if first != nil && first.session != c.session {
			return nil
		}
		if first == nil {
			first = c
		}
	}
	if first == nil {
		return nil
	}
	if first.name != "" {
		first.events &^= e.mask & onceEvents
	}
	return first.session
}

// placeOf returns where a handle that may change its file was opened; for a file that nobody sees yet that is nowhere.
func (s *session) placeOf(h *handle) place {
	if h.staged != nil && h.staged.isHidden() {
		return place{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.at
}

// openedAt takes note of where a handle was opened that may change its file.
func (s *session) openedAt(h *handle, p place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.at = p
}

// moved takes note that files have new places.
func (s *session) moved(places map[place]place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.handles {
		if to, moved := places[h.at]; moved {
			h.at = to
		}
	}
}
