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
	server  *Server
	nc      net.Conn
	conn    *zmtp.Conn // nil before the end of the handshake; guarded by server.mu
	id      uint64
	peer    string
	source  netip.Addr // of the peer, see sourceOf
	version int        // the highest protocol that the peer speaks, 0 for a foreign one
	since   time.Time
	tenant  *tenant // in Remofile 1, its place on an exclusive server
	life    context.Context
	end     context.CancelFunc // of life: the connection is cut
	log     *slog.Logger
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
	err = l.serve(conn)
	attrs := []any{"dur", time.Since(l.since)}
	if !errors.Is(err, io.EOF) && !errors.Is(err, zmtp.ErrInterrupted) && !errors.Is(err, errGoodbye) {
		attrs = append(attrs, "err", err)
	}
	l.log.Info("session ends", attrs...)
}

// serve serves the authenticated connection. Its first message tells which protocol
// the peer speaks: in Remofile 1 the first frame is empty.
func (l *link) serve(conn *zmtp.Conn) error {
	first, err := conn.ReadMessage()
	if err != nil {
		return err
	}
	if len(first[0]) > 0 {
		return l.serve2(conn, first)
	}
	if err := l.hold(); err != nil {
		return err
	}
	l.server.list1(l)
	s := &session1{link: l}
	return s.serve(conn, first)
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
	cfg.Announced = func(version int) { l.version = version }
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

// admit takes l, whose peer knows the token, for a client. The error tells the peer
// why that can't be. A peer that can speak Remofile 2 is asked for its session before
// an exclusive server turns it away: it may be the holder.
func (s *Server) admit(l *link) error {
	if err := s.gate.admit(l); err != nil || l.version >= 2 {
		return err
	}
	return l.hold()
}

// hold makes l, which speaks Remofile 1, the one client of an exclusive server.
func (l *link) hold() (err error) {
	if l.tenant == nil {
		l.tenant, err = l.server.admitAlone(l)
	}
	return err
}

// establish gives l its connection, unless the server stops.
func (s *Server) establish(l *link, conn *zmtp.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.conn = conn
	return !s.closing
}

// address implements holder.
func (l *link) address() string { return l.peer }

// alive implements holder.
func (l *link) alive(ctx context.Context) bool {
	l.server.mu.Lock()
	conn := l.conn
	l.server.mu.Unlock()
	return conn == nil || conn.Alive(ctx)
}

// list1 enters l into the list of those that speak Remofile 1.
func (s *Server) list1(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links1[l] = struct{}{}
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
