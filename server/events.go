package server

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// eventPause is how long events are collected after others were read: what a session does to a file causes several, and
// each would wake the reader. The queue holds what is done in that time.
const eventPause = 5 * time.Millisecond

// run reads events until close. It waits for nothing but events, w.mu, and in hides for the file
// system.
func (w *watcher) run() {
	buf := make([]byte, 256<<10)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-w.ended:
			return
		}
		events, err := w.inotify.next(buf)
		if err != nil {
			w.fail(err)
			return
		}
		pause.Reset(eventPause)
		for i := range events {
			w.handle(&events[i])
		}
	}
}

// fail is for when events can't be read, if that is not for the end.
func (w *watcher) fail(err error) {
	select {
	case <-w.ended:
	default:
		w.log.Error("changes can't be watched any longer", "err", errors.Join(err, w.endAll()))
	}
}

// handle tells the sessions of an event.
func (w *watcher) handle(e *event) {
	if w.hides(e) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	dir := w.byWD[e.wd]
	switch {
	case e.mask&unix.IN_Q_OVERFLOW != 0:
		w.overflow()
	case w.inotify.isMark(e):
		w.passed++
	case dir == nil:
	case e.mask&endEvents != 0:
		if e.mask&unix.IN_MOVE_SELF != 0 {
			w.endBeneath(dir)
		}
		w.end(dir)
	case e.name == "": // its own attributes are an entry of its parent's
	default:
		w.tell(dir, e.name, w.author(dir, e))
	}
}

// hides reports whether an event is about a staging directory: one that is no longer there can't
// be told from a user's of that name. It asks the file system, which may hang: w.mu is not held.
func (w *watcher) hides(e *event) bool {
	if e.mask&unix.IN_ISDIR == 0 || !isStagingName(e.name) {
		return false
	}
	t, err := w.jail.find(w.pathOf(e.wd), e.name)
	if err != nil {
		return true
	}
	defer t.close()
	return !t.exists()
}

// pathOf returns one of the paths by which a directory is watched, "/" where it no longer is.
func (w *watcher) pathOf(wd int32) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if dir := w.byWD[wd]; dir != nil {
		for _, paths := range dir.watchers {
			return paths[0]
		}
	}
	return "/"
}
