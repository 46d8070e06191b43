package curve

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
)

// curveGreeting is what a peer with the right mechanism sends first.
var curveGreeting = greeting("CURVE", 0)

func TestUpperSidesReadWhatTheOtherOneWrote(t *testing.T) {
	near, far := memPair()
	established(t, near, far, 1000) // compares
}

func TestZmq4TalksThroughBothSides(t *testing.T) {
	near, far := memPair()
	client, server := configs(t, 1<<20)
	opened := make(chan *zmq4.Conn, 1)
	go func() {
		s, err := zmq4.Open(Server(far, server), null.Security(), zmq4.Router, nil, true, nil)
		if err != nil {
			t.Error(err)
			far.Close()
		}
		opened <- s
	}()
	c, err := zmq4.Open(Client(near, client), null.Security(), zmq4.Dealer, zmq4.SocketIdentity("secret"), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := <-opened
	if s.Peer.Meta["Identity"] != "secret" || c.Peer.Meta["Socket-Type"] != "ROUTER" {
		t.Errorf("metadata %v at the server, %v at the client", s.Peer.Meta, c.Peer.Meta)
	}
	for _, way := range []struct{ from, to *zmq4.Conn }{{c, s}, {s, c}} {
		sent := zmq4.NewMsgFrom(nil, []byte("small"), bytes.Repeat([]byte("large"), 20000))
		if err := way.from.SendMsg(sent); err != nil {
			t.Fatal(err)
		}
		got, err := way.to.RecvMsg()
		if err != nil || len(got.Frames) != 3 || !bytes.Equal(bytes.Join(got.Frames, nil), bytes.Join(sent.Frames, nil)) {
			t.Errorf("%d frames arrived, error %v", len(got.Frames), err)
		}
	}
}

func TestHelloLeavesWithTheGreeting(t *testing.T) {
	client, _ := configs(t, 0)
	p := wire(nil)
	c := Client(p, client)
	for _, part := range [][]byte{plainGreeting[:10], plainGreeting[10:63]} {
		if _, err := c.Write(part); err != nil || len(p.received) > 0 {
			t.Fatalf("%d bytes left before the greeting was complete, error %v", len(p.received), err)
		}
	}
	if _, err := c.Write(plainGreeting[63:]); err != nil {
		t.Fatal(err)
	}
	if got, want := len(p.received), greetingSize+shortHeader+helloSize; got != want {
		t.Errorf("%d bytes left, want %d", got, want)
	}
}

func TestTransientSecretsAreForgotten(t *testing.T) {
	near, far := memPair()
	ofClient, ofServer := configs(t, 0)
	c, s := Client(near, ofClient), Server(far, ofServer)
	of := c.handshake.(*client)
	by := s.handshake.(*server)
	served := make(chan error, 1)
	go func() { served <- shakeHands(s) }()
	if err := errors.Join(shakeHands(c), <-served); err != nil {
		t.Fatal(err)
	}
	if of.private != (Key{}) || by.private != (Key{}) || c.handshake != nil || s.handshake != nil {
		t.Error("the sides keep what the key of the connection was made of")
	}
}

// mechanisms are greetings of peers that don't speak CURVE.
var mechanisms = map[string][]byte{
	"NULL":                 greeting("NULL", 0),
	"PLAIN":                greeting("PLAIN", 1),
	"none":                 greeting("", 0),
	"a longer name":        greeting("CURVES", 0),
	"more behind the name": greeting("CURVE\x00S", 0),
}

func TestOtherMechanismEndsAClientThatHasSaidNothing(t *testing.T) {
	for name, sent := range mechanisms {
		client, _ := configs(t, 0)
		p := wire(sent)
		c := Client(p, client)
		if _, err := c.Write(plainGreeting); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrMechanism) {
			t.Errorf("%s: reading fails with %v, want %v", name, err, ErrMechanism)
		}
		if _, err := c.Write(readyFrame); !errors.Is(err, ErrMechanism) {
			t.Errorf("%s: writing READY fails with %v, want %v", name, err, ErrMechanism)
		}
		if got, want := len(p.received), greetingSize+shortHeader+helloSize; got != want {
			t.Errorf("%s: %d bytes left, want the %d of greeting and HELLO", name, got, want)
		}
	}
}

func TestOtherMechanismEndsAServer(t *testing.T) {
	for name, sent := range mechanisms {
		_, server := configs(t, 0)
		if _, err := Server(wire(sent), server).Read(make([]byte, 1)); !errors.Is(err, ErrMechanism) {
			t.Errorf("%s: error %v, want %v", name, err, ErrMechanism)
		}
	}
}

// edited returns b with one byte set.
func edited(b []byte, at int, to byte) []byte {
	b = bytes.Clone(b)
	b[at] = to
	return b
}

func TestGreetingOfNoZMTP3IsAnError(t *testing.T) {
	for name, sent := range map[string][]byte{
		"signature begins otherwise": edited(curveGreeting, 0, 0xfe),
		"signature ends otherwise":   edited(curveGreeting, 9, 0x7e),
		"ZMTP 2":                     edited(curveGreeting, 10, 2),
		"HTTP":                       []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
	} {
		_, server := configs(t, 0)
		if _, err := Server(wire(sent), server).Read(make([]byte, 1)); !errors.Is(err, errGreeting) {
			t.Errorf("%s: error %v, want %v", name, err, errGreeting)
		}
	}
}

