package curve

import (
	"bytes"
	"crypto/rand"
	"io"
	"slices"

	"github.com/remofile/remofile/protocol"
)

// client is the client's part of the handshake.
type client struct {
	conn  *Conn
	cfg   *Config
	stage stage

	public, private Key     // C' and c'
	hello           *boxKey // of C' and S
	server          Key     // S'
	session         *boxKey // of C' and S'
	cookie          []byte
}

// greet implements handshake. HELLO leaves with the greeting, which saves a round trip;
// it holds no secret, so that a server of another mechanism learns nothing.
func (h *client) greet() error {
	var err error
	if h.public, h.private, err = GenerateKeys(); err != nil {
		return err
	}
	if h.hello, err = sharedKey(&h.cfg.ServerKey, &h.private); err != nil {
		return err
	}
	nonce := shortNonce(helloNonce)
	command := slices.Concat([]byte(helloName), make([]byte, helloPadding), h.public[:], nonce)
	command = h.hello.seal(command, make([]byte, helloProof), fullNonce(helloPrefix, nonce))
	_, err = h.conn.Conn.Write(append(greeting("CURVE", 0), commandFrame(command)...))
	return err
}

// receive implements handshake.
func (h *client) receive() ([]byte, error) {
	switch h.stage {
	case awaitGreeting:
		h.stage = awaitWelcome
		return readGreeting(h.conn.Conn)
	case awaitWelcome, awaitReady:
		command, err := readCommand(h.conn.Conn, minError, protocol.MaxCommand)
		switch {
		case err != nil:
			return nil, err
		case bytes.HasPrefix(command, []byte(errorName)):
			return h.receiveError(command)
		case h.stage == awaitWelcome:
			return nil, h.receiveWelcome(command)
		default:
			return h.receiveReady(command)
		}
	case refused:
		return nil, io.EOF
	default:
		return nil, errTurn
	}
}

// receiveError takes an ERROR, which anybody can have sent.
func (h *client) receiveError(command []byte) ([]byte, error) {
	if reason := int(command[len(errorName)]); reason > len(command)-minError {
		return nil, malformed("ERROR")
	}
	h.stage = refused
	return commandFrame(command), nil
}

func (h *client) receiveWelcome(command []byte) error {
	if len(command) != welcomeSize || !bytes.HasPrefix(command, []byte(welcomeName)) {
		return malformed("WELCOME")
	}
	nonce, box := command[len(welcomeName):][:longNonceSize], command[len(welcomeName)+longNonceSize:]
	plain, ok := h.hello.open(nil, box, fullNonce(welcomePrefix, nonce))
	if !ok {
		return unopened("WELCOME")
	}
	h.server, h.cookie = Key(plain[:keySize]), plain[keySize:]
	var err error
	h.session, err = sharedKey(&h.server, &h.private)
	clear(h.private[:])
	h.stage = awaitUpper
	return err
}

// ready implements handshake.
func (h *client) ready(metadata []byte) error {
	for h.stage < awaitUpper {
		if err := h.conn.receive(); err != nil {
			return err
		}
	}
	switch {
	case h.stage == refused && len(h.conn.pending) > 0:
		return nil // that is for the upper side to read
	case h.stage == refused:
		return errRefused
	case h.stage != awaitUpper:
		return errTurn
	}
	initiate, err := h.sealInitiate(metadata)
	if err != nil {
		return err
	}
	h.stage = awaitReady
	_, err = h.conn.Conn.Write(commandFrame(initiate))
	return err
}

// refuse implements handshake: CURVE has no such thing.
func (h *client) refuse([]byte) error { return errTurn }

// sealInitiate returns INITIATE with a long-term key, C, that is used once.
func (h *client) sealInitiate(metadata []byte) ([]byte, error) {
	public, private, err := GenerateKeys()
	if err != nil {
		return nil, err
	}
	vouch, err := sharedKey(&h.server, &private)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, longNonceSize)
	rand.Read(nonce) // never fails
	plain := slices.Concat(public[:], nonce)
	plain = vouch.seal(plain, slices.Concat(h.public[:], h.cfg.ServerKey[:]), fullNonce(vouchPrefix, nonce))
	plain = append(plain, metadata...)

	nonce = shortNonce(initiateNonce)
	command := slices.Concat([]byte(initiateName), h.cookie, nonce)
	return h.session.seal(command, plain, fullNonce(initiatePrefix, nonce)), nil
}

func (h *client) receiveReady(command []byte) ([]byte, error) {
	if len(command) < minReady || !bytes.HasPrefix(command, []byte(readyName)) {
		return nil, malformed("READY")
	}
	nonce, box := command[len(readyName):][:shortNonceSize], command[len(readyName)+shortNonceSize:]
	metadata, ok := h.session.open(nil, box, fullNonce(readyPrefix, nonce))
	if !ok {
		return nil, unopened("READY")
	}
	h.conn.established(
		newOpener(serverPrefix, h.session, firstNonce(nonce), h.cfg.MaxFrame),
		newSealer(clientPrefix, h.session, sequence{last: initiateNonce}))
	return plainReady(metadata), nil
}
