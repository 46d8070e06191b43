package zmtp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"
)

// Flags of a frame header (RFC 23).
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4
)

const (
	maxFrames  = 8
	maxCommand = 4 << 10
	// keepBuffer is the largest receive buffer that outlives its message.
	keepBuffer = 2 << 20
	// copyLimit: up to so many bytes of a message leave in one buffer with
	// the frame headers, the rest is written from where it is.
	copyLimit = 64 << 10
	// writePiece is what Config.WriteTimeout is for.
	writePiece = 1 << 20
)

var (
	// ErrInterrupted is what ReadMessage returns after Interrupt.
	ErrInterrupted = errors.New("zmtp: interrupted")
	// ErrTooLarge is a message that exceeds Config.MaxMessage, or too many
	// frames. The connection can't be used any longer.
	ErrTooLarge = errors.New("zmtp: message too large")

	errFrame = errors.New("zmtp: malformed frame")
)

// Conn is an authenticated connection that carries messages of several frames.
// One goroutine may read and another one write at the same time.
type Conn struct {
	nc          net.Conn
	peerVersion int
	maxMessage  int
	handshaking bool // its own deadline holds, not those of reads and writes

	readTimeout atomic.Int64 // nanoseconds
	interrupted atomic.Bool
	r           *bufio.Reader // over timedReader
	in          []byte        // the message that ReadMessage returned
	frames      [][]byte      // its frames

	writeTimeout time.Duration
	wmu          sync.Mutex // guards out, and the order of what is written
	out          []byte
}

func newConn(nc net.Conn, cfg *Config) *Conn {
	c := &Conn{nc: nc, maxMessage: cfg.MaxMessage, writeTimeout: cfg.WriteTimeout}
	if c.writeTimeout == 0 {
		c.writeTimeout = 30 * time.Second
	}
	c.r = bufio.NewReaderSize(timedReader{c}, copyLimit)
	return c
}

// PeerVersion returns the highest Remofile protocol that the peer announced, 0
// for a foreign peer: the original, or somebody's script.
func (c *Conn) PeerVersion() int { return c.peerVersion }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Close closes the connection; blocked calls return.
func (c *Conn) Close() error { return c.nc.Close() }

// Interrupt makes ReadMessage return ErrInterrupted, now or when it is called
// next, unless it has its message already. Messages can still be written.
func (c *Conn) Interrupt() {
	c.interrupted.Store(true)
	c.nc.SetReadDeadline(time.Unix(1, 0))
}

// SetReadTimeout sets the longest silence of the peer inside ReadMessage,
// beginning now: any byte restarts it, and a ReadMessage that exceeds it fails
// with a timeout. 0, as at the beginning, is none. Any goroutine may call it.
func (c *Conn) SetReadTimeout(d time.Duration) {
	c.readTimeout.Store(int64(d))
	c.renewReadDeadline()
}

