package curve

import (
	"bytes"
	"encoding/binary"
	"math"

	"golang.org/x/crypto/nacl/secretbox"

	"github.com/remofile/remofile/protocol"
)

// Commands of the handshake, behind their length, and their sizes in bytes.
const (
	commandHello    = "\x05HELLO"
	commandWelcome  = "\x07WELCOME"
	commandInitiate = "\x08INITIATE"
	commandReady    = "\x05READY"
	commandError    = "\x05ERROR"
	commandMessage  = "\x07MESSAGE"

	helloSize    = 200
	helloPadding = 72
	welcomeSize  = 168
	cookieSize   = 96
	vouchSize    = longSize + 2*32 + tag

	// messageOverhead is what a MESSAGE is longer than the frame in it.
	messageOverhead = len(commandMessage) + shortSize + tag + 1
)

const (
	// flushSize is how much a Write seals before it sends.
	flushSize = 1 << 20
	// keepSize is the largest buffer that outlives its frame.
	keepSize = 2 << 20
)

// resize returns a slice of size bytes, b's memory if that is enough and no waste.
func resize(b []byte, size int) []byte {
	if cap(b) < size || cap(b) > keepSize && size <= keepSize {
		return make([]byte, size)
	}
	return b[:size]
}

func appendFrame(b []byte, flags byte, body []byte) []byte {
	return append(appendHeader(b, flags, len(body)), body...)
}

func appendHeader(b []byte, flags byte, size int) []byte {
	if size <= 255 {
		return append(b, flags, byte(size))
	}
	return binary.BigEndian.AppendUint64(append(b, flags|flagLong), uint64(size))
}

// readCommand reads a command of the handshake. It is valid until the next frame.
func (c *Conn) readCommand() ([]byte, error) {
	flags, err := c.readFrame(protocol.MaxCommand)
	if err == nil && flags&flagCommand == 0 {
		err = errCommand
	}
	return c.received, err
}

// readMessage reads a MESSAGE and leaves the frame in it pending.
func (c *Conn) readMessage() error {
	if _, err := c.readFrame(c.maxFrame + messageOverhead); err != nil {
		return err
	}
	rest, ok := bytes.CutPrefix(c.received, []byte(commandMessage))
	if !ok || len(rest) < shortSize+tag+1 {
		return errCommand
	}
	short, box := rest[:shortSize], rest[shortSize:]
	if err := c.receive.check(short); err != nil {
		return err
	}
	// The content is put where a header fits before it.
	c.opened = resize(c.opened, maxHeader+len(box))
	content, err := open(c.opened[:maxHeader-1], box, nonce(c.receive.prefix, short), c.receive.key)
	if err != nil {
		return err
	}
	inside := content[maxHeader-1]
	if inside&^(flagMoreInside|flagCommandInside) != 0 {
		return errFrame
	}
	size := len(content) - maxHeader
	var flags byte
	if inside&flagMoreInside != 0 {
		flags |= flagMore
	}
	if inside&flagCommandInside != 0 {
		flags |= flagCommand
	}
	var room [maxHeader]byte
	header := appendHeader(room[:0], flags, size)
	start := maxHeader - len(header)
	copy(content[start:], header)
	c.pending = content[start:]
	return nil
}

// Write implements net.Conn. What ends within a frame is kept until the rest of it
// follows.
func (c *Conn) Write(p []byte) (int, error) {
	written := 0
	for c.writeErr == nil && written < len(p) {
		var n int
		n, c.writeErr = c.take(p[written:])
		written += n
		if c.writeErr == nil && (len(c.sealed) >= flushSize || written == len(p)) {
			c.writeErr = c.flush()
		}
	}
	return written, c.writeErr
}

func (c *Conn) flush() error {
	if len(c.sealed) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.sealed)
	c.sealed = resize(c.sealed, 0)
	return err
}

// take takes the first bytes of p, not more than are lacking of the greeting or
// frame that is next, and sends or seals that when it is complete.
func (c *Conn) take(p []byte) (int, error) {
	if c.writeStage == greets {
		n := min(len(p), greetingSize-len(c.partial))
		c.partial = append(c.partial, p[:n]...)
		if len(c.partial) < greetingSize {
			return n, nil
		}
		c.partial = c.partial[:0]
		return n, c.sendGreeting()
	}
	if len(c.partial) == 0 {
		// As a rule p begins with whole frames.
		if head, body, ok := cutFrame(p); ok {
			return head + len(body), c.sendFrame(p[0], body)
		}
	}
	n, err := lacking(c.partial)
	if err != nil {
		return 0, err
	}
	n = min(len(p), n)
	c.partial = append(c.partial, p[:n]...)
	_, body, ok := cutFrame(c.partial)
	if !ok {
		return n, nil
	}
	err = c.sendFrame(c.partial[0], body)
	c.partial = resize(c.partial, 0)
	return n, err
}

// parseHeader returns the lengths of a header and of the body behind it, if all of
// the header is there.
func parseHeader(b []byte) (head int, size uint64, ok bool) {
	switch {
	case len(b) < 2:
		return 2, 0, false
	case b[0]&flagLong == 0:
		return 2, uint64(b[1]), true
	case len(b) < maxHeader:
		return maxHeader, 0, false
	default:
		return maxHeader, binary.BigEndian.Uint64(b[1:]), true
	}
}

// cutFrame returns the first frame's lengths of header and body, if all of it is in b.
func cutFrame(b []byte) (head int, body []byte, ok bool) {
	head, size, ok := parseHeader(b)
	if !ok || size > uint64(len(b)-head) {
		return 0, nil, false
	}
	return head, b[head:][:size], true
}

// lacking returns how much is lacking of the header that b begins with, or else of its body.
func lacking(b []byte) (int, error) {
	head, size, ok := parseHeader(b)
	if size > math.MaxInt32 {
		return 0, errFrame
	}
	if !ok {
		return head - len(b), nil
	}
	return head + int(size) - len(b), nil
}

func (c *Conn) sendGreeting() error {
	hello, err := c.side.hello()
	if err != nil {
		return err
	}
	c.writeStage = readies
	_, err = c.Conn.Write(append(greeting(mechanism), hello...))
	return err
}

// sendFrame sends a READY or an ERROR of the handshake, or seals a frame after it.
func (c *Conn) sendFrame(flags byte, body []byte) error {
	if c.writeStage == messages {
		return c.seal(flags, body)
	}
	if bytes.HasPrefix(body, []byte(commandError)) {
		_, err := c.Conn.Write(appendFrame(nil, flagCommand, body))
		return err
	}
	metadata, ok := bytes.CutPrefix(body, []byte(commandReady))
	if !ok || flags&flagCommand == 0 {
		return errCommand
	}
	c.writeStage = messages
	return c.side.sendMetadata(c, metadata)
}

// seal appends a MESSAGE to what is to be sent.
func (c *Conn) seal(flags byte, body []byte) error {
	if c.send.key == nil {
		return errCommand
	}
	var inside byte
	if flags&flagMore != 0 {
		inside |= flagMoreInside
	}
	if flags&flagCommand != 0 {
		inside |= flagCommandInside
	}
	c.content = append(append(resize(c.content, 0), inside), body...)
	c.sealed = appendHeader(c.sealed, 0, messageOverhead+len(body))
	b, err := c.send.append(append(c.sealed, commandMessage...))
	if err != nil {
		return err
	}
	c.sealed = secretbox.Seal(b, c.content, nonce(c.send.prefix, b[len(b)-shortSize:]), c.send.key)
	return nil
}
