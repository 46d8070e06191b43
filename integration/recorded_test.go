package integration

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// middleman listens where clients expect the server, and records what he hears and says.
type middleman struct {
	address string
	running sync.WaitGroup // the goroutine of each connection

	mu    sync.Mutex      // guards heard, for as long as there are connections
	heard []*lockedBuffer // on one connection after the other
	said  lockedBuffer
}

// startMiddleman starts one who plays his part with each client, until the end of the
// test.
func startMiddleman(t *testing.T, play func(client recordedConn)) *middleman {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &middleman{address: l.Addr().String()}
	stopped := make(chan struct{})
	go func() { // ends with the listener
		defer close(stopped)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			client := m.record(nc)
			m.running.Go(func() {
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(patience)) // play then fails
				play(client)
			})
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-stopped
		m.running.Wait()
	})
	return m
}

// record returns the recorded connection with a client.
func (m *middleman) record(nc net.Conn) recordedConn {
	m.mu.Lock()
	defer m.mu.Unlock()
	client := recordedConn{Conn: nc, heard: new(lockedBuffer), said: &m.said, before: len(m.heard)}
	m.heard = append(m.heard, client.heard)
	return client
}

// allHeard returns what he heard on each connection. All have ended then.
func (m *middleman) allHeard() (heard []string) {
	m.running.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.heard {
		heard = append(heard, h.String())
	}
	return heard
}

type recordedConn struct {
	net.Conn
	heard, said *lockedBuffer
	before      int // how many connections he had before
}

// Read implements net.Conn.
func (c recordedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.heard.Write(p[:n])
	return n, err
}

// Write implements net.Conn.
func (c recordedConn) Write(p []byte) (int, error) {
	c.said.Write(p)
	return c.Conn.Write(p)
}

// relay returns the part of one who passes on what he hears, or something else instead.
func relay(t *testing.T, server string, forward, back func(b []byte) []byte) func(client recordedConn) {
	return func(client recordedConn) {
		nc, err := net.Dial("tcp", server)
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		var answers sync.WaitGroup
		answers.Go(func() {
			io.Copy(&rewriter{Conn: client, rewrite: func(_ int, b []byte) []byte { return back(b) }}, nc)
			client.Close()
		})
		io.Copy(&rewriter{Conn: nc, rewrite: func(_ int, b []byte) []byte { return forward(b) }}, client)
		nc.Close()
		answers.Wait()
	}
}

func asItIs(b []byte) []byte { return b }

// holdsPiece reports whether a piece of the secret, of 8 bytes, is in a recording.
func holdsPiece(recording, secret string) bool {
	const piece = 8
	for i := range len(secret) - piece + 1 {
		if strings.Contains(recording, secret[i:i+piece]) {
			return true
		}
	}
	return false
}

// TestTheTokenTravelsInClearOnlyIfPlain records the library and rmf.
func TestTheTokenTravelsInClearOnlyIfPlain(t *testing.T) {
	rmf := filepath.Join(buildRmf(t), "rmf")
	local := filepath.Join(t.TempDir(), "uploaded by rmf")
	write(t, local, "what rmf uploads")
	for _, e := range encryptions(t) {
		t.Run(e.name, func(t *testing.T) {
			_, address := startServer(t, server.Options{Token: e.token, PrivateKey: e.private, EncryptedOnly: !e.plain})
			m := startMiddleman(t, relay(t, address, asItIs, asItIs))
			c := dial(t, remote.Options{Address: m.address, Token: e.token, PublicKey: e.public, Plain: e.plain})
			if err := useServer(t.Context(), c, "/uploaded by the library", 5000); err != nil {
				t.Fatal(err)
			}
			c.Close()
			upload := exec.Command(rmf, "upload", local)
			upload.Env = append(os.Environ(), "REMOFILE_TOKEN="+e.token, "REMOFILE_PUBLIC_KEY="+e.public, "REMOFILE_PLAIN=")
			if e.plain {
				upload.Env = append(upload.Env, "REMOFILE_PLAIN=1")
			}
			host, port, err := net.SplitHostPort(m.address)
			if err != nil {
				t.Fatal(err)
			}
			upload.Env = append(upload.Env, "REMOFILE_HOSTNAME="+host, "REMOFILE_PORT="+port)
			if out, err := upload.CombinedOutput(); err != nil {
				t.Fatalf("rmf: %v: %s", err, out)
			}
			recording := strings.Join(m.allHeard(), "") + m.said.String()
			if got := holdsPiece(recording, e.token); got != e.plain {
				t.Errorf("a piece of the token was recorded: %v, want %v", got, e.plain)
			}
			for _, what := range []string{"uploaded by the library", "0123456789", "uploaded by rmf", "what rmf uploads"} {
				if got := strings.Contains(recording, what); got != e.plain {
					t.Errorf("%q was recorded: %v, want %v", what, got, e.plain)
				}
			}
		})
	}
}

