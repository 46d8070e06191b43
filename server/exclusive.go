package server

import (
	"fmt"
	"time"
)

// tenant is the one client of an exclusive server: a link in Remofile 1, a session, also
// without a link, in Remofile 2.
type tenant struct {
	peer  string
	since time.Time
	left  chan struct{} // closed when it has gone
}

// admitTime is how long a client of an exclusive server waits for the one before
// it, which may have hung up without the server having noticed yet.
const admitTime = 250 * time.Millisecond

// admitAlone makes the peer of l the one client where the server is exclusive, and is nil
// elsewhere. Who is that already the error tells the peer.
func (s *Server) admitAlone(l *link) (*tenant, error) {
	if !s.options.Exclusive {
		return nil, nil
	}
	patience := time.NewTimer(admitTime)
	defer patience.Stop()
	place := &tenant{peer: l.peer, since: l.since, left: make(chan struct{})}
	for {
		holder := s.hold(place)
		if holder == place {
			return place, nil
		}
		select {
		case <-holder.left:
		case <-patience.C:
			return nil, inUse(fmt.Sprintf("held by %s since %s", holder.peer, holder.since.Format(time.DateTime)))
		}
	}
}

// hold gives the server to t, unless it has a holder, and returns that.
func (s *Server) hold(t *tenant) *tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holder == nil {
		s.holder = t
	}
	return s.holder
}

// vacate takes the server from its holder t; nil is none.
func (s *Server) vacate(t *tenant) {
	if t == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holder = nil
	close(t.left)
}
