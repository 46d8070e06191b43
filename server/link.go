package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

// link is one connection, from its handshake to its end. All but conn belongs to the
// goroutine of run.
type link struct {
	server *Server
	nc     net.Conn
	conn   *zmtp.Conn // nil before the end of the handshake; guarded by server.mu
	id     uint64
	peer   string
	source netip.Addr // of the peer, see sourceOf
	since  time.Time
	ended  chan struct{} // closed when the server has forgotten it
	life   context.Context
	end    context.CancelFunc // of life: the connection is cut
	log    *slog.Logger
}

func newLink(s *Server, nc net.Conn, id uint64) *link {
	peer := nc.RemoteAddr().String()
	life, end := context.WithCancel(context.Background())
	return &link{
		server: s,
		nc:     nc,
		id:     id,
		peer:   peer,
		source: sourceOf(nc.RemoteAddr()),
		since:  time.Now(),
		ended:  make(chan struct{}),
		life:   life,
		end:    end,
		log:    s.log.With("session", id, "peer", peer),
	}
}

// run serves the connection, which has entered the gate, until it ends, and frees
// what the session held.
func (l *link) run() {
	defer l.end()
	defer l.survive()
	defer l.server.gate.leave(l)
	conn, err := l.handshake()
	if err != nil {
		l.turnedAway(err)
		return
	}
	defer conn.Close()
	l.log.Info("session begins")
	s := &session1{link: l}
	err = s.serve(conn)
	attrs := []any{"dur", time.Since(l.since)}
	if !errors.Is(err, io.EOF) && !errors.Is(err, zmtp.ErrInterrupted) {
		attrs = append(attrs, "err", err)
	}
	l.log.Info("session ends", attrs...)
}

// survive makes a fault of ours that one session meets the end of that session, not
// of the server.
func (l *link) survive() {
	if fault := recover(); fault != nil {
		l.nc.Close()
		l.log.Error("session panicked", "err", fmt.Sprintf("%v\n%s", fault, debug.Stack()))
	}
}

// handshake authenticates the peer, after the delay that the failures of its address
// have earned it.
func (l *link) handshake() (*zmtp.Conn, error) {
	delay := l.server.gate.delay(l.source)
	if err := l.sleep(delay); err != nil {
		return nil, err
	}
	cfg := l.server.zmtp
	cfg.HandshakeTimeout = protocol.HandshakeTimeout - delay
	cfg.Known = func() { l.server.gate.know(l) }
	cfg.Admit = func(net.Addr) error { return l.server.admit(l) }
	conn, err := zmtp.Server(l.nc, &cfg)
	if err == nil && !l.server.establish(l, conn) {
		conn.Close()
		return nil, ErrClosed
	}
	return conn, err
}

// sleep waits for d. That the connection was cut meanwhile is an error.
func (l *link) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.life.Done():
		return l.life.Err()
	}
}

// turnedAway logs why the handshake failed. A wrong token or key has consequences for
// the peer's address; that the server is in use, or the link lost, has none.
func (l *link) turnedAway(err error) {
	refused, ok := errors.AsType[*zmtp.RefusedError](err)
	if errors.Is(err, zmtp.ErrPeerPlain) {
		l.server.gate.logPlain(l)
	} else if !ok {
		l.log.Debug("handshake failed", "err", err)
	} else if _, inUse := refused.InUse(); inUse {
		l.log.Info("session refused", "err", err)
	} else {
		l.server.gate.fail(l, err)
	}
}

// admitTime is how long a client of an exclusive server waits for the one before
// it, which may have hung up without the server having noticed yet.
const admitTime = 250 * time.Millisecond

// admit takes l, whose peer knows the token, for a client. The error tells the peer
// why that can't be.
func (s *Server) admit(l *link) error {
	if err := s.gate.admit(l); err != nil || !s.options.Exclusive {
		return err
	}
	return s.admitAlone(l)
}

// admitAlone makes l the one client of an exclusive server. The error tells the
// peer who is that already.
func (s *Server) admitAlone(l *link) error {
	patience := time.NewTimer(admitTime)
	defer patience.Stop()
	for {
		holder := s.hold(l)
		if holder == l {
			return nil
		}
		select {
		case <-holder.ended:
		case <-patience.C:
			return fmt.Errorf("held by %s since %s", holder.peer, holder.since.Format(time.DateTime))
		}
	}
}

// hold makes l the one client, unless there is one, and returns which it is.
func (s *Server) hold(l *link) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holder == nil {
		s.holder = l
	}
	return s.holder
}

// establish gives l its connection, unless the server stops.
func (s *Server) establish(l *link, conn *zmtp.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.conn = conn
	return !s.closing
}

// interrupt ends the session after the request under way; server.mu is held.
func (l *link) interrupt() {
	if l.conn == nil {
		l.cut()
		return
	}
	l.conn.Interrupt()
}

// cut ends the session at once.
func (l *link) cut() {
	l.end()
	l.nc.Close()
}
