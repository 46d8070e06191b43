package server

import (
	"cmp"
	"maps"
	"slices"

	"github.com/remofile/remofile/protocol/remofile2"
)

// info is what the server tells of itself.
func (s *Server) info() remofile2.Info {
	return remofile2.Info{
		Version:       s.options.Version,
		Protocol:      version,
		ReadOnly:      s.options.ReadOnly,
		Exclusive:     s.options.Exclusive,
		PortableNames: s.options.PortableNames,
		FileSizeLimit: uint64(s.growthLimit),
		Requests:      remofile2.MaxRequests,
		Bytes:         remofile2.MaxBytes,
		Payload:       remofile2.MaxPayload,
		Handles:       remofile2.MaxHandles,
		Watches:       remofile2.MaxWatches,
		Grace:         uint64(s.options.Grace.Seconds()),
	}
}

// status is what goes on, in the order in which the sessions began.
func (s *Server) status() remofile2.Status {
	st := remofile2.Status{Started: remofile2.Time(s.started.UnixNano()), Staged: uint64(s.uploads.total())}
	s.mu.Lock()
	sessions := slices.Collect(maps.Values(s.sessions))
	for l := range s.links1 {
		st.Sessions = append(st.Sessions, remofile2.Peer{Peer: l.peer, Since: remofile2.Time(l.since.UnixNano())})
	}
	if s.holder != nil {
		st.Holder = s.holder.peer
	}
	s.mu.Unlock()
	for _, sess := range sessions {
		st.Sessions = append(st.Sessions, sess.describe())
	}
	slices.SortFunc(st.Sessions, func(a, b remofile2.Peer) int { return cmp.Compare(a.Since, b.Since) })
	return st
}

func (s *session) describe() remofile2.Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return remofile2.Peer{
		Peer:     s.peer,
		Since:    remofile2.Time(s.since.UnixNano()),
		Requests: uint64(len(s.underWay)),
		Handles:  uint64(len(s.handles)),
		Watches:  uint64(s.watches.Load()),
	}
}
