package curve

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

var (
	// ErrMechanism is a peer that offers another mechanism than CURVE, or hangs
	// up on that one.
	ErrMechanism = errors.New("curve: the peer does not offer CURVE")
	// ErrKey is a client that does not know the server's public key.
	ErrKey = errors.New("curve: the client does not know the key of the server")

	errGreeting = errors.New("curve: malformed greeting")
	errFrame    = errors.New("curve: malformed frame")
	errCommand  = errors.New("curve: malformed or unexpected command")
)

// Config is what a side needs to know.
type Config struct {
	// PrivateKey is the server's long-term key.
	PrivateKey Key
	// ServerKey is the public key of the server that a client connects to. Its own
	// long-term key is a new one for each connection: nobody asks who it is.
	ServerKey Key
	// MaxFrame is the longest body of a frame after the handshake, in bytes.
	MaxFrame int
}

// Flags of a frame, outside of boxes (RFC 23) and, but for flagLong, inside.
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4

	flagMoreInside    = 1
	flagCommandInside = 2
)

const (
	mechanism = "CURVE"

	greetingSize  = 64
	mechanismAt   = 12 // in a greeting
	mechanismEnd  = 32
	signatureSize = 10
	// maxHeader is the longest header of a frame.
	maxHeader = 9
)

// Conn is one side of an encrypted connection. What is read from and written to it
// is ZMTP with the mechanism NULL. The handshake is driven by the Reads and Writes of one
// goroutine; after it one may read and another one write. Errors are final, those of
// deadlines too.
type Conn struct {
	net.Conn // beneath
	maxFrame int
	side     handshake

	// Of the reading goroutine.
	readStage stage
	readErr   error
	pending   []byte // to be read
	received  []byte // the frame that pending is of, as it came
	opened    []byte // and its content
	receive   direction

	// Of the writing goroutine.
	writeStage stage
	writeErr   error
	partial    []byte // what was written of a greeting or a frame that isn't complete
	content    []byte // of the box that is being sealed
	sealed     []byte // to be sent
	send       direction
}

// stage is how far one direction of a connection is.
type stage int

const (
	greets   stage = iota // the greeting is next
	readies               // READY, or an ERROR
	messages              // frames in boxes
	ended                 // nothing
)

// direction is what encrypts one direction of a connection.
type direction struct {
	key    *[32]byte
	prefix string // of its nonces
	counter
}

// handshake is what differs between the sides.
type handshake interface {
	// hello returns what is sent together with the greeting.
	hello() ([]byte, error)
	// sendMetadata sends what our READY says, encrypted.
	sendMetadata(c *Conn, metadata []byte) error
	// receiveMetadata returns what the peer's READY says, or the ERROR that came instead.
	receiveMetadata(c *Conn) (metadata, refusal []byte, err error)
}

// Client returns the client's side of nc, of which the server's key must be known.
func Client(nc net.Conn, cfg *Config) *Conn {
	return &Conn{Conn: nc, maxFrame: cfg.MaxFrame, side: &client{serverKey: cfg.ServerKey}}
}

// Server returns the server's side of nc.
func Server(nc net.Conn, cfg *Config) *Conn {
	return &Conn{Conn: nc, maxFrame: cfg.MaxFrame, side: &server{private: cfg.PrivateKey}}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.pending) == 0 {
		if c.readErr == nil {
			c.readErr = c.fill()
		}
		if c.readErr != nil {
			return 0, c.readErr
		}
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// fill makes more pending.
func (c *Conn) fill() error {
	switch c.readStage {
	case greets:
		if err := c.readGreeting(); err != nil {
			return err
		}
		c.pending = greeting("NULL")
		c.readStage = readies
		return nil
	case readies:
		metadata, refusal, err := c.side.receiveMetadata(c)
		if err != nil {
			return err
		}
		c.readStage = messages
		if refusal != nil {
			c.readStage = ended
			c.pending = appendFrame(nil, flagCommand, refusal)
			return nil
		}
		c.pending = appendFrame(nil, flagCommand, append([]byte("\x05READY"), metadata...))
		return nil
	case messages:
		return c.readMessage()
	default:
		return io.EOF
	}
}

func greeting(mechanism string) []byte {
	g := make([]byte, greetingSize)
	copy(g, "\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03\x00")
	copy(g[mechanismAt:], mechanism)
	return g
}

// readGreeting reads the peer's greeting. libzmq hangs up after its signature
// where it has another mechanism than ours.
func (c *Conn) readGreeting() error {
	g := make([]byte, greetingSize)
	n, err := io.ReadFull(c.Conn, g)
	if n >= signatureSize && (g[0] != 0xff || g[9] != 0x7f) {
		return errGreeting
	}
	if n >= signatureSize && errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrMechanism
	}
	if err != nil {
		return err
	}
	if g[10] < 3 {
		return errGreeting
	}
	if offered, _, _ := bytes.Cut(g[mechanismAt:mechanismEnd], []byte{0}); string(offered) != mechanism {
		return ErrMechanism
	}
	return nil
}

// readFrame reads a frame of at most limit bytes into c.received.
func (c *Conn) readFrame(limit int) (flags byte, err error) {
	var header [maxHeader]byte
	if _, err := io.ReadFull(c.Conn, header[:2]); err != nil {
		return 0, err
	}
	flags = header[0]
	size := uint64(header[1])
	if flags&^(flagLong|flagCommand) != 0 {
		return 0, errFrame
	}
	if flags&flagLong != 0 {
		if _, err := io.ReadFull(c.Conn, header[2:]); err != nil {
			return 0, unexpected(err)
		}
		size = binary.BigEndian.Uint64(header[1:])
	}
	if size > uint64(limit) {
		return 0, errFrame
	}
	c.received = resize(c.received, int(size))
	_, err = io.ReadFull(c.Conn, c.received)
	return flags, unexpected(err)
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