// errorCommand is the frame of a refusal.
func errorCommand(reason string) []byte {
	return frame{flagCommand, []byte("\x05ERROR" + string(byte(len(reason))) + reason)}.bytes()
}

// What a client that encrypts sends before it knows whom it speaks to: its greeting and
// HELLO (RFC 26/ZeroMQ). One that was hung up on then asks for the server's mechanism with
// the beginning of a greeting, of signature and version, on another connection.
const (
	introduction = greetingSize + 2 + 200
	question     = 12
)

// impostor returns the part of one who does not know the token: what he answers to a
// client's introduction, and to its question. He hangs up then, or waits for more.
func impostor(toIntroduction, toQuestion []byte, waits bool) func(client recordedConn) {
	return func(client recordedConn) {
		size, answer := int64(introduction), toIntroduction
		if client.before > 0 {
			size, answer = question, toQuestion
		}
		io.CopyN(io.Discard, client, size)
		client.Write(answer)
		if waits {
			io.Copy(io.Discard, client)
		}
	}
}

// TestAManInTheMiddleGetsNothing has clients that encrypt meet one who does not know the
// token. They must give up without having told him more than who they want to speak to.
func TestAManInTheMiddleGetsNothing(t *testing.T) {
	_, address := startServer(t, server.Options{})
	public, _, err := server.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	curveGreeting, nullGreeting := greetingOf(encrypted), greetingOf(null)
	signature := nullGreeting[:10]
	ready := frame{flagCommand, []byte("\x05READY" + property("Socket-Type", "ROUTER"))}.bytes()
	welcome := frame{flagCommand, append([]byte("\x07WELCOME"), random(160)...)}.bytes()
	toNull := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(encrypted), []byte(null+"\x00")) }
	toCurve := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(null+"\x00"), []byte(encrypted)) }
	for _, test := range []struct {
		name              string
		play              func(client recordedConn)
		want, wantWithKey remote.Code
	}{
		{"offers NULL", impostor(nullGreeting, nil, true), remote.NotEncrypted, remote.NotEncrypted},
		{"offers NULL and goes on", impostor(slices.Concat(nullGreeting, ready), nil, true), remote.NotEncrypted, remote.NotEncrypted},
		{"offers PLAIN", impostor(greetingOf("PLAIN"), nil, true), remote.NotEncrypted, remote.NotEncrypted},
		{"refuses with NULL", impostor(slices.Concat(nullGreeting, errorCommand("token refused")), nil, true),
			remote.NotEncrypted, remote.NotEncrypted},
		{"hangs up, then offers NULL", impostor(signature, nullGreeting, false), remote.NotEncrypted, remote.NotEncrypted},
		{"hangs up, then offers NULL and goes on", impostor(signature, slices.Concat(nullGreeting, ready), false),
			remote.NotEncrypted, remote.NotEncrypted},
		{"hangs up, then offers CURVE", impostor(signature, curveGreeting, false), remote.Denied, remote.WrongKey},
		{"hangs up twice", impostor(signature, nil, false), remote.Unreachable, remote.Unreachable},
		{"hangs up after the greeting", impostor(curveGreeting, nil, false), remote.Unreachable, remote.Unreachable},
		{"refuses the token", impostor(slices.Concat(curveGreeting, errorCommand("token refused")), nil, true), remote.Denied, remote.Denied},
		{"refuses the key", impostor(slices.Concat(curveGreeting, errorCommand("key refused")), nil, true), remote.Denied, remote.WrongKey},
		{"makes up a WELCOME", impostor(slices.Concat(curveGreeting, welcome), nil, true), remote.Unreachable, remote.Unreachable},
		{"tells the server NULL", relay(t, address, toNull, asItIs), remote.NotEncrypted, remote.NotEncrypted},
		{"tells both what they want", relay(t, address, toNull, toCurve), remote.Unreachable, remote.Unreachable},
	} {
		for key, want := range map[string]remote.Code{"": test.want, public: test.wantWithKey} {
			m := startMiddleman(t, test.play)
			_, err := remote.Dial(t.Context(), remote.Options{Address: m.address, Token: token, PublicKey: key, Timeout: patience})
			if !errors.Is(err, want) {
				t.Errorf("%s, public key %q: error %v, want %v", test.name, key, err, want)
			}
			gotNothing(t, test.name, m.allHeard())
		}
	}
}

