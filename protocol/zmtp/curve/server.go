package curve

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"io"
	"slices"

	"github.com/remofile/remofile/protocol"
)

// ErrKey is a client that took the server for another one: its HELLO can't be opened
// with the server's key.
var ErrKey = errors.New("curve: HELLO is not for this server's key")

// server is the server's part of the handshake.
type server struct {
	conn  *Conn
	cfg   *Config
	stage stage

	client          Key // C'
	public, private Key // S' and s'
	cookie          [cookieSize]byte
	received        sequence
	session         *boxKey // of C' and S'
}

// greet implements handshake.
func (h *server) greet() error {
	_, err := h.conn.Conn.Write(greeting("CURVE", 1))
	return err
}

// receive implements handshake.
func (h *server) receive() ([]byte, error) {
	switch {
	case h.stage == awaitGreeting:
		h.stage = awaitHello
		return readGreeting(h.conn.Conn)
	case h.stage == awaitHello && h.conn.greeting == 0:
		return nil, h.receiveHello()
	case h.stage == awaitInitiate:
		return h.receiveInitiate()
	case h.stage == refused:
		return nil, io.EOF
	default:
		return nil, errTurn
	}
}

// receiveHello answers HELLO with WELCOME.
func (h *server) receiveHello() error {
	command, err := readCommand(h.conn.Conn, helloSize, helloSize)
	if err != nil {
		return err
	}
	// The padding is zero, as RFC 26 has it: so no byte of a handshake can be
	// changed without notice.
	fields, found := bytes.CutPrefix(command, slices.Concat([]byte(helloName), make([]byte, helloPadding)))
	if !found {
		return malformed("HELLO")
	}
	h.client = Key(fields[:keySize])
	hello, err := sharedKey(&h.client, &h.cfg.PrivateKey)
	if err != nil {
		return ErrKey // of low order: nobody who knows our key sends that
	}
	nonce, box := fields[keySize:][:shortNonceSize], fields[keySize+shortNonceSize:]
	if _, ok := hello.open(nil, box, fullNonce(helloPrefix, nonce)); !ok {
		return ErrKey
	}
	h.received = firstNonce(nonce)
	h.stage = awaitInitiate
	if h.cfg.Known != nil {
		h.cfg.Known()
	}
	return h.sendWelcome(hello)
}

// sendWelcome sends WELCOME. Its cookie is any bytes: what a cookie stands for in RFC 26,
// so that a server needs no memory of HELLO, is kept in h.
func (h *server) sendWelcome(hello *boxKey) error {
	var err error
	if h.public, h.private, err = GenerateKeys(); err != nil {
		return err
	}
	nonce := make([]byte, longNonceSize)
	rand.Read(nonce) // never fails
	rand.Read(h.cookie[:])
	command := append([]byte(welcomeName), nonce...)
	command = hello.seal(command, slices.Concat(h.public[:], h.cookie[:]), fullNonce(welcomePrefix, nonce))
	_, err = h.conn.Conn.Write(commandFrame(command))
	return err
}

func (h *server) receiveInitiate() ([]byte, error) {
	command, err := readCommand(h.conn.Conn, minInitiate, protocol.MaxCommand)
	if err != nil {
		return nil, err
	}
	fields, found := bytes.CutPrefix(command, []byte(initiateName))
	if !found {
		return nil, malformed("INITIATE")
	}
	cookie, nonce, box := fields[:cookieSize], fields[cookieSize:][:shortNonceSize], fields[cookieSize+shortNonceSize:]
	if subtle.ConstantTimeCompare(cookie, h.cookie[:]) != 1 {
		return nil, malformed("INITIATE")
	}
	if err := h.received.accept(nonce); err != nil {
		return nil, err
	}
	if h.session, err = sharedKey(&h.client, &h.private); err != nil {
		return nil, err
	}
	plain, ok := h.session.open(nil, box, fullNonce(initiatePrefix, nonce))
	if !ok {
		return nil, unopened("INITIATE")
	}
	err = h.checkVouch(plain[:keySize+longNonceSize+vouchSize])
	clear(h.private[:])
	if err != nil {
		return nil, err
	}
	h.stage = awaitUpper
	return plainReady(plain[keySize+longNonceSize+vouchSize:]), nil
}

// checkVouch checks that the owner of C, whoever that is, vouches for C' and knows which
// server it speaks to. With C first, that is how INITIATE's box begins.
func (h *server) checkVouch(b []byte) error {
	long, nonce, box := Key(b[:keySize]), b[keySize:][:longNonceSize], b[keySize+longNonceSize:]
	vouch, err := sharedKey(&long, &h.private)
	if err != nil {
		return err
	}
	plain, ok := vouch.open(nil, box, fullNonce(vouchPrefix, nonce))
	if !ok {
		return unopened("the vouch")
	}
	public, err := h.cfg.PrivateKey.Public()
	if err != nil {
		return err
	}
	if Key(plain[:keySize]) != h.client || Key(plain[keySize:]) != public {
		return malformed("vouch")
	}
	return nil
}

// ready implements handshake.
func (h *server) ready(metadata []byte) error {
	for h.stage < awaitUpper {
		if err := h.conn.receive(); err != nil {
			return err
		}
	}
	if h.stage == refused {
		return errRefused
	}
	nonce := shortNonce(readyNonce)
	command := append([]byte(readyName), nonce...)
	command = h.session.seal(command, metadata, fullNonce(readyPrefix, nonce))
	if _, err := h.conn.Conn.Write(commandFrame(command)); err != nil {
		return err
	}
	h.conn.established(
		newOpener(clientPrefix, h.session, h.received, h.cfg.MaxFrame),
		newSealer(serverPrefix, h.session, sequence{last: readyNonce}))
	return nil
}

// refuse implements handshake.
func (h *server) refuse(command []byte) error {
	if h.stage == refused {
		return errRefused
	}
	h.stage = refused
	_, err := h.conn.Conn.Write(commandFrame(command))
	return err
}
