package curve

import (
	"encoding/binary"
	"errors"
	"io"
)

// A frame (RFC 23/ZMTP): a header of flags and size, and the body.
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4

	shortHeader = 2 // for bodies of up to 255 bytes
	longHeader  = 9
)

var (
	errFrame    = errors.New("curve: malformed frame")
	errTooLarge = errors.New("curve: frame too large")
)

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// headerSize returns the size of a frame's header in bytes, which its flags tell.
func headerSize(flags byte) int {
	if flags&flagLong != 0 {
		return longHeader
	}
	return shortHeader
}

// parseHeader takes a whole header apart.
func parseHeader(header []byte) (flags byte, size uint64, err error) {
	flags, size = header[0], uint64(header[1])
	if flags&^(flagMore|flagLong|flagCommand) != 0 {
		return 0, 0, errFrame
	}
	if flags&flagLong != 0 {
		size = binary.BigEndian.Uint64(header[1:])
	}
	return flags, size, nil
}

// readHeader reads the header of a frame into buf. The error is io.EOF where there is
// no frame any more.
func readHeader(r io.Reader, buf *[longHeader]byte) (flags byte, size uint64, err error) {
	if _, err := io.ReadFull(r, buf[:shortHeader]); err != nil {
		return 0, 0, err
	}
	header := buf[:headerSize(buf[0])]
	if _, err := io.ReadFull(r, header[shortHeader:]); err != nil {
		return 0, 0, unexpected(err)
	}
	return parseHeader(header)
}

func appendHeader(dst []byte, flags byte, size int) []byte {
	if size <= 255 {
		return append(dst, flags, byte(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, flags|flagLong), uint64(size))
}
