package zmtp

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/remofile/remofile/protocol"
)

// Flags of a frame header (RFC 23).
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4
)

const (
	// keepBuffer is the largest receive buffer that outlives its message.
	keepBuffer = 2 << 20
	// copyLimit: up to so many bytes of a message leave in one buffer with
	// the frame headers, the rest is written from where it is.
	copyLimit = 32 << 10
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
// One goroutine may read while any others write.
type Conn struct {
	link        *link
	stream      net.Conn // over link: plain frames, whatever becomes of them beneath
	peerVersion int
	maxMessage  int

	header [9]byte
	in     []byte   // the message that ReadMessage returned
	frames [][]byte // its frames
	pulse  pulse

	writers atomic.Int32 // that wait for wmu to write a message
	wmu     sync.Mutex   // guards out, and the order of what is written
	out     []byte
}

// PeerVersion returns the highest Remofile protocol that the peer announced, 0
// for a foreign peer: the original, or somebody's script.
func (c *Conn) PeerVersion() int { return c.peerVersion }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.link.RemoteAddr() }

// Close closes the connection; blocked calls return.
func (c *Conn) Close() error {
	err := c.link.Close()
	c.pulse.close()
	return err
}

// Interrupt makes ReadMessage return ErrInterrupted, now or when it is called
// next, unless it has its message already. Messages can still be written.
func (c *Conn) Interrupt() { c.link.interrupt() }

// SetReadTimeout sets the longest silence of the peer inside ReadMessage,
// beginning now: any byte restarts it, and a ReadMessage that exceeds it fails
// with a timeout. 0, as at the beginning, is none. Any goroutine may call it.
func (c *Conn) SetReadTimeout(d time.Duration) { c.link.setReadTimeout(d) }

// ReadMessage returns the frames of the next message. They are valid until the
// next call. PING is answered and other commands are ignored in passing. The
// error is io.EOF where the peer closed the connection between two messages.
func (c *Conn) ReadMessage() (frames [][]byte, err error) {
	defer func() {
		if err != nil {
			c.pulse.end()
		}
	}()
	if cap(c.in) > keepBuffer {
		c.in = nil
	}
	var sizes [protocol.MaxFrames]int
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
		if n == protocol.MaxFrames || size > uint64(c.maxMessage-len(in)) {
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

// Buffered returns how many bytes have come already of what follows the message that ReadMessage returned last.
// It is for the goroutine that reads.
func (c *Conn) Buffered() int { return c.link.r.Buffered() }

// Keep makes the frames that ReadMessage returned last the caller's, for as long as it
// likes, and returns the memory that they all stand in. The next message comes to stand in
// that of spare, nil for any.
func (c *Conn) Keep(spare []byte) (memory []byte) {
	memory, c.in = c.in, spare
	return memory
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

// readHeader reads the header of a frame. It has at least two bytes.
func (c *Conn) readHeader() (flags byte, size uint64, err error) {
	if _, err := io.ReadFull(c.stream, c.header[:2]); err != nil {
		return 0, 0, err
	}
	flags, size = c.header[0], uint64(c.header[1])
	if flags&^(flagMore|flagLong|flagCommand) != 0 {
		return 0, 0, errFrame
	}
	if flags&flagLong != 0 {
		if _, err := io.ReadFull(c.stream, c.header[2:]); err != nil {
			return 0, 0, unexpected(err)
		}
		size = binary.BigEndian.Uint64(c.header[1:])
	}
	return flags, size, nil
}

// readBody appends size bytes of the connection to in. The caller has checked
// size against the limits.
func (c *Conn) readBody(in []byte, size int) ([]byte, error) {
	start := len(in)
	if cap(in)-start < size {
		in = append(make([]byte, 0, start+size), in...)
	}
	in = in[:start+size]
	_, err := io.ReadFull(c.stream, in[start:])
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
	if flags&flagMore != 0 || size == 0 || size > protocol.MaxCommand {
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
	switch {
	case name == zmq4.CmdPing && len(body) >= 2 && len(body) <= 2+16:
		return c.writeCommand(zmq4.CmdPong, body[2:])
	case name == zmq4.CmdPong:
		c.pulse.beat()
	}
	return nil
}

// Ping asks the peer for a sign of life: a PONG, which no ReadMessage returns, but which
// ends the peer's silence.
func (c *Conn) Ping() error { return c.writeCommand(zmq4.CmdPing, []byte{0, 0}) }

// WriteMessage sends one message of the given frames. After an error the
// connection is closed, since the stream may end inside a frame.
func (c *Conn) WriteMessage(frames ...[]byte) error {
	c.lockToWrite()
	defer c.wmu.Unlock()
	if err := c.bufferLocked(frames); err != nil {
		return err
	}
	return c.flushLocked()
}

// WriteShared is WriteMessage that leaves a small message to whoever is waiting to write
// another one: then nobody tells if it could not be sent.
func (c *Conn) WriteShared(frames ...[]byte) error {
	others := c.lockToWrite()
	defer c.wmu.Unlock()
	if err := c.bufferLocked(frames); err != nil || others {
		return err
	}
	return c.flushLocked()
}

// BufferMessage is WriteMessage that leaves a small message to Flush, or to what is written
// next.
func (c *Conn) BufferMessage(frames ...[]byte) error {
	c.lockToWrite()
	defer c.wmu.Unlock()
	return c.bufferLocked(frames)
}

// lockToWrite locks wmu, and reports whether others are waiting to write a message.
func (c *Conn) lockToWrite() (others bool) {
	c.writers.Add(1)
	c.wmu.Lock()
	return c.writers.Add(-1) > 0
}

// bufferLocked writes what of a message there is no room for in the buffer; wmu is held.
func (c *Conn) bufferLocked(frames [][]byte) error {
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
	return nil
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

// Flush sends what BufferMessage has left.
func (c *Conn) Flush() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.flushLocked()
}

// TryFlush is Flush, but for a moment at which another goroutine writes: it does not wait for that. WriteMessage
// and WriteShared send what is left, too.
func (c *Conn) TryFlush() {
	if c.wmu.TryLock() {
		defer c.wmu.Unlock()
		c.flushLocked()
	}
}

// flushLocked sends what is buffered; wmu is held.
func (c *Conn) flushLocked() error {
	err := c.write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *Conn) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := c.stream.Write(b); err != nil {
		c.link.Close()
		return err
	}
	return nil
}

// handshakeConn is the connection as zmq4 sees it during the handshake: what it
// writes is kept until it reads, so that a greeting or a READY leaves in one
// piece.
type handshakeConn struct {
	net.Conn
	c *Conn
}

// Read implements net.Conn.
func (h handshakeConn) Read(p []byte) (int, error) {
	if err := h.c.Flush(); err != nil {
		return 0, err
	}
	return h.Conn.Read(p)
}

// Write implements net.Conn.
func (h handshakeConn) Write(p []byte) (int, error) {
	h.c.wmu.Lock()
	defer h.c.wmu.Unlock()
	h.c.out = append(h.c.out, p...)
	return len(p), nil
}