func (c *Conn) renewReadDeadline() {
	var deadline time.Time
	if d := time.Duration(c.readTimeout.Load()); d > 0 {
		deadline = time.Now().Add(d)
	}
	c.nc.SetReadDeadline(deadline)
	if c.interrupted.Load() {
		c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// timedReader reads from the network with the read timeout renewed each time.
type timedReader struct{ c *Conn }

func (t timedReader) Read(p []byte) (int, error) {
	c := t.c
	if c.readTimeout.Load() > 0 {
		c.renewReadDeadline()
	}
	n, err := c.nc.Read(p)
	if err != nil && c.interrupted.Load() {
		err = ErrInterrupted
	}
	return n, err
}

// ReadMessage returns the frames of the next message. They are valid until the
// next call. PING is answered and other commands are ignored in passing. The
// error is io.EOF where the peer closed the connection between two messages.
func (c *Conn) ReadMessage() ([][]byte, error) {
	if cap(c.in) > keepBuffer {
		c.in = nil
	}
	var sizes [maxFrames]int
	in := c.in[:0]
	for n := 0; ; {
		flags, size, err := c.readHeader()
		if err != nil {
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if flags&flagCommand != 0 {
			if err := c.handleCommand(flags, size); err != nil {
				return nil, err
			}
			continue
		}
		if n == maxFrames || size > uint64(c.maxMessage-len(in)) {
			return nil, ErrTooLarge
		}
		if in, err = c.readBody(in, int(size)); err != nil {
			return nil, err
		}
		sizes[n] = int(size)
		n++
		if flags&flagMore == 0 {
			c.in = in
			return c.split(sizes[:n]), nil
		}
	}
}

// split cuts the received bytes into frames.
func (c *Conn) split(sizes []int) [][]byte {
	c.frames = c.frames[:0]
	rest := c.in
	for _, n := range sizes {
		c.frames = append(c.frames, rest[:n:n])
		rest = rest[n:]
	}
	return c.frames
}

func (c *Conn) readHeader() (flags byte, size uint64, err error) {
	flags, err = c.r.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	if flags&^(flagMore|flagLong|flagCommand) != 0 {
		return 0, 0, errFrame
	}
	length := 1
	if flags&flagLong != 0 {
		length = 8
	}
	var b [8]byte
	if _, err := io.ReadFull(c.r, b[8-length:]); err != nil {
		return 0, 0, unexpected(err)
	}
	return flags, binary.BigEndian.Uint64(b[:]), nil
}

// readBody appends size bytes of the connection to in. The caller has checked
// size against the limits.
func (c *Conn) readBody(in []byte, size int) ([]byte, error) {
	start := len(in)
	if cap(in)-start < size {
		in = append(make([]byte, 0, start+size), in...)
	}
	in = in[:start+size]
	_, err := io.ReadFull(c.r, in[start:])
	return in, unexpected(err)
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readCommand reads one frame, which must be a command.
func (c *Conn) readCommand() (name string, body []byte, err error) {
	flags, size, err := c.readHeader()
	if err != nil {
		return "", nil, err
	}
	if flags&flagCommand == 0 {
		return "", nil, errFrame
	}
	return c.readCommandBody(flags, size)
}

func (c *Conn) readCommandBody(flags byte, size uint64) (name string, body []byte, err error) {
	if flags&flagMore != 0 || size == 0 || size > maxCommand {
		return "", nil, errFrame
	}
	b, err := c.readBody(nil, int(size))
	if err != nil {
		return "", nil, err
	}
	n := int(b[0])
	if n == 0 || n > len(b)-1 {
		return "", nil, errFrame
	}
	return string(b[1 : 1+n]), b[1+n:], nil
}

// handleCommand answers PING with its context (RFC 37: two bytes of time to live,
// then up to 16 bytes of context) and ignores what it doesn't know.
func (c *Conn) handleCommand(flags byte, size uint64) error {
	name, body, err := c.readCommandBody(flags, size)
	if err != nil {
		return err
	}
	if name == zmq4.CmdPing && len(body) >= 2 && len(body) <= 2+16 {
		return c.writeCommand(zmq4.CmdPong, body[2:])
	}
	return nil
}

// WriteMessage sends one message of the given frames. After an error the
// connection is closed, since the stream may end inside a frame.
func (c *Conn) WriteMessage(frames ...[]byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	for i, frame := range frames {
		flags := byte(flagMore)
		if i == len(frames)-1 {
			flags = 0
		}
		c.out = appendHeader(c.out, flags, len(frame))
		head := min(len(frame), copyLimit-min(len(c.out), copyLimit))
		c.out = append(c.out, frame[:head]...)
		if head == len(frame) {
			continue
		}
		if err := c.flushLocked(); err != nil {
			return err
		}
		if err := c.write(frame[head:]); err != nil {
			return err
		}
	}
	return c.flushLocked()
}

func (c *Conn) writeCommand(name string, body []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.out = appendHeader(c.out, flagCommand, 1+len(name)+len(body))
	c.out = append(append(append(c.out, byte(len(name))), name...), body...)
	return c.flushLocked()
}

func appendHeader(b []byte, flags byte, size int) []byte {
	if size <= 255 {
		return append(b, flags, byte(size))
	}
	return binary.BigEndian.AppendUint64(append(b, flags|flagLong), uint64(size))
}

func (c *Conn) flush() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.flushLocked()
}

// flushLocked sends what is buffered; wmu is held.
func (c *Conn) flushLocked() error {
	err := c.write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *Conn) write(b []byte) error {
	for len(b) > 0 {
		piece := b[:min(len(b), writePiece)]
		if !c.handshaking {
			c.nc.SetWriteDeadline(time.Now().Add(c.writeTimeout))
		}
		if _, err := c.nc.Write(piece); err != nil {
			c.nc.Close()
			return err
		}
		b = b[len(piece):]
	}
	return nil
}

// handshakeConn is the connection as zmq4 sees it during the handshake: what it
// writes is kept until it reads, so that a greeting or a READY leaves in one
// piece.
type handshakeConn struct{ *Conn }

func (h handshakeConn) Read(p []byte) (int, error) {
	if err := h.flush(); err != nil {
		return 0, err
	}
	return h.r.Read(p)
}

func (h handshakeConn) Write(p []byte) (int, error) {
	h.wmu.Lock()
	defer h.wmu.Unlock()
	h.out = append(h.out, p...)
	return len(p), nil
}

func (h handshakeConn) LocalAddr() net.Addr                { return h.nc.LocalAddr() }
func (h handshakeConn) SetDeadline(t time.Time) error      { return h.nc.SetDeadline(t) }
func (h handshakeConn) SetReadDeadline(t time.Time) error  { return h.nc.SetReadDeadline(t) }
func (h handshakeConn) SetWriteDeadline(t time.Time) error { return h.nc.SetWriteDeadline(t) }
