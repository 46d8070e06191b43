package zmtp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp/curve"
)

// listen accepts one connection at a time and returns what the server's
// handshake made of it.
func listen(t testing.TB, cfg *Config) (address string, accepted <-chan acceptance) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ch := make(chan acceptance, 1)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c, err := Server(nc, cfg)
			ch <- acceptance{c, err}
		}
	}()
	return l.Addr().String(), ch
}

type acceptance struct {
	conn *Conn
	err  error
}

func dial(ctx context.Context, address string, cfg *Config) (*Conn, error) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return Client(ctx, nc, cfg)
}

// pair returns both ends of an authenticated connection.
func pair(t testing.TB, client, server *Config) (c, s *Conn) {
	t.Helper()
	address, accepted := listen(t, server)
	c, err := dial(context.Background(), address, client)
	if err != nil {
		t.Fatal(err)
	}
	a := <-accepted
	if a.err != nil {
		t.Fatal(a.err)
	}
	t.Cleanup(func() { c.Close(); a.conn.Close() })
	return c, a.conn
}

// config returns the configuration of both sides: what differs between them is the
// key, which configs sets.
func config() *Config { return &Config{Token: "secret", Version: 1, MaxMessage: 1 << 20} }

// configs returns the configurations of a client and a server.
func configs(t testing.TB, plain bool) (client, server *Config) {
	t.Helper()
	client, server = config(), config()
	client.Plain, server.Plain = plain, plain
	if plain {
		return client, server
	}
	var err error
	if client.Key, server.Key, err = curve.GenerateKeys(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// bothWays runs a test on plain connections and on encrypted ones.
func bothWays(t *testing.T, test func(t *testing.T, client, server *Config)) {
	for name, plain := range map[string]bool{"plain": true, "encrypted": false} {
		t.Run(name, func(t *testing.T) {
			client, server := configs(t, plain)
			test(t, client, server)
		})
	}
}

func TestHandshakeTellsTheVersions(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		client.Version = 3
		c, s := pair(t, client, server)
		if c.PeerVersion() != 1 || s.PeerVersion() != 3 {
			t.Errorf("versions of the peers: %d and %d, want 1 and 3", c.PeerVersion(), s.PeerVersion())
		}
	})
}

func TestWrongTokenIsToldAtOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		address, accepted := listen(t, server)
		for _, token := range []string{"Secret", "secret ", "s", strings.Repeat("x", 255)} {
			cfg := *client
			cfg.Token = token
			_, err := dial(context.Background(), address, &cfg)
			var refused *RefusedError
			if !errors.As(err, &refused) || refused.Reason != reasonToken {
				t.Errorf("token %q: client's error %v", token, err)
			}
			if a := <-accepted; !errors.As(a.err, &refused) {
				t.Errorf("token %q: server's error %v", token, a.err)
			}
		}
	})
}

// TestUnknownSocketTypesAreRefused has either side get a READY of a socket that there is
// not, or can't be here.
func TestUnknownSocketTypesAreRefused(t *testing.T) {
	for _, socketType := range []string{"", "\x0bSocket-Type\x00\x00\x00\x00", "\x0bSocket-Type\x00\x00\x00\x04WHAT",
		"\x0bSocket-Type\x00\x00\x00\x03PUB", "\x0bSocket-Type\x00\x00\x00\x06DEALER\x0bSocket-Type\x00\x00\x00\x03REQ"} {
		client, server := configs(t, true)
		properties := socketType + "\x08Identity\x00\x00\x00\x06secret"
		ready := append(greeting(MechanismNull), append([]byte{flagCommand, byte(6 + len(properties))}, "\x05READY"+properties...)...)
		if _, err := Server(newWire(ready), server); err == nil {
			t.Errorf("a server takes a client with the properties %q", properties)
		}
		if _, err := Client(context.Background(), newWire(ready), client); err == nil {
			t.Errorf("a client takes a server with the properties %q", properties)
		}
	}
}

// TestErrorOfAClientIsNoRefusal: what a stranger says is no word of the server's.
func TestErrorOfAClientIsNoRefusal(t *testing.T) {
	_, server := configs(t, true)
	address, accepted := listen(t, server)
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.Write(append(greeting(MechanismNull), "\x04\x0d\x05ERROR\x06in use"...))
	a := <-accepted
	if _, refused := errors.AsType[*RefusedError](a.err); a.err == nil || refused {
		t.Errorf("error %v", a.err)
	}
}