func TestGreetingMayDifferWhereItSaysNothing(t *testing.T) {
	for name, sent := range map[string][]byte{
		"padding of the signature": edited(curveGreeting, 8, 1), // libzmq's
		"a later version":          edited(curveGreeting, 10, 4),
		"a later minor version":    edited(curveGreeting, 11, 1),
		"as-server":                edited(curveGreeting, mechanismEnd, 1),
		"filler":                   edited(curveGreeting, 63, 1),
	} {
		_, server := configs(t, 0)
		got := make([]byte, greetingSize)
		if _, err := io.ReadFull(Server(wire(sent), server), got); err != nil || !bytes.Equal(got, plainGreeting) {
			t.Errorf("%s: read %q, error %v", name, got, err)
		}
	}
}

func TestWrongServerKeyIsToldToBothSides(t *testing.T) {
	near, far := memPair()
	client, _ := configs(t, 0)
	_, server := configs(t, 0)
	c, s := Client(near, client), Server(far, server)
	mustWrite(t, c, plainGreeting)
	mustWrite(t, s, plainGreeting)
	mustRead(t, s, plainGreeting)
	for range 2 {
		if _, err := s.Read(make([]byte, 1)); err != ErrKey {
			t.Errorf("the server's error is %v, want %v", err, ErrKey)
		}
	}
	if _, err := s.Write(readyFrame); err != ErrKey {
		t.Errorf("READY of a server that must refuse: error %v, want %v", err, ErrKey)
	}
	mustWrite(t, s, errorFrame)
	mustRead(t, c, plainGreeting)
	mustWrite(t, c, readyFrame)
	mustRead(t, c, errorFrame)
	isRefused(t, c)
}

// isRefused tests that a client that has read an ERROR is at its end.
func isRefused(t *testing.T, c *Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after ERROR %d bytes can be read, error %v, want EOF", n, err)
	}
	if _, err := c.Write(readyFrame); err != errRefused {
		t.Errorf("after ERROR writing fails with %v, want %v", err, errRefused)
	}
}

func mustWrite(t *testing.T, c *Conn, b []byte) {
	t.Helper()
	if n, err := c.Write(b); n != len(b) || err != nil {
		t.Fatalf("%d bytes of %q written, error %v", n, b, err)
	}
}

func mustRead(t *testing.T, c *Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %q, error %v, want %q", got, err, want)
	}
}

func TestServersErrorLeavesInClear(t *testing.T) {
	for name, read := range map[string][]byte{
		"before anything was read": nil,
		"after the greeting":       plainGreeting,
		"after READY":              append(bytes.Clone(plainGreeting), readyFrame...),
	} {
		near, far := memPair()
		client, server := configs(t, 0)
		c, s := Client(near, client), Server(far, server)
		mustWrite(t, s, plainGreeting)
		said := make(chan error, 1)
		go func() {
			_, err := c.Write(append(bytes.Clone(plainGreeting), readyFrame...))
			said <- err
		}()
		mustRead(t, s, read)
		mustWrite(t, s, errorFrame)
		if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%s: the server reads %d bytes after its ERROR, error %v", name, n, err)
		}
		for _, frame := range [][]byte{errorFrame, readyFrame} {
			if _, err := s.Write(frame); err == nil {
				t.Errorf("%s: the server can go on after its ERROR", name)
			}
		}
		if err := <-said; err != nil {
			t.Errorf("%s: READY of a client that is refused: %v", name, err)
		}
		mustRead(t, c, append(bytes.Clone(plainGreeting), errorFrame...))
		isRefused(t, c)
	}
}

func TestUpperSideMayReadBeforeItsGreeting(t *testing.T) {
	near, far := memPair()
	client, server := configs(t, 0)
	c, s := Client(near, client), Server(far, server)
	mustWrite(t, c, plainGreeting)
	mustRead(t, s, plainGreeting)
	mustWrite(t, s, plainGreeting)
	mustRead(t, c, plainGreeting)
}

func TestWhatIsOutOfTurnIsAnError(t *testing.T) {
	message := append(appendHeader(nil, 0, 2), "hi"...)
	for name, test := range map[string]struct {
		written []byte
		want    error
	}{
		"a message before READY":    {message, errCommand},
		"another command":           {commandFrame([]byte("\x04PING\x00\x00")), errCommand},
		"READY that is no command":  {edited(readyFrame, 0, 0), errCommand},
		"READY of several frames":   {edited(readyFrame, 0, flagCommand|flagMore), errCommand},
		"an empty command":          {commandFrame(nil), errCommand},
		"ERROR of a client":         {errorFrame, errTurn},
		"a flag that isn't defined": {edited(readyFrame, 0, 8), errFrame},
		"READY that is too long":    {commandFrame(append([]byte(readyName), make([]byte, maxPlain)...)), errTooLarge},
	} {
		near, far := memPair()
		client, server := configs(t, 0)
		c, s := Client(near, client), Server(far, server)
		mustWrite(t, c, plainGreeting)
		mustWrite(t, s, plainGreeting)
		for range 2 {
			if _, err := c.Write(test.written); !errors.Is(err, test.want) {
				t.Errorf("%s: error %v, want %v", name, err, test.want)
			}
		}
	}
}

func TestReadyIsReadAfterWhatHasToComeBefore(t *testing.T) {
	client, server := configs(t, 0)
	s := Server(wire(curveGreeting), server)
	mustRead(t, s, plainGreeting)
	if _, err := s.Read(make([]byte, 1)); err != errTurn {
		t.Errorf("a server without a greeting: error %v, want %v", err, errTurn)
	}
	c := Client(newForgedServer(server).peer(), client)
	mustWrite(t, c, plainGreeting)
	mustRead(t, c, plainGreeting)
	if _, err := c.Read(make([]byte, 1)); err != errTurn {
		t.Errorf("a client without READY: error %v, want %v", err, errTurn)
	}
}

func TestDeadlineHoldsInTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := configs(t, 0)
		_, far := memPair()
		s := Server(far, server)
		if err := s.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v, want %v", err, os.ErrDeadlineExceeded)
		}
	})
}
