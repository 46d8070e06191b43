package server

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/remofile/remofile/protocol/remofile2"
)

// watcher tells sessions what changes in the directories that they watch. A directory has
// one watch descriptor, however many sessions watch it by whatever paths.
type watcher struct {
	jail   *jail
	log    *slog.Logger
	reader sync.WaitGroup // the goroutine of run
	ended  chan struct{}  // closed when it is to end

	mu       sync.Mutex // guards what follows; taken before session.mu
	inotify  *inotify   // nil before the first watch
	closed   bool       // no watch begins any longer
	passed   uint64     // number of the last mark that was read
	byWD     map[int32]*watched
	byID     map[fileID]*watched
	sessions map[*session]*watches
}

// watched is a directory with a watch descriptor. It need not be open: that would keep its file
// system mounted.
type watched struct {
	wd       int32
	id       fileID
	watchers map[*session][]string // the paths by which they watch it
	own      []*ownChange          // those whose events may be in the queue
}

// watches are those of a session.
type watches struct {
	byPath map[string]*watched
	size   int // bytes of the paths
}

func newWatcher(j *jail) *watcher {
	return &watcher{
		jail: j, log: j.log,
		ended:    make(chan struct{}),
		byWD:     make(map[int32]*watched),
		byID:     make(map[fileID]*watched),
		sessions: make(map[*session]*watches),
	}
}

// watch is WATCH.
func (t *task) watch() error { return t.session.server.watcher.watch(t.session, t.Path) }

// unwatch is UNWATCH.
func (t *task) unwatch() error {
	t.session.server.watcher.unwatch(t.session, t.Path)
	return nil
}

// watch makes a session watch the directory to which a path leads now. On an error it watches
// none by that path.
func (w *watcher) watch(s *session, path string) error {
	const attempts = 10
	for range attempts {
		found, err := w.try(s, path)
		if err != nil {
			w.gone(s, path)
			return err
		}
		if found {
			return nil
		}
	}
	w.gone(s, path)
	return inUse("it is renamed all the time")
}

// try reports whether the directory was still there when its watch was live: had it been moved
// before, nothing would tell.
func (w *watcher) try(s *session, path string) (bool, error) {
	d, err := w.jail.open(path)
	if err != nil {
		return false, err
	}
	defer d.close()
	if err := tellsAll(d); err != nil {
		return false, err
	}
	if err := w.add(s, path, d); err != nil {
		return false, err
	}
	again, err := w.jail.open(path)
	if err != nil {
		return false, err
	}
	defer again.close()
	return again.id == d.id, nil
}

// add enters a watch into the table.
func (w *watcher) add(s *session, path string, d *directory) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.admit(s, path); err != nil {
		return err
	}
	if err := w.start(); err != nil {
		return err
	}
	wd, err := w.inotify.add(d.fd())
	if err != nil {
		return err
	}
	dir := w.byWD[wd]
	if dir == nil {
		if old := w.byID[d.id]; old != nil {
			w.end(old) // its number is another directory's by now
		}
		dir = &watched{wd: wd, id: d.id, watchers: make(map[*session][]string)}
		w.byWD[wd], w.byID[d.id] = dir, dir
	}
	mine := w.sessions[s]
	if mine == nil {
		mine = &watches{byPath: make(map[string]*watched)}
		w.sessions[s] = mine
		s.tasks.Go(s.tell)
	}
	if mine.byPath[path] == dir {
		return nil
	}
	w.remove(s, path)
	mine.byPath[path] = dir
	mine.size += len(path)
	dir.watchers[s] = append(dir.watchers[s], path)
	s.watches.Add(1)
	return nil
}

// admit checks the limits; w.mu is held.
func (w *watcher) admit(s *session, path string) error {
	mine := w.sessions[s]
	if mine == nil || mine.byPath[path] != nil {
		return nil
	}
	if len(mine.byPath) >= remofile2.MaxWatches || mine.size+len(path) > remofile2.MaxWatchedPaths {
		return code(remofile2.CodeTooMany)
	}
	return nil
}

// start begins to read events with the first watch; w.mu is held. The goroutine ends with
// close, which waits for it.
func (w *watcher) start() error {
	if w.closed {
		return code(remofile2.CodeBusy)
	}
	if w.inotify != nil {
		return nil
	}
	n, err := newInotify()
	if err != nil {
		return err
	}
	w.inotify = n
	w.reader.Go(w.run)
	return nil
}

