// Package server serves one directory, the jail, to the clients that know its
// token, in Remofile 1. It needs Linux.
//
// Each connection is a session with a goroutine and at most one transfer. An upload
// is written to a hidden directory of the jail, which exists only as long as there
// are uploads, and appears under its name in one rename when it is complete.
// Sessions share nothing but those directories and the table of the uploads under
// way.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

// ErrClosed is what Serve returns after Shutdown or Close.
var ErrClosed = errors.New("server closed")

// Server serves one jail. All methods may be called from several goroutines.
type Server struct {
	options Options // complete
	zmtp    zmtp.Config
	log     *slog.Logger
	jail    *jail
	uploads *uploads
	gate    *gate
	closed  chan struct{} // closed by the first Shutdown or Close

	longListings chan struct{} // holds one for each under way

	running sync.WaitGroup // the goroutines of links
	lastID  atomic.Uint64  // of a link

	mu        sync.Mutex // guards what follows
	closing   bool
	listeners map[*net.Listener]struct{}
	links     map[*link]struct{} // in the handshake, too
	holder    *link              // the one client of an exclusive server, or nil
}

// New checks the options, opens the jail and removes from it what a killed server
// left there. Close frees the jail.
func New(o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	key, err := o.key()
	if err != nil {
		return nil, err
	}
	j, err := openJail(o.Jail, o.Logger)
	if err != nil {
		return nil, err
	}
	if !o.ReadOnly {
		j.sweep()
	}
	return &Server{
		options: o,
		zmtp: zmtp.Config{
			Token:   o.Token,
			Key:     key,
			Plain:   o.PrivateKey == "" && !o.EncryptedOnly,
			Version: 1,
			// A chunk that is longer than agreed is to be answered, not
			// to end the session.
			MaxMessage: max(protocol.MinMessageChunk, o.MaxChunkSize) + protocol.MaxOverhead,
		},
		log:     o.Logger,
		jail:    j,
		uploads: newUploads(j, o.StagingLimit),
		gate:    newGate(protocol.MaxUnauthenticated, protocol.MaxSessions),
		closed:  make(chan struct{}),

		longListings: make(chan struct{}, maxLongListings),
		listeners:    make(map[*net.Listener]struct{}),
		links:        make(map[*link]struct{}),
	}, nil
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

// Shutdown stops: no new connections, the request under way of each session is
// answered, transfers are cancelled. When ctx ends first, connections are cut, and
// its error is returned. All sessions have ended when Shutdown returns: what it may
// wait for without ctx is a call of the file system.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop((*link).interrupt)
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = ctx.Err()
		s.stop((*link).cut)
		<-ended
	}
	return errors.Join(err, s.jail.close())
}

// Close stops at once: connections are cut, transfers cancelled. All sessions have
// ended when it returns.
func (s *Server) Close() error {
	s.stop((*link).cut)
	s.running.Wait()
	return s.jail.close()
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
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
	if s.holder == l {
		s.holder = nil
	}
	close(l.ended)
}
