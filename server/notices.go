package server

import (
	"maps"
	"slices"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
)

// noticePause is how long notices are collected after others were sent.
const noticePause = 5 * time.Millisecond

// notices are what a session is to be told: they are merged, and bounded, as long as it does not
// read.
type notices struct {
	changed map[string]map[string]struct{} // names by directory; a nil map is any
	size    int                            // bytes of the names
	gone    map[string]struct{}            // directories
	all     bool                           // anything may have changed
	lost    bool                           // directories may have ended, too
}

func (n *notices) empty() bool { return !n.all && len(n.changed) == 0 && len(n.gone) == 0 }

// add is for a name in a directory; "" is any.
func (n *notices) add(directory, name string) {
	if n.all {
		return
	}
	if n.changed == nil {
		n.changed = make(map[string]map[string]struct{})
	}
	names, known := n.changed[directory]
	switch {
	case known && names == nil:
		return
	case name == "" || len(names) == remofile2.MaxToldNames:
		n.forget(directory)
		n.changed[directory] = nil
		return
	case !known:
		names = make(map[string]struct{})
		n.changed[directory] = names
	}
	if _, known := names[name]; known {
		return
	}
	names[name] = struct{}{}
	if n.size += len(name); n.size > remofile2.MaxToldBytes {
		n.addAll()
	}
}

func (n *notices) addAll() { n.changed, n.size, n.all = nil, 0, true }

func (n *notices) addGone(directory string) {
	n.forget(directory)
	if n.gone == nil {
		n.gone = make(map[string]struct{})
	}
	n.gone[directory] = struct{}{}
}

func (n *notices) forget(directory string) {
	for name := range n.changed[directory] {
		n.size -= len(name)
	}
	delete(n.changed, directory)
}

// messages returns the notices, encoded one by one.
func (n *notices) messages(yield func(header []byte) bool) {
	send := func(notice remofile2.Notice) bool { return yield(remofile2.AppendNotice(nil, &notice)) }
	for directory := range n.gone {
		if !send(remofile2.Notice{Event: remofile2.EventGone, Directory: directory}) {
			return
		}
	}
	if n.all && !send(remofile2.Notice{Event: remofile2.EventChanged, Directory: "/"}) {
		return
	}
	for directory, names := range n.changed {
		if !send(remofile2.Notice{Event: remofile2.EventChanged, Directory: directory, Names: slices.Collect(maps.Keys(names))}) {
			return
		}
	}
}

// What a session is to be told. None of this waits.

func (s *session) tellChanged(directory, name string) {
	s.note(func(n *notices) { n.add(directory, name) })
}

func (s *session) tellGone(directory string) {
	s.note(func(n *notices) { n.addGone(directory) })
}

// tellLost is for a session that may have missed anything.
func (s *session) tellLost() {
	s.note(func(n *notices) {
		n.addAll()
		n.lost = true
	})
}

func (s *session) note(add func(*notices)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.notices)
	s.news.Signal()
}

// tell sends notices until the session ends, which waits for it. That a link was lost while it
// did is told by that the session was taken over.
func (s *session) tell() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		conn, n := s.nextNotices()
		if conn == nil {
			return
		}
		if n.lost {
			s.server.watcher.watchAgain(s)
		}
		for header := range n.messages {
			if conn.WriteMessage(header) != nil {
				break
			}
		}
		pause.Reset(noticePause)
		select {
		case <-pause.C:
		case <-s.life.Done():
		}
	}
}

// nextNotices waits for notices, and for a link that may have them. Nil is the end of the
// session.
func (s *session) nextNotices() (*zmtp.Conn, notices) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended && (!s.ready || s.notices.empty()) {
		s.news.Wait()
	}
	if s.ended {
		return nil, notices{}
	}
	n := s.notices
	s.notices = notices{}
	return s.conn, n
}
