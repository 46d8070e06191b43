package curve

import (
	"bytes"
	"errors"
	"net"
)

// Config is what a side needs to know. It may be shared by connections and is not
// changed.
type Config struct {
	// PrivateKey is a server's long-term private key.
	PrivateKey Key
	// ServerKey is, for a client, the server's long-term public key. The client's
	// own long-term key is a new one for each connection: nobody checks it.
	ServerKey Key
	// Known, if not nil, is called by a server when HELLO has shown that the client
	// knows the server's public key. Only that it knows the same as others: not who
	// it is.
	Known func()
	// MaxFrame is the largest body of a frame that is received after the
	// handshake, in bytes.
	MaxFrame int
}

// Conn is a side of an encrypted connection, a net.Conn on which ZMTP 3.0 with the NULL
// mechanism is spoken: a greeting of 64 bytes, whose content is not looked at, a READY
// or an ERROR command, frames.
//
// The handshake happens as the upper side reads and writes its part of it. When it has
// written and read its READY, one goroutine may read and another one write at a time;
// until then both are one goroutine's business. The deadlines are those of the
// connection beneath. An error, a timeout too, is final for its direction; but a server
// can write an ERROR command whatever it has read.
//
// The connection beneath should buffer what is read from it after the handshake.
type Conn struct {
	net.Conn
	handshake handshake // nil: it is over

	opener  *opener
	pending []byte // to be read
	readErr error

	greeting int // bytes of the upper side's that are still to be written
	splitter splitter
	sealer   *sealer
	writeErr error
}

// handshake is a side's part of it.
type handshake interface {
	// greet sends the greeting, and what can leave with it.
	greet() error
	// receive takes what is due from the peer next, and returns what the upper
	// side reads of that, if anything.
	receive() ([]byte, error)
	// ready sends the upper side's READY, and receives before what has to come
	// before.
	ready(metadata []byte) error
	// refuse sends the upper side's ERROR.
	refuse(command []byte) error
}

// stage is what a handshake waits for:
//
//	client  awaitGreeting, awaitWelcome, awaitUpper, awaitReady
//	server  awaitGreeting, awaitHello, awaitInitiate, awaitUpper
//
// A client that is sent an ERROR, and a server that sends one, go on to refused.
type stage int

const (
	awaitGreeting stage = iota
	awaitHello
	awaitInitiate
	awaitWelcome
	awaitUpper // READY of the upper side
	awaitReady
	refused
)

var (
	errTurn    = errors.New("curve: out of turn")
	errRefused = errors.New("curve: the connection was refused")
	errCommand = errors.New("curve: neither READY nor ERROR")
)

// Client returns the client's side of a connection over nc.
func Client(nc net.Conn, cfg *Config) *Conn {
	c := &Conn{Conn: nc, greeting: greetingSize}
	c.handshake = &client{conn: c, cfg: cfg}
	return c
}

// Server returns the server's side of a connection over nc.
func Server(nc net.Conn, cfg *Config) *Conn {
	c := &Conn{Conn: nc, greeting: greetingSize}
	c.handshake = &server{conn: c, cfg: cfg}
	return c
}

// established ends the handshake and forgets what it knew.
func (c *Conn) established(o *opener, s *sealer) {
	c.opener, c.sealer, c.handshake = o, s, nil
}

// Read implements net.Conn. The error is ErrMechanism where the peer does not speak
// CURVE, ErrKey where a client took the server for another one, and io.EOF where the
// connection ended between two frames, or after an ERROR. Nobody vouches for an end:
// whoever can change what the network carries can cause it.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.pending) == 0 && len(p) > 0 {
		if err := c.receive(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// receive gets more to be read, or takes a step of the handshake.
func (c *Conn) receive() error {
	if c.readErr != nil {
		return c.readErr
	}
	if c.handshake == nil {
		c.pending, c.readErr = c.opener.read(c.Conn)
		return c.readErr
	}
	plain, err := c.handshake.receive()
	c.pending, c.readErr = append(c.pending, plain...), err
	return err
}

// Write implements net.Conn. What it completes leaves in one piece, or in pieces of
// about 1 MiB; what p holds of an incomplete frame stays. After an error it is not
// known how much has left.
func (c *Conn) Write(p []byte) (int, error) {
	if c.writeErr != nil {
		return 0, c.writeErr
	}
	if err := c.write(p); err != nil {
		if c.handshake == nil || c.readErr == nil {
			c.writeErr = err
		}
		return 0, err
	}
	return len(p), nil
}

func (c *Conn) write(p []byte) error {
	p, err := c.greet(p)
	for err == nil && len(p) > 0 {
		whole := false
		if p, whole, err = c.splitter.split(p); whole {
			err = c.send(c.splitter.frame)
			c.splitter.frame = keep(c.splitter.frame)
		}
	}
	if err != nil || c.sealer == nil {
		return err
	}
	return c.sealer.flush(c.Conn)
}

// greet takes the greeting off p, and sends ours where that was the last of it.
func (c *Conn) greet(p []byte) (rest []byte, err error) {
	if c.greeting == 0 || len(p) == 0 {
		return p, nil
	}
	n := min(c.greeting, len(p))
	c.greeting -= n
	if c.greeting == 0 {
		err = c.handshake.greet()
	}
	return p[n:], err
}

// send sends a frame, the flags of its MESSAGE and its body, now or with the next flush.
func (c *Conn) send(frame []byte) error {
	if c.handshake != nil {
		return c.sendCommand(frame[0], frame[1:])
	}
	if err := c.sealer.add(frame); err != nil || len(c.sealer.out) < flushSize {
		return err
	}
	return c.sealer.flush(c.Conn)
}

// sendCommand sends a command of the handshake.
func (c *Conn) sendCommand(flags byte, command []byte) error {
	metadata, isReady := bytes.CutPrefix(command, []byte(readyName))
	switch {
	case flags != messageCommand:
		return errCommand
	case len(command) > maxPlain:
		return errTooLarge
	case isReady:
		return c.handshake.ready(metadata)
	case bytes.HasPrefix(command, []byte(errorName)):
		return c.handshake.refuse(command)
	default:
		return errCommand
	}
}