// unwatch ends a watch, if there is one.
func (w *watcher) unwatch(s *session, path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(s, path)
}

// gone ends a watch whose path no longer leads to the directory, and tells so.
func (w *watcher) gone(s *session, path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.remove(s, path) {
		s.tellGone(path)
	}
}

// leave ends all watches of a session.
func (w *watcher) leave(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, path := range w.paths(s) {
		w.remove(s, path)
	}
	delete(w.sessions, s)
}

// paths returns what a session watches; w.mu is held.
func (w *watcher) paths(s *session) []string {
	if mine := w.sessions[s]; mine != nil {
		return slices.Collect(maps.Keys(mine.byPath))
	}
	return nil
}

// remove takes a watch out of the table, and reports whether there was one; w.mu is held.
func (w *watcher) remove(s *session, path string) bool {
	mine := w.sessions[s]
	if mine == nil || mine.byPath[path] == nil {
		return false
	}
	dir := mine.byPath[path]
	delete(mine.byPath, path)
	mine.size -= len(path)
	s.watches.Add(-1)
	dir.watchers[s] = slices.DeleteFunc(dir.watchers[s], func(p string) bool { return p == path })
	if len(dir.watchers[s]) == 0 {
		delete(dir.watchers, s)
	}
	if len(dir.watchers) == 0 {
		w.drop(dir)
		w.inotify.remove(dir.wd)
	}
	return true
}

// drop takes a directory out of the table; w.mu is held.
func (w *watcher) drop(dir *watched) {
	delete(w.byWD, dir.wd)
	if w.byID[dir.id] == dir {
		delete(w.byID, dir.id)
	}
}

// watchAgain is for a session that may have missed the end of a directory.
func (w *watcher) watchAgain(s *session) {
	w.mu.Lock()
	paths := w.paths(s)
	w.mu.Unlock()
	for _, path := range paths {
		if s.life.Err() != nil {
			return
		}
		if err := w.watch(s, path); err != nil {
			w.log.Debug("watch ended", "path", path, "err", err)
		}
	}
}

// close ends all watches.
func (w *watcher) close() error {
	w.mu.Lock()
	err := w.stop()
	w.mu.Unlock()
	w.reader.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.inotify != nil {
		err = errors.Join(err, w.inotify.close())
		w.inotify = nil
	}
	return err
}

// stop makes run return; w.mu is held.
func (w *watcher) stop() error {
	if w.closed {
		return nil
	}
	w.closed = true
	close(w.ended)
	if w.inotify == nil {
		return nil
	}
	return w.inotify.end()
}

// tell tells all who watch a directory but one, or nil; w.mu is held.
func (w *watcher) tell(dir *watched, name string, but *session) {
	for s, paths := range dir.watchers {
		if s == but {
			continue
		}
		for _, path := range paths {
			s.tellChanged(path, name)
		}
	}
}

// overflow tells that events were lost, marks among them, and the ends of directories; w.mu is
// held.
func (w *watcher) overflow() {
	w.log.Warn("too many changes to be told one by one")
	w.passed = 0
	if err := w.inotify.watchMarks(); err != nil {
		w.log.Warn("sessions are told of their own changes, too", "err", err)
	}
	for _, dir := range w.byWD {
		dir.own = nil
	}
	for s := range w.sessions {
		s.tellLost()
	}
}

// end tells that a directory is not watched any longer; w.mu is held.
func (w *watcher) end(dir *watched) {
	for s, paths := range maps.Clone(dir.watchers) {
		for _, path := range slices.Clone(paths) {
			w.remove(s, path)
			s.tellGone(path)
		}
	}
}

// endBeneath ends the watches beneath the path that a directory had; w.mu is held.
func (w *watcher) endBeneath(dir *watched) {
	for s, paths := range dir.watchers {
		for _, path := range w.paths(s) {
			if slices.ContainsFunc(paths, func(above string) bool { return isBelow(path, above) }) {
				w.remove(s, path)
				s.tellGone(path)
			}
		}
	}
}

// endAll is for when there are no events any longer.
func (w *watcher) endAll() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, dir := range maps.Clone(w.byWD) {
		w.end(dir)
	}
	return w.stop()
}
