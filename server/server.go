// Package server serves one directory, the jail, to the clients that know its
// token, in Remofile 1 and 2. It needs Linux.
//
// Each connection is a link with a goroutine, which reads. In Remofile 1 the link is the
// session, with at most one transfer; in Remofile 2 the session outlives its links, and
// each of its requests has a goroutine of its own, which answers. An upload is written to
// a hidden directory of the jail, which exists only as long as there are uploads or parts
// to be resumed, and a moment longer, and appears under its name in one rename when it is complete. Sessions
// share nothing but those directories, the table of the uploads, the memory of payloads and the
// watched directories.
//
// Who watches directories is told of changes that inotify(7) reports, by whomever they are made.
// It does not report what is changed through mmap before the file is closed, through a hard link
// elsewhere, or by other machines on a network's file system.
package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/remofile2/compression"
	"github.com/remofile/remofile/protocol/zmtp"
)

// version is the highest protocol that is served.
const version = 2

// ErrClosed is what Serve returns after Shutdown or Close.
var ErrClosed = errors.New("server closed")

// Server serves one jail. All methods may be called from several goroutines.
type Server struct {
	options  Options // complete
	zmtp     zmtp.Config
	log      *slog.Logger
	jail     *jail
	watcher  *watcher
	listings *listings
	uploads  *uploads
	gate     *gate
	closed   chan struct{} // closed by the first Shutdown or Close

	longListings chan struct{} // holds one for each under way
	buffers      buffers       // of payloads
	work         work          // of Remofile 2
	codec        *compression.Codec
	growthLimit  int64 // bytes that a file may have in Remofile 2; 0 is no limit
	maxHandles   int64 // of all sessions together
	started      time.Time

	handles atomic.Int64   // that are open
	running sync.WaitGroup // the goroutines of links
	sweeper sync.WaitGroup // the one of sweepKept
	lastID  atomic.Uint64  // of a link

	mu        sync.Mutex // guards what follows
	closing   bool
	listeners map[*net.Listener]struct{}
	links     map[*link]struct{}  // in the handshake, too
	sessions  map[string]*session // of Remofile 2, by id
	links1    map[*link]struct{}  // of links, those that speak Remofile 1
	holder    *tenant             // the one client of an exclusive server, or nil
}

// New checks the options, opens the jail and removes from it what a killed server
// left there, but for parts that can be resumed. Close frees the jail.
func New(o Options) (*Server, error) {
	growthLimit := o.FileSizeLimit
	if err := o.complete(); err != nil {
		return nil, err
	}
	key, err := o.key()
	if err != nil {
		return nil, err
	}
	codec, err := compression.NewCodec()
	if err != nil {
		return nil, err
	}
	j, err := openJail(o.Jail, o.Logger)
	if err != nil {
		return nil, err
	}
	s := &Server{
		options: o,
		zmtp: zmtp.Config{
			Token:   o.Token,
			Key:     key,
			Plain:   o.PrivateKey == "" && !o.EncryptedOnly,
			Version: version,

			Processors: new(zmtp.Processors),
			// A chunk that is longer than agreed is to be answered, not
			// to end the session. In Remofile 2 a payload comes with a
			// header of some bytes, a long header without payload.
			MaxMessage: max(protocol.MinMessageChunk, o.MaxChunkSize) + protocol.MaxOverhead,
		},
		log:      o.Logger,
		jail:     j,
		watcher:  newWatcher(j),
		listings: newListings(),
		uploads:  newUploads(j, o.StagingLimit),
		gate:     newGate(protocol.MaxUnauthenticated, protocol.MaxSessions),
		closed:   make(chan struct{}),

		codec:        codec,
		longListings: make(chan struct{}, maxLongListings),
		listeners:    make(map[*net.Listener]struct{}),
		links:        make(map[*link]struct{}),
		links1:       make(map[*link]struct{}),
		sessions:     make(map[string]*session),
		work:         newWork(),
		growthLimit:  growthLimit,
		maxHandles:   maxHandles(),
		started:      time.Now(),
	}
	if !o.ReadOnly {
		s.uploads.adopt(j.sweep())
		s.sweeper.Go(s.sweepKept)
	}
	return s, nil
}

// ListenAndServe listens on a TCP address and calls Serve.
func (s *Server) ListenAndServe(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// Serve accepts connections of l until Shutdown or Close, and then returns
// ErrClosed. It closes l. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.addListener(&l) {
		return ErrClosed
	}
	defer s.removeListener(&l)
	var pause time.Duration
	var failures warnings
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			s.startLink(nc)
			continue
		}
		select {
		case <-s.closed:
			return ErrClosed
		default:
		}
		if !temporary(err) {
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.log.Log(context.Background(), failures.level(), "accept failed", "err", err, "dur", pause)
		select {
		case <-s.closed:
			return ErrClosed
		case <-time.After(pause):
		}
	}
}

// temporary reports whether accept can succeed later, when others have freed
// descriptors or memory.
func temporary(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED:
		return true
	}
	return false
}

// Shutdown stops: no new connections, the requests under way of each session are
// answered, transfers are cancelled. All sessions have ended when it returns, those without
// a connection, too.
//
// When ctx ends first, connections are cut, and its error is returned. A call of the file
// system that hangs can't be ended: it is not waited for longer than stuckTime then. Its
// session ends, and the jail is freed, when it returns.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop((*link).interrupt)
	ended := make(chan error, 1)
	go func() { ended <- s.end() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.stop((*link).cut)
	select {
	case err := <-ended:
		return errors.Join(ctx.Err(), err)
	case <-time.After(stuckTime):
		return errors.Join(ctx.Err(), errStuck)
	}
}

// stuckTime is what sessions have to end in when their connections have been cut.
const stuckTime = time.Second

var errStuck = errors.New("a call of the file system does not return")

// Close stops at once: connections are cut, transfers cancelled. All sessions have
// ended when it returns: it waits for calls of the file system.
func (s *Server) Close() error {
	s.stop((*link).cut)
	return s.end()
}

// end waits for the end of all that has been stopped.
func (s *Server) end() error {
	s.running.Wait()
	s.endSessions()
	s.sweeper.Wait()
	return errors.Join(s.watcher.close(), s.jail.close())
}

// endSessions ends those that have lost their links.
func (s *Server) endSessions() {
	s.mu.Lock()
	sessions := slices.Collect(maps.Values(s.sessions))
	s.mu.Unlock()
	for _, sess := range sessions {
		sess.close()
	}
}

// stop ends the listeners, and each session by end.
func (s *Server) stop(end func(*link)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.closing = true
		close(s.closed)
	}
	for l := range s.listeners {
		(*l).Close()
	}
	for l := range s.links {
		end(l)
	}
}

func (s *Server) addListener(l *net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.listeners[l] = struct{}{}
	}
	return !s.closing
}

func (s *Server) removeListener(l *net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// startLink starts the goroutine of a connection. It ends with the connection,
// and Shutdown and Close wait for it.
func (s *Server) startLink(nc net.Conn) {
	l := newLink(s, nc, s.lastID.Add(1))
	s.gate.enter(l)
	if !s.addLink(l) {
		s.gate.leave(l)
		l.cut()
	}
}

func (s *Server) addLink(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.links[l] = struct{}{}
	s.running.Go(func() {
		defer s.removeLink(l)
		l.run()
	})
	return true
}

func (s *Server) removeLink(l *link) {
	s.vacate(l.tenant)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
	delete(s.links1, l)
}
