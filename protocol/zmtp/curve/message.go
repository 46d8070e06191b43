package curve

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
)

// A MESSAGE: its name, a short nonce, and the box of a byte of flags and the body of a
// frame.
const (
	messageName     = "\x07MESSAGE"
	messageBoxFrom  = len(messageName) + shortNonceSize
	messageOverhead = messageBoxFrom + boxOverhead + 1

	messageMore    = 1
	messageCommand = 2
)

const (
	// flushSize is how much is collected before it is sent, in bytes.
	flushSize = 1 << 20
	// keepSize is the largest buffer that outlives its use, in bytes: frames of
	// 1 MiB don't need a new one each.
	keepSize = 2 << 20
)

// keep returns b, empty, unless it is too large to be kept.
func keep(b []byte) []byte {
	if cap(b) > keepSize {
		return nil
	}
	return b[:0]
}

// resize returns n bytes, those of b if it has as many. Their content is lost.
func resize(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// opener turns the MESSAGEs of the peer into frames.
type opener struct {
	sequence
	key      *boxKey
	nonce    [nonceSize]byte
	maxFrame int // bytes of a body

	header [longHeader]byte
	box    []byte
	frame  []byte
}

func newOpener(prefix string, key *boxKey, received sequence, maxFrame int) *opener {
	return &opener{sequence: received, key: key, nonce: *fullNonce(prefix, nil), maxFrame: maxFrame}
}

// read returns the next frame, which is valid until it is called again. libzmq sets no
// flags for the frame of a MESSAGE; that it is a command could be said, too.
func (o *opener) read(r io.Reader) ([]byte, error) {
	o.frame = keep(o.frame)
	flags, size, err := readHeader(r, &o.header)
	switch {
	case err != nil:
		return nil, err
	case flags&flagMore != 0, size < uint64(messageOverhead):
		return nil, errFrame
	case size > uint64(o.maxFrame)+uint64(messageOverhead):
		return nil, errTooLarge
	}
	o.box = resize(o.box, int(size))
	if _, err := io.ReadFull(r, o.box); err != nil {
		return nil, unexpected(err)
	}
	frame, err := o.open(o.box)
	o.box = keep(o.box)
	return frame, err
}

// open returns the frame in a MESSAGE.
func (o *opener) open(message []byte) ([]byte, error) {
	if string(message[:len(messageName)]) != messageName {
		return nil, malformed("MESSAGE")
	}
	carried := message[len(messageName):messageBoxFrom]
	if err := o.accept(carried); err != nil {
		return nil, err
	}
	copy(o.nonce[nonceSize-shortNonceSize:], carried)
	// What is opened begins with the flags. The header of the frame comes to stand
	// where they were and before them, so that the body stays in its place.
	o.frame = resize(o.frame, longHeader+len(message)-messageOverhead)
	plain, ok := o.key.open(o.frame[:longHeader-1], message[messageBoxFrom:], &o.nonce)
	if !ok {
		return nil, unopened("MESSAGE")
	}
	return putHeader(plain)
}

// putHeader turns 8 bytes of anything, the flags of a MESSAGE and the body into a frame.
func putHeader(b []byte) ([]byte, error) {
	inner, size := b[longHeader-1], len(b)-longHeader
	if inner&^(messageMore|messageCommand) != 0 {
		return nil, malformed("MESSAGE")
	}
	flags := inner & messageMore
	if inner&messageCommand != 0 {
		flags |= flagCommand
	}
	from := longHeader - shortHeader
	if size > math.MaxUint8 {
		from = 0
	}
	appendHeader(b[from:from], flags, size)
	return b[from:], nil
}

// sealer turns frames into MESSAGEs for the peer.
type sealer struct {
	sequence
	key   *boxKey
	nonce [nonceSize]byte

	out []byte // what is to be sent
}

func newSealer(prefix string, key *boxKey, sent sequence) *sealer {
	return &sealer{sequence: sent, key: key, nonce: *fullNonce(prefix, nil)}
}

// add seals a frame: the flags of its MESSAGE and its body.
func (s *sealer) add(frame []byte) error {
	short, err := s.next()
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint64(s.nonce[nonceSize-shortNonceSize:], short)
	size := messageBoxFrom + boxOverhead + len(frame)
	s.out = slices.Grow(s.out, longHeader+size)
	s.out = append(appendHeader(s.out, 0, size), messageName...)
	s.out = binary.BigEndian.AppendUint64(s.out, short)
	s.out = s.key.seal(s.out, frame, &s.nonce)
	return nil
}

// flush sends what was added.
func (s *sealer) flush(w io.Writer) error {
	if len(s.out) == 0 {
		return nil
	}
	_, err := w.Write(s.out)
	s.out = keep(s.out)
	return err
}
