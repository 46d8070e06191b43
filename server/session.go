package server

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/compression"
	"github.com/remofile/remofile/protocol/zmtp"
)

const (
	sessionIDSize     = 16
	sessionSecretSize = 32
)

// errTakenOver ends a link whose session another one has, or that has ended.
var errTakenOver = errors.New("the session is no longer this connection's")

// session is one peer in Remofile 2. It outlives its links: one that is lost can be
// replaced until the grace time is over.
type session struct {
	server *Server
	id     string // 16 bytes
	secret string // 32 bytes
	since  time.Time
	tenant *tenant // on an exclusive server, else nil
	// resumable: the client will take it over where a link is lost.
	resumable bool
	codec     *compression.Codec // nil: the client takes no compressed payloads
	log       *slog.Logger
	life      context.Context
	cancel    context.CancelFunc // of life
	tasks     sync.WaitGroup     // the goroutines of requests, and of notices
	turn      chan struct{}      // holds an element while the answer to a READ is compressed and sent
	watches   atomic.Int64       // how many there are
	freed     sync.Once

	mu       sync.Mutex // guards what follows; taken after server.mu, and no other lock under it
	changed  *sync.Cond // on mu: a task has gone, or the session has changed hands
	news     *sync.Cond // on mu: there are notices, or the peer is ready for them, or the session has ended
	conn     *zmtp.Conn // of the link that has the session, nil while there is none
	ready    bool       // the peer of conn has the answer to its ATTACH
	peer     string     // address of the newest link
	lost     time.Time  // when the last link was
	expiry   *time.Timer
	ended    bool
	handles  map[remofile2.Handle]*handle
	underWay map[uint64]*task
	load     load   // of the tasks that are not executed yet
	held     load   // of all tasks
	lastID   uint64 // the greatest so far
	answers  answers
	notices  notices // that were not sent yet
}

// load is what tasks take of a session.
type load struct {
	requests int
	bytes    int64
}

func (l *load) add(requests int, bytes int64) {
	l.requests += requests
	l.bytes += bytes
}

// fits reports whether one more task stays within the limits, or times as much.
func (l *load) fits(bytes, times int64) bool {
	return int64(l.requests) < times*remofile2.MaxRequests && l.bytes+bytes <= times*remofile2.MaxBytes
}

// attach takes a session over for the first request of a link, or begins one.
func (s *Server) attach(l *link, conn *zmtp.Conn, r *remofile2.Request) (sess *session, resumed bool, err error) {
	s.mu.Lock()
	sess = s.sessions[r.Session]
	s.mu.Unlock()
	if sess != nil && subtle.ConstantTimeCompare([]byte(sess.secret), []byte(r.Secret)) == 1 && sess.takeOver(l, conn) {
		return sess, true, nil
	}
	place, err := s.admitAlone(l)
	if err != nil {
		return nil, false, err
	}
	sess = newSession(s, l, conn, place)
	sess.resumable = slices.Contains(r.Features, remofile2.FeatureResume)
	if slices.Contains(r.Features, remofile2.FeatureZstd) {
		sess.codec = s.codec
	}
	displaced, err := s.register(sess)
	if err != nil {
		s.vacate(place)
		return nil, false, err
	}
	if displaced != nil {
		displaced.log.Warn("too many sessions, the one that lost its connection first is ended")
		displaced.close()
	}
	return sess, false, nil
}

// register enters a session into the table. If that is full, the one that has been without
// a connection for the longest time leaves it, and is to be closed.
func (s *Server) register(sess *session) (displaced *session, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, ErrClosed
	}
	if len(s.sessions) >= s.gate.maxSessions {
		if displaced = s.longestLost(); displaced == nil {
			return nil, code(remofile2.CodeBusy)
		}
		delete(s.sessions, displaced.id)
	}
	s.sessions[sess.id] = sess
	return displaced, nil
}

// longestLost returns the session that has been without a connection for the longest time,
// or nil; s.mu is held.
func (s *Server) longestLost() (longest *session) {
	var since time.Time
	for _, sess := range s.sessions {
		lost, ok := sess.lostSince()
		if ok && (longest == nil || lost.Before(since)) {
			longest, since = sess, lost
		}
	}
	return longest
}

