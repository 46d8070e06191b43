package remote

import (
	"context"
	"encoding/binary"
	"io"
	"testing"

	"github.com/remofile/remofile/protocol/remofile2"
)

// numberedChunk is that of that number of a long file.
func numberedChunk(n int) (c remofile2.Chunk) {
	c.Length = 1 << 13
	binary.BigEndian.PutUint64(c.Digest[:], uint64(n))
	return c
}

// TestALongBasisIsForgotten from its beginning on: what is known of it is bounded, and what is
// looked for at its place is found all the same.
func TestALongBasisIsForgotten(t *testing.T) {
	const all = 3*maxKnown + 5
	next := 0
	b := newBasis(13, func(context.Context) (remofile2.Chunk, error) {
		if next == all {
			return remofile2.Chunk{}, io.EOF
		}
		next++
		return numberedChunk(next - 1), nil
	})
	find := func(n int, at int64) (int64, bool) {
		c := numberedChunk(n)
		offset, found, err := b.find(t.Context(), &c, at)
		if err != nil {
			t.Fatal(err)
		}
		return offset, found
	}
	for n := range all {
		at := int64(n) << 13
		if n%1000 == 1 { // something new makes it look ahead
			if _, found := find(all+n, at); found {
				t.Fatalf("what is new is found before %d", n)
			}
		}
		if offset, found := find(n, at); !found || offset != at {
			t.Fatalf("chunk %d: found %v at %d", n, found, offset)
		}
		if len(b.places) > maxKnown || len(b.known) > maxKnown {
			t.Fatalf("%d chunks are known, %d digests", len(b.places), len(b.known))
		}
	}
	if _, found := find(0, all<<13); found {
		t.Error("the first one is still known")
	}
	if offset, found := find(all-10, all<<13); !found || offset != (all-10)<<13 {
		t.Errorf("one of the last: found %v at %d", found, offset)
	}
}

// TestARunIsFoundInItsOrder, so that it can be copied at once.
func TestARunIsFoundInItsOrder(t *testing.T) {
	run := []int{7, 1, 1, 1, 1, 8, 1, 1}
	next := 0
	b := newBasis(13, func(context.Context) (remofile2.Chunk, error) {
		if next == len(run) {
			return remofile2.Chunk{}, io.EOF
		}
		next++
		return numberedChunk(run[next-1]), nil
	})
	for i, n := range run {
		c := numberedChunk(n)
		offset, found, err := b.find(t.Context(), &c, 0)
		if err != nil || !found || offset != int64(i)<<13 {
			t.Errorf("chunk %d: found %v at %d, error %v", i, found, offset, err)
		}
	}
}
