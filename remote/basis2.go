package remote

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/remofile/remofile/protocol/remofile2"
)

// deltaSize is how many bytes a file and the one that it replaces have at least, and one more,
// where TransferOptions.Delta looks at them.
const deltaSize = headSize

// maxDeltas is how many transfers of a client do so at a time: each takes memory for the chunks.
const maxDeltas = 4

// maxKnown is how many chunks of a basis are known at a time. Of a file with more the last ones
// are, and those before them are moved again.
const maxKnown = 1 << 17

// basis is a file that is replaced, as its chunks, which are found by their content. They come
// from next as they are needed.
type basis struct {
	next  func(context.Context) (remofile2.Chunk, error) // fails with io.EOF behind the last one
	ahead int64                                          // bytes behind what is looked for, up to which chunks are known

	known  map[digest]int // number of the first such chunk
	places []place2       // the last maxKnown chunks, each at its number modulo that
	count  int            // chunks so far
	offset int64          // where the next chunk begins
	last   int            // number of the chunk that was found last
	over   bool
}

type digest = [remofile2.DigestSize]byte

// place2 is where a chunk stands.
type place2 struct {
	digest digest
	offset int64
}

func newBasis(exponent uint8, next func(context.Context) (remofile2.Chunk, error)) *basis {
	return &basis{next: next, ahead: maxKnown / 2 << exponent, known: make(map[digest]int), last: -1}
}

// find returns where the basis has the chunk, for a file that has it at an offset.
func (b *basis) find(ctx context.Context, c *remofile2.Chunk, at int64) (offset int64, found bool, err error) {
	following, known, err := b.following(ctx)
	if err != nil {
		return 0, false, err
	}
	if known && following.Digest == c.Digest { // of several that are the same, the likely one
		b.last++
		return b.places[b.last%maxKnown].offset, true, nil
	}
	for {
		number, found := b.known[c.Digest]
		if found {
			b.last = number
			return b.places[number%maxKnown].offset, true, nil
		}
		if b.over || b.offset-at >= b.ahead {
			return 0, false, nil
		}
		if err := b.learn(ctx); err != nil {
			return 0, false, err
		}
	}
}

// following returns the chunk behind the one that was found last, or the first one.
func (b *basis) following(ctx context.Context) (c remofile2.Chunk, known bool, err error) {
	if b.last+1 == b.count && !b.over {
		if err := b.learn(ctx); err != nil {
			return c, false, err
		}
	}
	n := b.last + 1
	if n >= b.count || n < b.count-maxKnown {
		return c, false, nil
	}
	place, end := b.places[n%maxKnown], b.offset
	if n+1 < b.count {
		end = b.places[(n+1)%maxKnown].offset
	}
	return remofile2.Chunk{Length: end - place.offset, Digest: place.digest}, true, nil
}

// learn takes the next chunk.
func (b *basis) learn(ctx context.Context) error {
	c, err := b.next(ctx)
	if err == io.EOF {
		b.over = true
		return nil
	}
	if err != nil {
		return err
	}
	place := place2{c.Digest, b.offset}
	if b.count < maxKnown {
		b.places = append(b.places, place)
	} else {
		oldest := &b.places[b.count%maxKnown]
		if b.known[oldest.digest] == b.count-maxKnown {
			delete(b.known, oldest.digest)
		}
		*oldest = place
	}
	if _, twice := b.known[c.Digest]; !twice {
		b.known[c.Digest] = b.count
	}
	b.count++
	b.offset += c.Length
	return nil
}

// chunkRange is how much of a file a request asks the chunks of, in bytes, or less where the answer could
// be too long.
const chunkRange = 64 << 20

// chunkList is the chunks of a remote file from an offset on, in their order. The next ones are
// asked for before they are needed.
type chunkList struct {
	flow
	exponent uint8
	offset   int64 // where the chunks begin that are asked for
	known    []byte
	over     bool
}

// chunkList begins a list for the file of f.
func (f *flow) chunkList(ctx context.Context, exponent uint8, offset int64) (*chunkList, error) {
	l := &chunkList{flow: flow{session2: f.session2, handle: f.handle}, exponent: exponent, offset: offset}
	return l, l.ask(ctx)
}

func (l *chunkList) ask(ctx context.Context) error {
	most := remofile2.MaxPayload / remofile2.ChunkSize * remofile2.ShortestChunk(l.exponent)
	return l.push(ctx, &remofile2.Request{
		Operation: remofile2.OpChunks, Offset: l.offset, Length: min(chunkRange, most), Exponent: l.exponent,
	}, nil)
}

// next fails with io.EOF behind the last chunk, or where the server tells no more of them.
func (l *chunkList) next(ctx context.Context) (remofile2.Chunk, error) {
	if len(l.known) == 0 && !l.over {
		if err := l.receive(ctx); err != nil {
			return remofile2.Chunk{}, err
		}
	}
	if len(l.known) == 0 {
		return remofile2.Chunk{}, io.EOF
	}
	c := remofile2.DecodeChunk(l.known)
	l.known = l.known[remofile2.ChunkSize:]
	return c, nil
}

// receive takes the next answer, and asks for what follows.
func (l *chunkList) receive(ctx context.Context) error {
	c, err := l.pop(ctx)
	if err != nil {
		l.over = true
		if interrupted(ctx, err) {
			return err
		}
		return nil // it does not know CHUNKS, or can't read the file
	}
	l.known = slices.Clone(c.payload)
	l.release(c)
	l.over = len(l.known) == 0
	for rest := l.known; len(rest) > 0; rest = rest[remofile2.ChunkSize:] {
		if l.over || len(rest) < remofile2.ChunkSize {
			return corrupted(errNoChunk)
		}
		chunk := remofile2.DecodeChunk(rest)
		if chunk.Length > remofile2.LongestChunk(l.exponent) {
			return corrupted(errNoChunk)
		}
		l.over = chunk.Length < remofile2.ShortestChunk(l.exponent) // only the last one can be
		l.offset += chunk.Length
	}
	if l.over {
		return nil
	}
	return l.ask(ctx)
}

var errNoChunk = errors.New("a chunk that can't be")
