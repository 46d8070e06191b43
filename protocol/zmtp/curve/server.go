package curve

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"

	"golang.org/x/crypto/nacl/secretbox"
)

// server is the server's side of the handshake.
type server struct {
	private Key
}

// hello: a server sends nothing with its greeting.
func (*server) hello() ([]byte, error) { return nil, nil }

// receiveMetadata reads HELLO, sends WELCOME and reads INITIATE.
func (h *server) receiveMetadata(c *Conn) (metadata, refusal []byte, err error) {
	hello, err := c.readCommand()
	if err != nil {
		return nil, nil, err
	}
	short, toClient, err := h.openHello(c, hello)
	if err != nil {
		return nil, nil, err
	}
	public, private, err := GenerateKeys()
	if err != nil {
		return nil, nil, err
	}
	cookie := make([]byte, cookieSize)
	rand.Read(cookie)
	if err := h.welcome(c, toClient, &public, cookie); err != nil {
		return nil, nil, err
	}
	session, err := shared(&private, short)
	if err != nil {
		return nil, nil, err
	}
	initiate, err := c.readCommand()
	if err != nil {
		return nil, nil, err
	}
	c.receive.key, c.receive.prefix = session, prefixMessageClient
	c.send = direction{key: session, prefix: prefixMessageServer}
	metadata, err = h.openInitiate(c, initiate, short, &private, cookie)
	return metadata, nil, err
}

// openHello returns the client's short-term key, and the key between that and ours.
func (h *server) openHello(c *Conn, hello []byte) (short *Key, toClient *[32]byte, err error) {
	rest, ok := bytes.CutPrefix(hello, []byte(commandHello+"\x01\x00"))
	if !ok || len(hello) != helloSize {
		return nil, nil, errCommand
	}
	rest = rest[helloPadding:] // libzmq doesn't look at it either
	short = (*Key)(bytes.Clone(rest[:len(Key{})]))
	rest = rest[len(short):]
	if err := c.receive.check(rest[:shortSize]); err != nil {
		return nil, nil, err
	}
	if toClient, err = shared(&h.private, short); err != nil {
		return nil, nil, errCommand
	}
	content, err := open(nil, rest[shortSize:], nonce(prefixHello, rest[:shortSize]), toClient)
	if err != nil {
		return nil, nil, ErrKey
	}
	if !bytes.Equal(content, make([]byte, 64)) {
		return nil, nil, errCommand
	}
	return short, toClient, nil
}

func (h *server) welcome(c *Conn, toClient *[32]byte, public *Key, cookie []byte) error {
	b := append(make([]byte, 0, welcomeSize), commandWelcome...)
	b = append(b, make([]byte, longSize)...)
	long := b[len(commandWelcome):]
	rand.Read(long)
	b = secretbox.Seal(b, append(public[:len(public):len(public)], cookie...), nonce(prefixWelcome, long), toClient)
	_, err := c.Conn.Write(appendFrame(nil, flagCommand, b))
	return err
}

// openInitiate returns the metadata. The vouch proves that the client's two keys belong
// together.
func (h *server) openInitiate(c *Conn, initiate []byte, short, private *Key, cookie []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(initiate, []byte(commandInitiate))
	if !ok || len(rest) < cookieSize+shortSize+tag || subtle.ConstantTimeCompare(rest[:cookieSize], cookie) != 1 {
		return nil, errCommand
	}
	rest = rest[cookieSize:]
	if err := c.receive.check(rest[:shortSize]); err != nil {
		return nil, err
	}
	content, err := open(nil, rest[shortSize:], nonce(prefixInitiate, rest[:shortSize]), c.receive.key)
	if err != nil {
		return nil, err
	}
	if len(content) < len(Key{})+vouchSize {
		return nil, errCommand
	}
	long, vouch := Key(content[:len(Key{})]), content[len(Key{}):][:vouchSize]
	vouching, err := shared(private, &long)
	if err != nil {
		return nil, errCommand
	}
	vouched, err := open(nil, vouch[longSize:], nonce(prefixVouch, vouch[:longSize]), vouching)
	if err != nil {
		return nil, err
	}
	own, err := h.private.Public()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(vouched, append(short[:len(short):len(short)], own[:]...)) {
		return nil, errCommand
	}
	return content[len(Key{})+vouchSize:], nil
}

// sendMetadata sends READY.
func (h *server) sendMetadata(c *Conn, metadata []byte) error {
	b, err := c.send.append([]byte(commandReady))
	if err != nil {
		return err
	}
	n := nonce(prefixReady, b[len(b)-shortSize:])
	b = secretbox.Seal(b, metadata, n, c.send.key)
	_, err = c.Conn.Write(appendFrame(nil, flagCommand, b))
	return err
}
