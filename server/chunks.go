package server

import (
	"io"
	"math"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/chunks"
)

// cut is CHUNKS, a piece for each chunk.
func (t *task) cut() error {
	f, err := t.opened()
	if err != nil {
		return err
	}
	if t.Chunks() > remofile2.MaxPayload/remofile2.ChunkSize {
		return code(remofile2.CodeBadRequest)
	}
	cutter := chunks.NewCutter(io.NewSectionReader(f, t.Offset, math.MaxInt64-t.Offset), t.Exponent)
	for done := int64(0); done < t.Length; {
		n, err := t.inTurn(func() (int64, error) {
			chunk, _, err := cutter.Next()
			if err == nil {
				t.out = remofile2.AppendChunk(t.out, &chunk)
			}
			return chunk.Length, err
		})
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}