func TestAdmitRefusesWithItsReason(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		server.Admit = func(net.Addr) error { return errors.New("the lighthouse keeper") }
		address, _ := listen(t, server)
		_, err := dial(context.Background(), address, client)
		var refused *RefusedError
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if by, ok := refused.InUse(); !ok || by != "the lighthouse keeper" {
			t.Errorf("in use by %q, %v", by, ok)
		}
	})
}

func TestMessagesOfAllSizesBothWays(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		c, s := pair(t, client, server)
		for _, size := range []int{0, 1, 255, 256, 8192, copyLimit - 3, copyLimit, 300_000, 1 << 20} {
			body := bytes.Repeat([]byte{byte(size), 7}, size/2+1)[:size]
			for _, way := range []struct{ from, to *Conn }{{c, s}, {s, c}} {
				sent := make(chan error, 1)
				go func() { sent <- way.from.WriteMessage(nil, body) }()
				frames, err := way.to.ReadMessage()
				if err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
				if len(frames) != 2 || len(frames[0]) != 0 || !bytes.Equal(frames[1], body) {
					t.Fatalf("%d bytes: another message arrived", size)
				}
			}
		}
	})
}

func TestMessageOverTheLimitIsRefused(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		c, s := pair(t, client, server)
		go c.WriteMessage(make([]byte, 1<<19), make([]byte, 1<<19), []byte{1})
		if _, err := s.ReadMessage(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("error %v, want %v", err, ErrTooLarge)
		}
	})
}

func TestAnnouncedLengthIsNotAllocated(t *testing.T) {
	client, server := configs(t, true)
	for _, header := range []string{
		"\x02\x40\x00\x00\x00\x00\x00\x00\x00", "\x02\xff\xff\xff\xff\xff\xff\xff\xff",
		"\x06\x00\x00\x00\x10\x00\x00\x00\x00", "\x08\x00", "\x05\x05\x04PING",
	} {
		c, s := pair(t, client, server)
		if _, err := c.stream.Write([]byte(header)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadMessage(); err == nil || err == io.EOF {
			t.Errorf("header %x: error %v", header, err)
		}
	}
}

func TestTooManyFramesAreRefused(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		c, s := pair(t, client, server)
		go c.stream.Write(bytes.Repeat([]byte{flagMore, 0}, protocol.MaxFrames+1))
		if _, err := s.ReadMessage(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("error %v, want %v", err, ErrTooLarge)
		}
	})
}

func TestPingIsAnsweredWithItsContext(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		c, s := pair(t, client, server)
		go s.ReadMessage()
		if err := c.writeCommand("PING", []byte("\x00\x00context")); err != nil {
			t.Fatal(err)
		}
		name, body, err := c.readCommand()
		if err != nil || name != "PONG" || string(body) != "context" {
			t.Errorf("%s %q, error %v", name, body, err)
		}
	})
}

// TestAliveUntilTheEnd: a PONG is waited for, and the end of the connection.
func TestAliveUntilTheEnd(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		c, s := pair(t, client, server)
		go s.ReadMessage()
		silent, cancel := context.WithCancel(t.Context())
		cancel()
		if !s.Alive(silent) {
			t.Error("a silent connection has ended")
		}
		go c.ReadMessage()
		if !s.Alive(t.Context()) {
			t.Error("an answering connection has ended")
		}
		c, s = pair(t, client, server)
		go s.ReadMessage()
		go c.Close()
		for s.Alive(silent) {
			time.Sleep(time.Millisecond)
		}
		if s.Alive(t.Context()) {
			t.Error("it goes on after its end")
		}
	})
}

func TestEndOfTheConnectionIsEOF(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		c, s := pair(t, client, server)
		c.Close()
		if _, err := s.ReadMessage(); err != io.EOF {
			t.Errorf("error %v, want EOF", err)
		}
		c, s = pair(t, client, server)
		c.stream.Write([]byte{flagMore, 0, 0})
		c.Close()
		if _, err := s.ReadMessage(); err != io.ErrUnexpectedEOF {
			t.Errorf("error %v, want unexpected EOF", err)
		}
	})
}

