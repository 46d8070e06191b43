package remote

import (
	"bufio"
	"crypto/sha256"
	"io"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/chunks"
)

// pieces are the chunks of what is read, one after the other.
type pieces struct {
	in      *bufio.Reader
	cutter  *chunks.Cutter
	longest int // bytes of a chunk
	taken   int // bytes of the last one, which are still in the reader
}

func newPieces(r io.Reader, exponent uint8) *pieces {
	longest := int(remofile2.LongestChunk(exponent))
	return &pieces{in: bufio.NewReaderSize(r, longest), cutter: chunks.NewCutter(nil, exponent), longest: longest}
}

// next returns the next chunk and its content, which is valid until the next call. Where that is the
// likely one, which one of 0 bytes never is, it is not searched for where it ends: that takes longer than its
// digest. Behind the last one it fails with io.EOF.
func (p *pieces) next(likely *remofile2.Chunk) (chunk remofile2.Chunk, content []byte, err error) {
	p.in.Discard(p.taken) // it has them
	if likely.Length > 0 {
		content, err = p.in.Peek(int(likely.Length))
		if err == nil && sha256.Sum256(content) == likely.Digest {
			p.taken = len(content)
			return *likely, content, nil
		}
	}
	if content, err = p.in.Peek(p.longest); err != nil && err != io.EOF {
		return chunk, nil, err
	}
	if chunk, err = p.cutter.First(content); err != nil {
		return chunk, nil, err
	}
	p.taken = int(chunk.Length)
	return chunk, content[:p.taken], nil
}
