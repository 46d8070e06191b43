package curve

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// edit is what somebody in the middle makes of a flight, which is what one side sends at
// a time; the connection may end there.
type edit func(flight int, b []byte) (edited []byte, hangUp bool)

// tap is a connection whose flights are edited.
type tap struct {
	net.Conn
	flight int
	edit   edit
}

func (c *tap) Write(b []byte) (int, error) {
	edited, hangUp := c.edit(c.flight, bytes.Clone(b))
	c.flight++
	if _, err := c.Conn.Write(edited); err != nil {
		return 0, err
	}
	if hangUp {
		return len(b), c.Close()
	}
	return len(b), nil
}

func untouched(_ int, b []byte) ([]byte, bool) { return b, false }

// outcome is what a side of a handshake read, and how it failed.
type outcome struct {
	read []byte
	err  error
}

// attempt tries a handshake with somebody in the middle.
func attempt(client, server *Config, ofClient, ofServer edit) (c, s outcome) {
	near, far := memPair()
	for _, end := range []net.Conn{near, far} {
		end.SetDeadline(time.Now().Add(time.Minute))
	}
	served := make(chan outcome, 1)
	go func() { served <- speak(Server(&tap{Conn: far, edit: ofServer}, server), false) }()
	c = speak(Client(&tap{Conn: near, edit: ofClient}, client), true)
	return c, <-served
}

// speak is a careful upper side, which hangs up in the end.
func speak(c *Conn, first bool) (o outcome) {
	defer c.Close()
	write := func(b []byte) {
		if o.err == nil {
			_, o.err = c.Write(b)
		}
	}
	read := func(size int) {
		if o.err == nil {
			b, n := make([]byte, size), 0
			n, o.err = io.ReadFull(c, b)
			o.read = append(o.read, b[:n]...)
		}
	}
	write(plainGreeting)
	read(len(plainGreeting))
	if first {
		write(readyFrame)
	}
	read(len(readyFrame))
	if !first {
		write(readyFrame)
	}
	return o
}

// recorded returns what the sides of an honest handshake send.
func recorded(client, server *Config) (ofClient, ofServer []byte, err error) {
	record := func(into *[]byte) edit {
		return func(_ int, b []byte) ([]byte, bool) {
			*into = append(*into, b...)
			return b, false
		}
	}
	c, s := attempt(client, server, record(&ofClient), record(&ofServer))
	return ofClient, ofServer, errors.Join(c.err, s.err)
}

// flights returns the sizes of what the sides send in a handshake.
func flights(t *testing.T, client, server *Config) (ofClient, ofServer []int) {
	t.Helper()
	count := func(sizes *[]int) edit {
		return func(_ int, b []byte) ([]byte, bool) {
			*sizes = append(*sizes, len(b))
			return b, false
		}
	}
	c, s := attempt(client, server, count(&ofClient), count(&ofServer))
	if err := errors.Join(c.err, s.err); err != nil {
		t.Fatal(err)
	}
	if len(ofClient) != 2 || len(ofServer) != 3 {
		t.Fatalf("flights of %v and %v bytes, want greeting and HELLO, INITIATE; greeting, WELCOME, READY", ofClient, ofServer)
	}
	return ofClient, ofServer
}

// TestEveryByteOfTheHandshakeMatters flips bits of each byte of each command: the side that
// gets it does not hand up a READY.
func TestEveryByteOfTheHandshakeMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		ofClient, ofServer := flights(t, client, server)
		flip := func(flight, at int, mask byte) edit {
			return func(n int, b []byte) ([]byte, bool) {
				if n == flight {
					b[at] ^= mask
				}
				return b, false
			}
		}
		check := func(receiver outcome, sender string, flight, at int, mask byte) {
			if receiver.err == nil || !bytes.Equal(receiver.read, plainGreeting) {
				t.Errorf("byte %d of the %s's flight %d, changed by %#x: read %q, error %v",
					at, sender, flight, mask, receiver.read, receiver.err)
			}
		}
		for _, mask := range []byte{0x01, 0x80} {
			forEachByte(ofClient, func(flight, at int) {
				_, s := attempt(client, server, flip(flight, at, mask), untouched)
				check(s, "client", flight, at, mask)
			})
			forEachByte(ofServer, func(flight, at int) {
				c, _ := attempt(client, server, untouched, flip(flight, at, mask))
				check(c, "server", flight, at, mask)
			})
		}
	})
}

