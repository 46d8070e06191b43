package curve

import (
	"bytes"
	"crypto/rand"

	"golang.org/x/crypto/nacl/secretbox"

	"github.com/remofile/remofile/protocol"
)

// client is the client's side of the handshake.
type client struct {
	serverKey      Key
	shortPub, priv Key       // the short-term pair, C' and c'
	toServer       *[32]byte // between C' and S
	counter        counter
	refusal        []byte // the ERROR that came instead of WELCOME
}

func (h *client) hello() ([]byte, error) {
	var err error
	if h.shortPub, h.priv, err = GenerateKeys(); err != nil {
		return nil, err
	}
	if h.toServer, err = shared(&h.priv, &h.serverKey); err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, helloSize), commandHello...)
	b = append(append(b, 1, 0), make([]byte, helloPadding)...)
	b = append(b, h.shortPub[:]...)
	if b, err = h.counter.append(b); err != nil {
		return nil, err
	}
	n := nonce(prefixHello, b[len(b)-shortSize:])
	b = secretbox.Seal(b, make([]byte, 64), n, h.toServer)
	return appendFrame(nil, flagCommand, b), nil
}

// sendMetadata reads WELCOME and sends INITIATE.
func (h *client) sendMetadata(c *Conn, metadata []byte) error {
	welcome, err := c.readCommand()
	if err != nil {
		return err
	}
	if bytes.HasPrefix(welcome, []byte(commandError)) {
		h.refusal = welcome
		return nil
	}
	if len(welcome) != welcomeSize || !bytes.HasPrefix(welcome, []byte(commandWelcome)) {
		return errCommand
	}
	rest := welcome[len(commandWelcome):]
	content, err := open(nil, rest[longSize:], nonce(prefixWelcome, rest[:longSize]), h.toServer)
	if err != nil {
		return err
	}
	serverShort, cookie := Key(content), content[len(Key{}):]
	session, err := shared(&h.priv, &serverShort)
	if err != nil {
		return err
	}
	initiate, err := h.initiate(session, &serverShort, cookie, metadata)
	if err != nil {
		return err
	}
	h.priv = Key{}
	c.send = direction{session, prefixMessageClient, h.counter}
	c.receive = direction{key: session, prefix: prefixMessageServer}
	_, err = c.Conn.Write(appendFrame(nil, flagCommand, initiate))
	return err
}

// initiate returns the command INITIATE. The client's long-term key, for which it vouches,
// is made for it.
func (h *client) initiate(session *[32]byte, serverShort *Key, cookie, metadata []byte) ([]byte, error) {
	public, private, err := GenerateKeys()
	if err != nil {
		return nil, err
	}
	vouching, err := shared(&private, serverShort)
	if err != nil {
		return nil, err
	}
	content := append([]byte(nil), public[:]...)
	content = append(content, make([]byte, longSize)...)
	rand.Read(content[len(content)-longSize:])
	n := nonce(prefixVouch, content[len(content)-longSize:])
	content = secretbox.Seal(content, append(h.shortPub[:], h.serverKey[:]...), n, vouching)
	content = append(content, metadata...)

	b := append([]byte(commandInitiate), cookie...)
	if b, err = h.counter.append(b); err != nil {
		return nil, err
	}
	n = nonce(prefixInitiate, b[len(b)-shortSize:])
	b = secretbox.Seal(b, content, n, session)
	if len(b) > protocol.MaxCommand {
		return nil, errCommand
	}
	return b, nil
}

// receiveMetadata reads READY.
func (h *client) receiveMetadata(c *Conn) (metadata, refusal []byte, err error) {
	if h.refusal != nil {
		return nil, h.refusal, nil
	}
	ready, err := c.readCommand()
	if err != nil {
		return nil, nil, err
	}
	if bytes.HasPrefix(ready, []byte(commandError)) {
		return nil, ready, nil
	}
	rest, ok := bytes.CutPrefix(ready, []byte(commandReady))
	if !ok || len(rest) < shortSize+tag {
		return nil, nil, errCommand
	}
	if err := c.receive.check(rest[:shortSize]); err != nil {
		return nil, nil, err
	}
	metadata, err = open(nil, rest[shortSize:], nonce(prefixReady, rest[:shortSize]), c.receive.key)
	return metadata, nil, err
}
