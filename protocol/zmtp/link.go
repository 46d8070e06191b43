package zmtp

import (
	"bufio"
	"net"
	"sync/atomic"
	"time"

	"github.com/remofile/remofile/protocol"
)

// linkBuffer is how much is read at a time once the peer is authenticated, in bytes.
// Before, nothing is buffered: a stranger costs no memory.
const linkBuffer = 32 << 10

// link is the network connection beneath the handshake, CURVE and the framing. It
// keeps the deadlines, so that each byte that moves renews them, whatever the size
// of what is read or written above.
type link struct {
	net.Conn
	writeTimeout time.Duration
	processors   *Processors   // of Config
	r            *bufio.Reader // over timedReader; nil during the handshake, whose own deadline holds
	meter        *meter        // of what is written after the handshake
	socket       net.Conn      // that is read and written after the handshake: Conn, or a socket over it
	waiting      *waiting      // for what is read then; nil is as usual

	readTimeout atomic.Int64 // nanoseconds
	interrupted atomic.Bool
}

// establish ends the handshake and its deadline.
func (l *link) establish() error {
	l.r = bufio.NewReaderSize(timedReader{l}, linkBuffer)
	l.meter = newMeter(l.Conn)
	l.socket = newSocket(l.Conn)
	l.waiting = newWaiting(l.Conn, l.processors)
	return l.SetDeadline(time.Time{})
}

// Read implements net.Conn.
func (l *link) Read(p []byte) (int, error) {
	if l.r == nil {
		return l.Conn.Read(p)
	}
	return l.r.Read(p)
}

// Write implements net.Conn.
func (l *link) Write(p []byte) (int, error) {
	if l.r == nil {
		return l.Conn.Write(p)
	}
	l.waiting.wrote(len(p))
	written := 0
	for written < len(p) {
		start := time.Now()
		if err := l.SetWriteDeadline(start.Add(l.writeTimeout)); err != nil {
			return written, err
		}
		n, err := l.socket.Write(p[written:min(len(p), written+protocol.WritePiece)])
		l.meter.wrote(n, time.Since(start))
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (l *link) interrupt() {
	l.interrupted.Store(true)
	l.SetReadDeadline(time.Unix(1, 0))
}

func (l *link) setReadTimeout(d time.Duration) {
	l.readTimeout.Store(int64(d))
	l.renewReadDeadline()
}

func (l *link) renewReadDeadline() {
	var deadline time.Time
	if d := time.Duration(l.readTimeout.Load()); d > 0 {
		deadline = time.Now().Add(d)
	}
	l.SetReadDeadline(deadline)
	if l.interrupted.Load() {
		l.SetReadDeadline(time.Unix(1, 0))
	}
}

// read waits for the network.
func (l *link) read(p []byte) (int, error) {
	if l.waiting == nil {
		return l.socket.Read(p)
	}
	return l.waiting.read(l.socket, p)
}

// timedReader reads from the network with the read timeout renewed each time.
type timedReader struct{ l *link }

func (t timedReader) Read(p []byte) (int, error) {
	if t.l.readTimeout.Load() > 0 {
		t.l.renewReadDeadline()
	}
	n, err := t.l.read(p)
	if err != nil && t.l.interrupted.Load() {
		err = ErrInterrupted
	}
	return n, err
}