// forget removes an ended session from the table.
func (s *Server) forget(sess *session) {
	s.vacate(sess.tenant)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess.id)
}

func newSession(s *Server, l *link, conn *zmtp.Conn, place *tenant) *session {
	random := make([]byte, sessionIDSize+sessionSecretSize)
	rand.Read(random)
	life, cancel := context.WithCancel(context.Background())
	sess := &session{
		server:   s,
		id:       string(random[:sessionIDSize]),
		secret:   string(random[sessionIDSize:]),
		since:    l.since,
		tenant:   place,
		log:      l.log,
		life:     life,
		cancel:   cancel,
		turn:     make(chan struct{}, 1),
		conn:     conn,
		peer:     l.peer,
		handles:  make(map[remofile2.Handle]*handle),
		underWay: make(map[uint64]*task),
		answers:  newAnswers(),
	}
	sess.changed = sync.NewCond(&sess.mu)
	sess.news = sync.NewCond(&sess.mu)
	return sess
}

// features returns those that both sides have.
func (s *session) features() (both []string) {
	if s.resumable {
		both = append(both, remofile2.FeatureResume)
	}
	if s.codec != nil {
		both = append(both, remofile2.FeatureZstd)
	}
	return both
}

// takeOver gives the session to another link, which is to be told before it gets any
// answers. It is too late for that when the session has ended.
func (s *session) takeOver(l *link, conn *zmtp.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.expiry != nil && !s.expiry.Stop() {
		return false
	}
	if s.conn != nil {
		s.conn.Close()
	}
	s.conn, s.peer, s.ready, s.expiry = conn, l.peer, false, nil
	s.changed.Broadcast()
	return true
}

// attached tells that the peer of conn has the answer to its ATTACH: other answers, and notices,
// may follow, if the session still is its link's. Of the notices on links before, nobody knows
// which have arrived.
func (s *session) attached(conn *zmtp.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == conn {
		s.ready = true
		if s.watches.Load() > 0 {
			s.notices.addAll()
		}
		s.news.Signal()
	}
}

// detach tells that a link has ended. If it had the session, that waits for another one
// until the grace time is over.
func (s *session) detach(conn *zmtp.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != conn {
		return
	}
	s.conn, s.ready, s.lost = nil, false, time.Now()
	if !s.ended {
		s.expiry = time.AfterFunc(s.grace(), s.close)
	}
	s.changed.Broadcast()
}

// grace returns how long the session waits for another link.
func (s *session) grace() time.Duration {
	if s.resumable {
		return s.server.options.Grace
	}
	return 0
}

// lostSince returns since when the session has no connection; ok is false if it has one.
func (s *session) lostSince() (since time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost, s.conn == nil
}

// close ends the session: requests under way are cancelled and waited for, and what
// it holds is freed. It may be called more than once.
func (s *session) close() {
	s.cancel()
	s.drain()
}

// drain ends the session when the requests under way are done; none begins any longer.
func (s *session) drain() {
	s.mu.Lock()
	s.ended = true
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.changed.Broadcast()
	s.news.Signal()
	s.mu.Unlock()
	s.tasks.Wait()
	s.freed.Do(s.free)
}

// free gives back what an ended session holds, when no task is left.
func (s *session) free() {
	s.cancel()
	s.server.watcher.leave(s)
	s.server.listings.end(s)
	for _, h := range s.handles {
		if err := h.close(false); err != nil {
			s.log.Error("closing a file failed", "err", err)
		}
	}
	s.server.jail.stagings.removeUnused()
	s.server.forget(s)
	s.log.Info("session freed", "dur", time.Since(s.since))
}

// alive implements holder.
func (s *session) alive(ctx context.Context) bool {
	conn := s.connection()
	if conn == nil || conn.Alive(ctx) {
		return conn != nil
	}
	now := s.connection()
	return now != nil && now != conn // it was taken over
}

func (s *session) connection() *zmtp.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

// address returns the peer's.
func (s *session) address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer
}