func TestInterruptEndsReadingOnly(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		c, s := pair(t, client, server)
		s.SetReadTimeout(time.Hour)
		ended := make(chan error)
		go func() {
			_, err := s.ReadMessage()
			ended <- err
		}()
		s.Interrupt()
		if err := <-ended; err != ErrInterrupted {
			t.Errorf("error %v, want %v", err, ErrInterrupted)
		}
		if err := s.WriteMessage([]byte("goodbye")); err != nil {
			t.Fatal(err)
		}
		if frames, err := c.ReadMessage(); err != nil || string(frames[0]) != "goodbye" {
			t.Errorf("%q, error %v", frames, err)
		}
	})
}

func TestSilenceEndsReading(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		c, _ := pair(t, client, server)
		c.SetReadTimeout(time.Millisecond)
		_, err := c.ReadMessage()
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("error %v, want a timeout", err)
		}
	})
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			defer nc.Close()
			io.ReadFull(nc, make([]byte, 64)) // the client's greeting; no answer
			cancel()
			nc.Read(make([]byte, 1))
		}()
		if _, err := dial(ctx, l.Addr().String(), client); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
	})
}

func TestMetadataIsParsedStrictly(t *testing.T) {
	good := "\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x02ab\x0aX-REMOFILE\x00\x00\x00\x011"
	m, err := parseMetadata([]byte(good))
	if err != nil || m["socket-type"] != "REQ" || m["identity"] != "ab" || remofileVersion(m) != 1 {
		t.Errorf("%q, error %v", m, err)
	}
	for n := 1; n < len(good); n++ {
		m, err := parseMetadata([]byte(good[:n]))
		if err == nil && len(m) == 3 {
			t.Errorf("prefix of %d bytes is taken for the whole", n)
		}
	}
	for _, bad := range []string{
		"\x01a", "\x03ab", "\x00\x00\x00\x00\x00", "\x01a\xff\xff\xff\xff",
		"\x01a\x00\x00\x00\x00\x01A\x00\x00\x00\x00", "\x01\x00\x00\x00\x00\x00", "\x02\xc3\xa9\x00\x00\x00\x00",
	} {
		if m, err := parseMetadata([]byte(bad)); err == nil {
			t.Errorf("%q is accepted as %q", bad, m)
		}
	}
}

// TestDeadPeersAreWatchedFor holds what the kernel was told.
func TestDeadPeersAreWatchedFor(t *testing.T) {
	client, server := configs(t, true)
	c, s := pair(t, client, server)
	for _, conn := range []*Conn{c, s} {
		raw, err := conn.link.Conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			for option, want := range map[int]int{unix.TCP_USER_TIMEOUT: 15_000, unix.TCP_KEEPIDLE: 5, unix.TCP_KEEPINTVL: 5} {
				if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); err != nil || got != want {
					t.Errorf("option %d is %d, error %v, want %d", option, got, err, want)
				}
			}
		})
	}
}

// TestMessagesThatShareAWriteArriveWhole has many goroutines write at the same time, each in
// its own way.
func TestMessagesThatShareAWriteArriveWhole(t *testing.T) {
	bothWays(t, func(t *testing.T, client, server *Config) {
		c, s := pair(t, client, server)
		const writers, each = 8, 50
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					size := 10 * i
					if i == each/2 {
						size = 2 * copyLimit
					}
					send := c.WriteShared
					if w == 0 {
						send = c.BufferMessage
					}
					if err := send([]byte{byte(w)}, bytes.Repeat([]byte{byte(w)}, size)); err != nil {
						t.Error(err)
					}
				}
				if w == 0 {
					if err := c.Flush(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		var arrived [writers]int
		for range writers * each {
			frames, err := s.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			w := frames[0][0]
			size := 10 * arrived[w]
			if arrived[w] == each/2 {
				size = 2 * copyLimit
			}
			if len(frames) != 2 || !bytes.Equal(frames[1], bytes.Repeat([]byte{w}, size)) {
				t.Fatalf("message %d of writer %d arrived in pieces, or not in order", arrived[w], w)
			}
			arrived[w]++
		}
		all.Wait()
	})
}
