package curve

import (
	"fmt"
	"io"

	"github.com/remofile/remofile/protocol"
)

// The commands of the handshake, see the package comment. Sizes are in bytes.
const (
	helloName    = "\x05HELLO\x01\x00" // with the version
	welcomeName  = "\x07WELCOME"
	initiateName = "\x08INITIATE"
	readyName    = "\x05READY"
	errorName    = "\x05ERROR"

	helloPadding = 72
	helloProof   = 64
	cookieSize   = 96
	vouchSize    = 2*keySize + boxOverhead

	helloSize   = 200
	welcomeSize = 168
	minInitiate = 257
	minReady    = 30
	minError    = len(errorName) + 1
	// maxPlain is the longest command of the upper side: INITIATE, with the
	// metadata of a READY, is no longer than protocol.MaxCommand then.
	maxPlain = protocol.MaxCommand - minInitiate + len(readyName)
)

// The prefixes of nonces.
const (
	helloPrefix    = "CurveZMQHELLO---"
	welcomePrefix  = "WELCOME-"
	vouchPrefix    = "VOUCH---"
	initiatePrefix = "CurveZMQINITIATE"
	readyPrefix    = "CurveZMQREADY---"
	clientPrefix   = "CurveZMQMESSAGEC"
	serverPrefix   = "CurveZMQMESSAGES"
)

// The short nonces of what is sent before the MESSAGEs.
const (
	helloNonce    = 1
	initiateNonce = 2
	readyNonce    = 1
)

func malformed(command string) error { return fmt.Errorf("curve: malformed %s", command) }

func unopened(command string) error {
	return fmt.Errorf("curve: the box of %s can't be opened", command)
}

// commandFrame returns the frame of a command.
func commandFrame(command []byte) []byte {
	return append(appendHeader(make([]byte, 0, longHeader+len(command)), flagCommand, len(command)), command...)
}

// readCommand reads a command of the handshake, of least to most bytes.
func readCommand(r io.Reader, least, most int) ([]byte, error) {
	flags, size, err := readHeader(r, new([longHeader]byte))
	switch {
	case err != nil:
		return nil, unexpected(err)
	case flags&^flagLong != flagCommand:
		return nil, errFrame
	case size > uint64(most):
		return nil, errTooLarge
	case size < uint64(least):
		return nil, errFrame
	}
	command := make([]byte, size)
	_, err = io.ReadFull(r, command)
	return command, unexpected(err)
}

// plainReady returns what the upper side reads of the peer's metadata.
func plainReady(metadata []byte) []byte {
	return commandFrame(append([]byte(readyName), metadata...))
}
