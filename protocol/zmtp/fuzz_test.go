package zmtp

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/remofile/remofile/protocol/internal/cost"
	"github.com/remofile/remofile/protocol/zmtp/curve"
)

// wire is a connection whose peer has sent all that it will, and does not care for answers.
type wire struct {
	net.Conn
	bytes.Reader
}

func newWire(b []byte) *wire {
	w := new(wire)
	w.Reset(b)
	return w
}

func (w *wire) Read(p []byte) (int, error)       { return w.Reader.Read(p) }
func (w *wire) Write(p []byte) (int, error)      { return len(p), nil }
func (w *wire) Close() error                     { return nil }
func (w *wire) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

const readyOfREQ = "\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x06secret"

// FuzzServer is all that a stranger can send to a server.
func FuzzServer(f *testing.F) {
	private, _, err := curve.GenerateKeys()
	if err != nil {
		f.Fatal(err)
	}
	server := &Config{Token: "secret", Key: private, Plain: true, Version: 1, MaxMessage: 1 << 20}
	null := string(greeting(MechanismNull))
	for _, after := range []string{
		"\x04\x2a\x05READY" + readyOfREQ + "\x01\x00\x00\x03abc",
		"\x04\x2a\x05READY" + readyOfREQ + "\x04\x09\x04PING\x00\x00xx",
		"\x04\x08\x05READY\x01a", "\x04\x0a\x05READY\x03ab",
		"\x02\x40\x00\x00\x00\x00\x00\x00\x00", "\x06\x00\x00\x00\x00\x40\x00\x00\x00", "",
	} {
		f.Add([]byte(null + after))
		f.Add(append(greeting(mechanismCurve), after...))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		cost.Limit(t, 256<<10+64*uint64(len(sent)), func() {
			c, err := Server(newWire(sent), server)
			if err == nil && !bytes.Contains(sent, []byte("secret")) {
				t.Error("admitted without the token")
			}
			for err == nil {
				_, err = c.ReadMessage()
			}
		})
	})
}

// FuzzReadMessage is all that an authenticated peer can send.
func FuzzReadMessage(f *testing.F) {
	const most = 100_000
	f.Add([]byte("\x01\x00\x00\x03abc\x04\x09\x04PING\x00\x00xx\x02\x00\x00\x00\x00\x00\x00\x00\x02hi"))
	f.Add([]byte("\x02\x7f\xff\xff\xff\xff\xff\xff\xff"))
	f.Add(bytes.Repeat([]byte{flagMore, 0}, 20))
	f.Fuzz(func(t *testing.T, sent []byte) {
		w := newWire(sent)
		c := &Conn{link: &link{Conn: w}, stream: w, maxMessage: most}
		cost.Limit(t, 4*most+64*uint64(len(sent)), func() {
			for {
				frames, err := c.ReadMessage()
				if err != nil {
					return
				}
				if size := len(bytes.Join(frames, nil)); len(frames) == 0 || size > most || size > len(sent) {
					t.Fatalf("%d frames of %d bytes", len(frames), size)
				}
			}
		})
	})
}

// FuzzMetadata is what a stranger can put into a READY.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte(readyOfREQ))
	f.Add([]byte("\x01a\x00\x00\x00\x00\x01A\x00\x00\x00\x00"))
	f.Add([]byte("\x01a"))
	f.Add([]byte("\x01a\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		cost.Limit(t, 64<<10+256*uint64(len(b)), func() {
			m, err := parseMetadata(b)
			size := 0
			for key, value := range m {
				size += 1 + len(key) + 4 + len(value)
			}
			if err == nil && size != len(b) {
				t.Errorf("%q holds %d bytes of %d", m, size, len(b))
			}
		})
	})
}