// gotNothing fails the test unless a middleman has heard an introduction, and no more than
// a question on another connection.
func gotNothing(t *testing.T, name string, heard []string) {
	t.Helper()
	if len(heard) == 0 || len(heard) > 2 || len(heard[0]) != introduction || !strings.HasPrefix(heard[0][question:], encrypted) {
		t.Errorf("%s: he heard %q", name, heard)
	}
	if len(heard) == 2 && len(heard[1]) != question {
		t.Errorf("%s: he heard on another connection %q", name, heard[1])
	}
	if all := strings.Join(heard, ""); holdsPiece(all, token) {
		t.Errorf("%s: he heard of the token: %q", name, all)
	}
}

// TestWrongSecretsAreRefused has clients whose token, key or mechanism is not the server's.
func TestWrongSecretsAreRefused(t *testing.T) {
	public, private, err := server.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	anotherPublic, _, err := server.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	derived := server.Options{}
	encryptedOnly := server.Options{EncryptedOnly: true}
	withKey := server.Options{PrivateKey: private}
	const anotherToken = "ppppppppppppppppppppp2"
	for _, test := range []struct {
		name   string
		server server.Options
		client remote.Options
		want   error
	}{
		{"a client with the token", derived, remote.Options{}, nil},
		{"a plain client with the token", derived, remote.Options{Plain: true}, nil},
		{"a wrong token", derived, remote.Options{Token: anotherToken}, remote.Denied},
		{"a wrong weak token", derived, remote.Options{Token: "password"}, remote.Denied},
		{"a wrong token in clear", derived, remote.Options{Token: anotherToken, Plain: true}, remote.Denied},
		{"a key where none is configured", derived, remote.Options{PublicKey: public}, remote.WrongKey},

		{"a client with the token, encrypted only", encryptedOnly, remote.Options{}, nil},
		{"a plain client, encrypted only", encryptedOnly, remote.Options{Plain: true}, remote.EncryptedOnly},
		{"a wrong token, encrypted only", encryptedOnly, remote.Options{Token: anotherToken}, remote.Denied},

		{"a client with key and token", withKey, remote.Options{PublicKey: public}, nil},
		{"a wrong key", withKey, remote.Options{PublicKey: anotherPublic}, remote.WrongKey},
		{"no key", withKey, remote.Options{}, remote.Denied},
		{"a plain client of a server with a key", withKey, remote.Options{Plain: true}, remote.EncryptedOnly},
		{"the key and a wrong token", withKey, remote.Options{PublicKey: public, Token: anotherToken}, remote.Denied},
	} {
		_, address := startServer(t, test.server)
		o := test.client
		o.Address, o.Token, o.Timeout = address, cmp.Or(o.Token, token), patience
		c, err := remote.Dial(t.Context(), o)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		if err == nil {
			c.Close()
		}
	}
}
