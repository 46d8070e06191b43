package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/protocol"
)

// newServer returns a server without a listener, for the peers of a bubble.
func newServer(t *testing.T, o Options) *Server {
	t.Helper()
	o.Jail, o.Token = t.TempDir(), token
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.jail.stagings.linger = 0
	t.Cleanup(func() { s.Close() })
	return s
}

// peer is the far end of a connection with a server in the same bubble.
type peer struct {
	net.Conn
	began time.Time
}

func connect(t *testing.T, s *Server, ip string) *peer {
	near, far := from(t, ip)
	s.startLink(near)
	return &peer{far, time.Now()}
}

// property is one of a READY's metadata.
func property(name, value string) string {
	size := binary.BigEndian.AppendUint32(nil, uint32(len(value)))
	return string(byte(len(name))) + name + string(size) + value
}

// hello is the whole handshake of a DEALER with an identity, unencrypted.
func hello(identity string) string {
	greeting := "\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03\x00NULL" + strings.Repeat("\x00", 48)
	ready := "\x05READY" + property("Socket-Type", "DEALER") + property("Identity", identity)
	return greeting + "\x04" + string(byte(len(ready))) + ready
}

// authenticate returns the command that answers the peer's handshake, and how long after
// the connection the server began to send. It returns "" where the server hung up.
func (p *peer) authenticate(identity string) (answer string, after time.Duration) {
	go io.WriteString(p, hello(identity))
	var head [64 + 2]byte // a greeting, and the header of a command
	if _, err := io.ReadFull(p, head[:1]); err != nil {
		return "", time.Since(p.began)
	}
	after = time.Since(p.began)
	if _, err := io.ReadFull(p, head[1:]); err != nil {
		return "", after
	}
	body := make([]byte, head[65])
	if _, err := io.ReadFull(p, body); err != nil {
		return "", after
	}
	synctest.Wait() // until the server has seen the end of the handshake
	return string(body), after
}

// mustEnter authenticates with the token, and must be answered after exactly so long.
func (p *peer) mustEnter(t *testing.T, want time.Duration) {
	t.Helper()
	if answer, after := p.authenticate(token); !strings.HasPrefix(answer, "\x05READY") || after != want {
		t.Errorf("answer %q after %v, want READY after %v", answer, after, want)
	}
}

// guess fails n times from ip.
func guess(t *testing.T, s *Server, ip string, n int) {
	t.Helper()
	for range n {
		if answer, _ := connect(t, s, ip).authenticate("a guess"); answer != "\x05ERROR\x0dtoken refused" {
			t.Fatalf("answer %q to a guess", answer)
		}
	}
}

// awaitEnd returns how long after the connection the server closed it, having sent
// nothing if it was to send nothing.
func (p *peer) awaitEnd(t *testing.T, silent bool) time.Duration {
	t.Helper()
	if sent, err := io.ReadAll(p); err != nil || silent && len(sent) > 0 {
		t.Errorf("the server sent %q, error %v", sent, err)
	}
	return time.Since(p.began)
}

func TestSilentStrangersOnSockets(t *testing.T) {
	s := serve(t, Options{})
	near := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	dial := func() net.Conn {
		nc, err := near.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	for range 300 {
		dial()
	}
	conn, err := handshake(dial())
	if err != nil {
		t.Fatalf("a client with the address of the strangers: %v", err)
	}
	for _, c := range []*client{{t: t, conn: conn}, s.dial()} {
		c.list("/")
	}
}

func TestSessionsBeyondTheBoundAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		s.gate = newGate(protocol.MaxUnauthenticated, 3)
		var mu sync.Mutex
		var inside []*peer
		var all sync.WaitGroup
		for range 20 {
			p := connect(t, s, "192.0.2.1")
			go io.WriteString(p, hello(token))
			all.Go(func() {
				answer, _ := io.ReadAll(io.LimitReader(p, 64+2+6))
				if bytes.Contains(answer, []byte("READY")) {
					mu.Lock()
					inside = append(inside, p)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if len(inside) != 3 {
			t.Errorf("%d of 20 that came at once were admitted, want 3", len(inside))
		}
		answer, after := connect(t, s, "192.0.2.1").authenticate(token)
		if answer != "\x05ERROR\x20in use: all 3 sessions are taken" || after != 0 {
			t.Errorf("one more gets the answer %q after %v", answer, after)
		}
		inside[0].Close()
		synctest.Wait()
		connect(t, s, "192.0.2.1").mustEnter(t, 0)
	})
}

func TestRefusedClientsOfAnExclusiveServerTakeNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{Exclusive: true})
		s.gate = newGate(protocol.MaxUnauthenticated, 2)
		first := connect(t, s, "192.0.2.1")
		first.mustEnter(t, 0)
		for range 20 {
			if answer, _ := connect(t, s, "192.0.2.1").authenticate(token); !strings.Contains(answer, "in use: held by") {
				t.Errorf("answer %q", answer)
			}
		}
		first.Close()
		synctest.Wait()
		connect(t, s, "192.0.2.1").mustEnter(t, 0)
	})
}

func TestWrongTokensGetSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		var last time.Duration
		for n := range 40 {
			answer, after := connect(t, s, "192.0.2.1").authenticate("a guess")
			if answer != "\x05ERROR\x0dtoken refused" {
				t.Fatalf("answer %q", answer)
			}
			free := n <= protocol.FreeFailures
			if free && after != 0 || !free && after == 0 || after < last || after > protocol.MaxDelay {
				t.Errorf("guess %d is answered after %v, the one before after %v", n, after, last)
			}
			last = after
		}
		if last != protocol.MaxDelay {
			t.Errorf("the last guess is answered after %v", last)
		}
		connect(t, s, "192.0.2.2").mustEnter(t, 0)
		connect(t, s, "192.0.2.1").mustEnter(t, protocol.MaxDelay)
		time.Sleep(time.Duration(maxFailures-protocol.FreeFailures) * protocol.ForgiveTime)
		connect(t, s, "192.0.2.1").mustEnter(t, 0)
	})
}

func TestDelayCountsAsHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		guess(t, s, "192.0.2.1", 30)
		if after := connect(t, s, "192.0.2.1").awaitEnd(t, false); after != protocol.HandshakeTimeout {
			t.Errorf("a silent connection is closed after %v, want %v", after, protocol.HandshakeTimeout)
		}
	})
}

func TestDelayEndsWithItsConnection(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s *Server){
		"Close": func(t *testing.T, s *Server) { s.Close() },
		"Shutdown": func(t *testing.T, s *Server) {
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		},
		"another": func(t *testing.T, s *Server) {
			for range protocol.MaxUnauthenticated {
				connect(t, s, "192.0.2.1")
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, Options{})
			guess(t, s, "192.0.2.1", 30)
			waiting := connect(t, s, "192.0.2.1")
			synctest.Wait()
			began := time.Now()
			end(t, s)
			if after := waiting.awaitEnd(t, true); after != 0 || time.Since(began) != 0 {
				t.Errorf("%s: the connection ends after %v, all after %v", name, after, time.Since(began))
			}
		})
	}
}

func TestConnectionsOfAClosedServerAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		s.Close()
		if after := connect(t, s, "192.0.2.1").awaitEnd(t, true); after != 0 || s.gate.strangers.count != 0 {
			t.Errorf("a connection is closed after %v, %d are counted", after, s.gate.strangers.count)
		}
	})
}

// TestHangingUpIsNoFailure: neither is what nobody can guess a token with.
func TestHangingUpIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		whole := hello("a guess")
		http := "GET / HTTP/1.1\r\n\r\n" + whole
		for range 10 {
			for _, sent := range []string{"", whole[:1], whole[:64], whole[:80], http, whole[:64] + "\x04\x01x"} {
				p := connect(t, s, "192.0.2.1")
				go io.Copy(io.Discard, p)
				// The server may close before all is written.
				io.WriteString(p, sent)
				p.Close()
			}
		}
		synctest.Wait()
		connect(t, s, "192.0.2.1").mustEnter(t, 0)
	})
}

func TestRefusalsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncBuffer
		s := newServer(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		log.b.Reset() // the token of the tests is weak
		guess(t, s, "192.0.2.1", 100)
		connect(t, s, "192.0.2.1")
		s.Close()
		text := log.b.String()
		if n := strings.Count(text, "level=WARN"); n != protocol.FreeFailures+1 || strings.Count(text, "\n") != n {
			t.Errorf("the log is not %d warnings:\n%s", protocol.FreeFailures+1, text)
		}
		if !strings.Contains(text, `msg="handshake refused" session=8 peer=192.0.2.1:1 err="token refused"`) ||
			!strings.Contains(text, `is delayed" session=9 peer=192.0.2.1:1 err="token refused"`) {
			t.Errorf("the log does not tell who is refused, and from when on it costs time:\n%s", text)
		}
	})
}
