// Package chunks cuts files where their content says, as CHUNKS of Remofile 2 does: what is
// inserted or removed moves the cuts behind it, and leaves the chunks the same.
package chunks

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/bits"

	"github.com/restic/chunker"

	"github.com/remofile/remofile/protocol/remofile2"
)

// polynomial is the divisor that the specification names.
const polynomial = chunker.Pol(0x3DA3358B4DC173)

// Files have 2^finest chunks or so, small ones fewer, that none has less than 2^minExponent bytes
// on average, large ones more, as the exponent has a bound.
const (
	finest      = 14
	minExponent = 13
)

// Exponent returns what suits a file of so many bytes: the list of its chunks is short beside it.
func Exponent(size int64) uint8 {
	return uint8(min(max(bits.Len64(uint64(size))-1-finest, minExponent), remofile2.MaxExponent))
}

// Cutter cuts what it reads. It holds half a MiB and the longest chunk that it has met.
type Cutter struct {
	chunker  *chunker.Chunker
	exponent uint8
	content  []byte // of the chunk
}

// NewCutter returns a Cutter whose first chunk begins where r does. The exponent is that of CHUNKS.
func NewCutter(r io.Reader, exponent uint8) *Cutter {
	c := &Cutter{chunker: chunker.New(r, polynomial), exponent: exponent}
	c.begin(r)
	return c
}

func (c *Cutter) begin(r io.Reader) {
	shortest, longest := remofile2.ShortestChunk(c.exponent), remofile2.LongestChunk(c.exponent)
	c.chunker.ResetWithBoundaries(r, polynomial, uint(shortest), uint(longest))
	c.chunker.SetAverageBits(int(c.exponent))
}

// First returns the chunk with which b begins, where b has as many bytes as the longest one, or is all
// that there is. The Cutter reads nothing else from then on.
func (c *Cutter) First(b []byte) (remofile2.Chunk, error) {
	c.begin(bytes.NewReader(b))
	chunk, _, err := c.Next()
	return chunk, err
}

// Next returns the next chunk and its content, which is valid until the next call. Behind the
// last one it fails with io.EOF.
func (c *Cutter) Next() (remofile2.Chunk, []byte, error) {
	found, err := c.chunker.Next(c.content)
	if err != nil {
		return remofile2.Chunk{}, nil, err
	}
	c.content = found.Data
	return remofile2.Chunk{Length: int64(found.Length), Digest: sha256.Sum256(found.Data)}, found.Data, nil
}
