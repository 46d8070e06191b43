package server

import (
	"math/bits"
	"sync"

	"github.com/remofile/remofile/protocol/remofile2"
)

// Buffers of 2^minBufferBits bytes and more are used again. The largest hold the longest
// payload with a header before it.
const (
	minBufferBits = 12
	maxBufferBits = 20
	headerRoom    = 4 << 10 // most have less than 100 bytes
)

// buffers are the memory of payloads, to be used again: a pool for each power of two, so that
// what a buffer takes is no more than twice what was asked for, and a header.
type buffers struct {
	pools [maxBufferBits + 1]sync.Pool
}

// get returns n bytes of any content.
func (b *buffers) get(n int) []byte {
	class := bits.Len(uint(max(n, 1) - 1))
	if class < minBufferBits || class > maxBufferBits {
		return make([]byte, n)
	}
	if kept, ok := b.pools[class].Get().(*[]byte); ok {
		return (*kept)[:n]
	}
	return make([]byte, n, 1<<class+headerRoom)
}

// put takes a buffer back which nobody uses any longer.
func (b *buffers) put(p []byte) {
	p = p[:0]
	class := bits.Len(uint(max(cap(p)-headerRoom, 1))) - 1
	if class >= minBufferBits && class <= maxBufferBits {
		b.pools[class].Put(&p)
	}
}

// message returns the memory for the next message of a connection.
func (b *buffers) message() []byte { return b.get(remofile2.MaxPayload)[:0] }
