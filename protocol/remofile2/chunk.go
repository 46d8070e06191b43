package remofile2

import (
	"crypto/sha256"
	"encoding/binary"
)

// Bounds of the exponent of CHUNKS.
const (
	MinExponent = 12
	MaxExponent = 20
)

// ChunkSize is how long a chunk is in the answer to CHUNKS, in bytes.
const ChunkSize = 4 + sha256.Size

// Chunk is a piece of a file that ends where its content says.
type Chunk struct {
	Length int64 // bytes
	Digest [sha256.Size]byte
}

// AppendChunk appends c as it stands in an answer.
func AppendChunk(b []byte, c *Chunk) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(c.Length)), c.Digest[:]...)
}

// DecodeChunk returns the chunk with which b, of at least ChunkSize bytes, begins.
func DecodeChunk(b []byte) (c Chunk) {
	c.Length = int64(binary.BigEndian.Uint32(b))
	copy(c.Digest[:], b[4:])
	return c
}

// ShortestChunk returns how many bytes a chunk has that is not the last of its file, or more.
func ShortestChunk(exponent uint8) int64 { return 1 << (exponent - 2) }

// LongestChunk returns how many bytes a chunk has at most.
func LongestChunk(exponent uint8) int64 { return 1 << (exponent + 2) }
