package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp/curve"
)

// Flags of a frame header, and the size of a greeting (RFC 23/ZMTP).
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4

	greetingSize = 64
)

// frame is one of ZMTP.
type frame struct {
	flags byte // without flagLong
	body  []byte
}

func (f frame) bytes() []byte {
	if len(f.body) > math.MaxUint8 {
		return append(longHeader(f.flags, uint64(len(f.body))), f.body...)
	}
	return append([]byte{f.flags, byte(len(f.body))}, f.body...)
}

func longHeader(flags byte, size uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{flags | flagLong}, size)
}

func readFrame(r io.Reader) (frame, error) {
	var header [9]byte
	if _, err := io.ReadFull(r, header[:2]); err != nil {
		return frame{}, err
	}
	size := uint64(header[1])
	if header[0]&flagLong != 0 {
		if _, err := io.ReadFull(r, header[2:]); err != nil {
			return frame{}, err
		}
		size = binary.BigEndian.Uint64(header[1:])
	}
	var body bytes.Buffer
	_, err := io.CopyN(&body, r, int64(size))
	return frame{header[0] &^ flagLong, body.Bytes()}, err
}

// rewriter is a connection that sends something else than what is written to it.
type rewriter struct {
	net.Conn
	rewrite func(n int, b []byte) []byte // of the nth write, from 0; it may change b
	writes  int
}

// Write implements net.Conn.
func (r *rewriter) Write(b []byte) (int, error) {
	changed := r.rewrite(r.writes, bytes.Clone(b))
	r.writes++
	if _, err := r.Conn.Write(changed); err != nil {
		return 0, err
	}
	return len(b), nil
}

func unchanged(_ int, b []byte) []byte { return b }

// peer is the far end of a connection with the server.
type peer struct {
	nc        *rewriter       // the network
	stream    net.Conn        // ZMTP without encryption, over nc
	mechanism string          // CURVE: stream encrypts
	over      <-chan struct{} // closed when it is time to go
}

// What ZMTP calls its mechanisms.
const (
	null      = "NULL"
	encrypted = "CURVE"
)

// ping is a PING with the longest context (RFC 37/ZMTP).
const ping = "\x04\x17\x04PING\x00\x00the context here"

var (
	pings       = bytes.Repeat([]byte(ping), 1000)
	emptyFrames = bytes.Repeat([]byte{flagMore, 0}, 100)
)

// newPeer connects. The peer has patience to do what it wants.
func (s *serverProcess) newPeer(source net.IP, mechanism string) (*peer, error) {
	nc, err := s.connect(source)
	if err != nil {
		return nil, err
	}
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		nc.Close()
		return nil, err
	}
	p := &peer{nc: &rewriter{Conn: nc, rewrite: unchanged}, mechanism: mechanism}
	p.stream = p.nc
	if mechanism == encrypted {
		p.encrypt(s.key)
	}
	return p, nil
}

// encrypt has the stream encrypt for the owner of a key.
func (p *peer) encrypt(server curve.Key) {
	p.stream = curve.Client(p.nc, &curve.Config{ServerKey: server, MaxFrame: 1 << 20})
}

// The errors of what follows are those of a connection that the server has closed, which
// shows when it is read.

// send sends bytes as they are.
func (p *peer) send(pieces ...[]byte) { p.nc.Write(slices.Concat(pieces...)) }

func (p *peer) greet() { p.send(greetingOf(p.mechanism)) }

// introduce does the handshake with a READY of these properties. The error is that the
// server does not answer with its own.
func (p *peer) introduce(properties string) error {
	if _, err := p.stream.Write(greetingOf(p.mechanism)); err != nil {
		return err
	}
	if _, err := io.ReadFull(p.stream, make([]byte, greetingSize)); err != nil {
		return err
	}
	if _, err := p.stream.Write(frame{flagCommand, []byte("\x05READY" + properties)}.bytes()); err != nil {
		return err
	}
	answer, err := readFrame(p.stream)
	if err == nil && !bytes.HasPrefix(answer.body, []byte("\x05READY")) {
		err = fmt.Errorf("the server answers %q", answer.body)
	}
	return err
}

// initiate does the handshake with another INITIATE than the right one.
func (p *peer) initiate(rewrite func(initiate []byte) []byte) {
	p.nc.rewrite = func(n int, b []byte) []byte {
		if n == 1 {
			b = rewrite(b)
		}
		return b
	}
	p.introduce(metadata(token))
}

// floodTime is how long a peer goes on that is not stopped.
const floodTime = 250 * time.Millisecond

// flood sends the same again and again.
func (p *peer) flood(to io.Writer, b []byte) {
	p.nc.SetWriteDeadline(time.Now().Add(floodTime))
	for {
		if _, err := to.Write(b); err != nil {
			return
		}
	}
}

// trickle sends a byte now and then.
func (p *peer) trickle(to io.Writer, b []byte) {
	for i := 0; ; i++ {
		if _, err := to.Write(b[i%len(b):][:1]); err != nil {
			return
		}
		select {
		case <-p.over:
			return
		case <-time.After(floodTime):
		}
	}
}

func greetingOf(mechanism string) []byte {
	g := make([]byte, greetingSize)
	copy(g, "\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03\x00"+mechanism)
	return g
}

// property is one of a READY's metadata.
func property(name, value string) string {
	size := binary.BigEndian.AppendUint32(nil, uint32(len(value)))
	return string(byte(len(name))) + name + string(size) + value
}

// metadata is that of a client.
func metadata(identity string) string {
	return property("Socket-Type", "DEALER") + property("Identity", identity)
}

// message is a request as it travels.
func message(r protocol.Request) []byte {
	return append([]byte{flagMore, 0}, frame{0, protocol.AppendRequest(nil, &r)}.bytes()...)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// dialFor returns what dials connections that hang up after so many bytes, all together, and
// tells that: a client in Remofile 2 would go on over others.
func (s *serverProcess) dialFor(rest int, hungUp func()) func(context.Context, string) (net.Conn, error) {
	return func(context.Context, string) (net.Conn, error) {
		nc, err := s.connect(s.newSource())
		if err != nil {
			return nil, err
		}
		return &rewriter{Conn: nc, rewrite: func(_ int, b []byte) []byte {
			last := min(rest, len(b))
			rest -= last
			if last < len(b) {
				nc.Write(b[:last]) // the next one fails in any case
				nc.Close()
				hungUp()
			}
			return b
		}}, nil
	}
}
