package compression

import (
	"errors"

	"github.com/klauspost/compress/zstd"

	"github.com/remofile/remofile/protocol/remofile2"
)

// The parts of a zstd frame: RFC 8878, section 3.1.1.
const (
	blockHeaderSize = 3
	checksumSize    = 4
	blockLast       = 1
	blockRLE        = 1
	blockReserved   = 3
)

var (
	errSize  = errors.New("a compressed payload is longer when decompressed, and within the limit")
	errFrame = errors.New("a compressed payload is one zstd frame, without a dictionary, of the size that is told")
)

// Size returns how long a payload is when decompressed, as the message's third frame
// tells, if that is allowed.
func Size(payload, size []byte) (int, error) {
	n, err := remofile2.DecodeSize(size)
	if err == nil && (n > remofile2.MaxPayload || n <= int64(len(payload))) {
		err = errSize
	}
	if err != nil {
		return 0, err
	}
	return int(n), nil
}

// Decompress returns the payload that a frame contains, in memory of so many bytes that is
// asked for only then. size is what Size returned. On an error the memory is returned, too.
func (c *Codec) Decompress(frame []byte, size int, memory func(n int) []byte) ([]byte, error) {
	if err := check(frame, size); err != nil {
		return nil, err
	}
	w := <-c.workers
	defer func() { c.workers <- w }()
	payload := memory(size)
	decoded, err := w.decoder.DecodeAll(frame, payload[:0:size])
	if err == nil && len(decoded) != size {
		err = errFrame
	}
	return payload, err
}

// check tells whether b is one whole frame that can be of size bytes when decompressed.
func check(b []byte, size int) error {
	var h zstd.Header
	rest, err := h.DecodeAndStrip(b)
	if err != nil {
		return err
	}
	if h.Skippable || h.DictionaryID != 0 || h.HasFCS && h.FrameContentSize != uint64(size) {
		return errFrame
	}
	last := false
	for blocks := 0; !last; blocks++ {
		if len(rest) < blockHeaderSize || blocks > size/remofile2.MinBlock {
			return errFrame
		}
		header := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16
		last = header&blockLast != 0
		kind, length := header>>1&3, header>>3
		if kind == blockRLE {
			length = 1
		}
		if rest = rest[blockHeaderSize:]; kind == blockReserved || length > len(rest) {
			return errFrame
		}
		rest = rest[length:]
	}
	if h.HasCheckSum != (len(rest) == checksumSize) || !h.HasCheckSum && len(rest) > 0 {
		return errFrame
	}
	return nil
}
