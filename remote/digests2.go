package remote

import (
	"bytes"
	"context"
	"crypto/sha256"

	"github.com/remofile/remofile/protocol/remofile2"
)

const (
	// headSize is how much of an upload is sent before it is known whether the server has a
	// part of it, in bytes: one that is new waits for nothing. Longer files can be resumed.
	headSize = 1 << 20
	// blockSize is how much of a file has a digest, in bytes, or a bit more.
	blockSize = 256 << 10
	// digestBlocks is how many digests a request asks for, and digestRequests how many of
	// these are under way: while we compute some, the server computes the next.
	digestBlocks   = 32
	digestRequests = 8
)

// block is how many bytes of a file are compared at a time: some whole chunks, where their
// size is fixed.
func (f *flow) block() int64 {
	unit := max(f.fixed, 1)
	return (blockSize + unit - 1) / unit * unit
}

// digests are those of the blocks of a remote file, in their order. They are asked for before
// they are needed.
type digests struct {
	flow
	block      int64 // bytes; the last one may be shorter
	asked, end int64 // offsets
	known      []byte
}

// digests returns the digests from an offset on of as many whole blocks as there are had bytes,
// or up to the end of the file where it is to have no more than that.
func (f *flow) digests(from, had, size int64) *digests {
	block, end := f.block(), min(had, size)
	if end < size {
		end = from + max(0, end-from)/block*block
	}
	return &digests{flow: flow{session2: f.session2, handle: f.handle}, block: block, asked: from, end: end}
}

// equal reports whether the next block is the same here. What is compared has to be written
// after that.
func (d *digests) equal(ctx context.Context, here []byte) (bool, error) {
	if err := d.ask(ctx); err != nil {
		return false, err
	}
	digest := sha256.Sum256(here)
	if len(d.known) == 0 {
		if err := d.receive(ctx); err != nil {
			return false, err
		}
	}
	same := bytes.Equal(d.known[:sha256.Size], digest[:])
	d.known = d.known[sha256.Size:]
	return same, nil
}

func (d *digests) ask(ctx context.Context) error {
	for d.asked < d.end && len(d.calls) < digestRequests {
		r := remofile2.Request{
			Operation: remofile2.OpDigest, Offset: d.asked, Length: min(digestBlocks*d.block, d.end-d.asked), Block: d.block,
		}
		if err := d.push(ctx, &r, nil); err != nil {
			return err
		}
		d.asked += r.Length
	}
	return nil
}

// receive takes the next answer. A block behind the end of the file, which may have become
// shorter, has no digest, but zeros: nothing is equal to that.
func (d *digests) receive(ctx context.Context) error {
	c, err := d.pop(ctx)
	if err != nil {
		return err
	}
	d.known = make([]byte, c.Blocks()*remofile2.DigestSize)
	copy(d.known, c.payload)
	d.release(c)
	return nil
}