// forEachByte calls f for the bytes of all flights but those of the greeting.
func forEachByte(sizes []int, f func(flight, at int)) {
	for flight, size := range sizes {
		for at := range size {
			if flight > 0 || at >= greetingSize {
				f(flight, at)
			}
		}
	}
}

// TestHandshakeThatEndsIsAnError cuts the connection behind each byte of the handshake.
func TestHandshakeThatEndsIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		ofClient, ofServer := flights(t, client, server)
		cut := func(flight, at int) edit {
			return func(n int, b []byte) ([]byte, bool) {
				if n == flight {
					return b[:at], true
				}
				return b, false
			}
		}
		check := func(receiver outcome, sender string, flight, at int) {
			want := io.ErrUnexpectedEOF
			if receiver.err != want || bytes.HasSuffix(receiver.read, readyFrame) {
				t.Errorf("cut at byte %d of the %s's flight %d: read %q, error %v, want %v",
					at, sender, flight, receiver.read, receiver.err, want)
			}
		}
		for flight, size := range ofClient {
			for at := range size {
				_, s := attempt(client, server, cut(flight, at), untouched)
				check(s, "client", flight, at)
			}
		}
		for flight, size := range ofServer {
			for at := range size {
				c, _ := attempt(client, server, untouched, cut(flight, at))
				check(c, "server", flight, at)
			}
		}
	})
}

// TestForgedErrorEndsTheHandshakeAndNothingElse has somebody send ERROR in place of what
// the server says.
func TestForgedErrorEndsTheHandshakeAndNothingElse(t *testing.T) {
	client, server := configs(t, 0)
	for flight, command := range map[int]string{1: "WELCOME", 2: "READY"} {
		forge := func(n int, b []byte) ([]byte, bool) {
			if n == flight {
				return errorFrame, true
			}
			return b, n > flight
		}
		c, _ := attempt(client, server, untouched, forge)
		want := slices.Concat(plainGreeting, errorFrame)
		if !bytes.Equal(c.read, want) || c.err != io.ErrUnexpectedEOF {
			t.Errorf("for %s: the client reads %q and fails with %v, want ERROR and the end", command, c.read, c.err)
		}
	}
}

func TestMalformedErrorIsAnError(t *testing.T) {
	for name, command := range map[string]string{
		"no reason":                    errorName,
		"a reason that is cut":         errorName + "\x05gone",
		"one that is cut to nothing":   errorName + "\xff",
		"a name that is not all of it": "\x05ERRO\x04gone",
	} {
		client, _ := configs(t, 0)
		c := Client(wire(slices.Concat(curveGreeting, commandFrame([]byte(command)))), client)
		mustWrite(t, c, plainGreeting)
		mustRead(t, c, plainGreeting)
		if _, err := c.Write(readyFrame); err == nil {
			t.Errorf("%s: READY is written", name)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("%s: %d bytes are read, error %v", name, n, err)
		}
	}
}

func TestWhatIsSecretIsNotOnTheWire(t *testing.T) {
	client, server := configs(t, 0)
	ofClient, ofServer, err := recorded(client, server)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"secret", "Identity", "DEALER", string(client.ServerKey[:])} {
		if bytes.Contains(ofClient, []byte(word)) || bytes.Contains(ofServer, []byte(word)) {
			t.Errorf("%q is on the wire", word)
		}
	}
}
