package remote

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/chunks"
)

// errBasis is that of a transfer with Delta which did not get right: the file that it
// replaces has changed meanwhile. Without Delta it may.
var errBasis = errors.New("the file that is replaced has changed")

// withoutDelta transfers a file, and again without Delta where that is what went wrong.
func withoutDelta(o TransferOptions, transfer func(TransferOptions) error) error {
	err := transfer(o)
	if errors.Is(err, errBasis) {
		o.Delta = false
		err = transfer(o)
	}
	return err
}

// maxCopy is how much the server copies for one request, in bytes, and maxCalls how many requests
// of an upload with Delta are not yet looked after.
const (
	maxCopy  = 16 << 20
	maxCalls = 64
)

// uploadDelta is an upload to a file that may have much of it.
type uploadDelta struct {
	*upload2
	old  flow      // the file that is replaced
	sum  hash.Hash // of what has been read of the source
	base *basis
	list *chunkList

	from, to, length int64 // what is to be copied next: offsets in both files, and bytes
	copied           bool
}

// openBasis asks for the file that is replaced.
func (u *upload2) openBasis(ctx context.Context, p string) (*uploadDelta, error) {
	d := &uploadDelta{upload2: u, old: flow{session2: u.session2, handle: u.newHandle()}, sum: sha256.New()}
	u.src.Reader = io.TeeReader(u.src.Reader, d.sum)
	open := remofile2.Request{Operation: remofile2.OpOpen, Path: p, Flags: remofile2.OpenRead}
	if !u.o.NoFollow {
		open.Flags |= remofile2.OpenFollow
	}
	return d, d.old.push(ctx, &open, nil)
}

// close lets the file go that is replaced.
func (d *uploadDelta) close() { d.old.close(0) }

// usable reports whether there is a file that it is worth to look at.
func (d *uploadDelta) usable(ctx context.Context) (bool, error) {
	c, err := d.old.pop(ctx)
	if err != nil && interrupted(ctx, err) {
		return false, err
	}
	return err == nil && c.answer.Attr.Size > deltaSize, nil
}

// send sends what is not done yet.
func (d *uploadDelta) send(ctx context.Context) (err error) {
	if err := d.deltas.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	defer d.deltas.Release(1)
	exponent := chunks.Exponent(d.size)
	if d.list, err = d.old.chunkList(ctx, exponent, 0); err != nil {
		return err
	}
	defer d.list.drop()
	d.base = newBasis(exponent, d.list.next)
	in := newPieces(io.LimitReader(d.src, d.size-d.done), exponent)
	for found := true; d.done < d.size; {
		var likely remofile2.Chunk
		if found {
			if likely, _, err = d.base.following(ctx); err != nil {
				return err
			}
		}
		chunk, content, err := in.next(&likely)
		if err != nil {
			return sourceError(err)
		}
		if found, err = d.sendChunk(ctx, &chunk, content); err != nil {
			return err
		}
	}
	if err := d.flush(ctx); err != nil || !d.copied {
		return err
	}
	return d.verify(ctx)
}

// sendChunk sends a chunk, or has it copied where it is found.
func (d *uploadDelta) sendChunk(ctx context.Context, chunk *remofile2.Chunk, content []byte) (found bool, err error) {
	from, found, err := d.base.find(ctx, chunk, d.done)
	if err != nil {
		return false, err
	}
	if !found {
		if err := d.flush(ctx); err != nil {
			return false, err
		}
		return false, d.sendBlock(ctx, content)
	}
	if err := d.o.reportResumed(content, d.size-d.done, d.size, d.name); err != nil {
		return false, err
	}
	if d.length > 0 && (d.from+d.length != from || d.length+chunk.Length > maxCopy) {
		if err := d.flush(ctx); err != nil {
			return false, err
		}
	}
	if d.length == 0 {
		d.from, d.to = from, d.done
	}
	d.length += chunk.Length
	d.done += chunk.Length
	return true, nil
}

// flush has copied what is to be.
func (d *uploadDelta) flush(ctx context.Context) error {
	if d.length == 0 {
		return nil
	}
	for len(d.calls) >= maxCalls {
		if _, err := d.pop(ctx); err != nil {
			return err
		}
	}
	c, err := d.begin(ctx, &remofile2.Request{
		Operation: remofile2.OpCopy, Handle: d.old.handle, Offset: d.from, ToHandle: d.handle, ToOffset: d.to, Length: d.length,
	}, nil)
	if err != nil {
		return err
	}
	d.calls = append(d.calls, c)
	d.length, d.copied = 0, true
	return nil
}

// verify fails with errBasis where the server does not have what the source has: what was copied
// is no longer what it was when it was cut.
func (d *uploadDelta) verify(ctx context.Context) error {
	whole := remofile2.Request{Operation: remofile2.OpDigest, Length: d.size, Block: d.size}
	if err := d.push(ctx, &whole, nil); err != nil {
		return err
	}
	for len(d.calls) > 1 {
		if _, err := d.pop(ctx); err != nil {
			return err
		}
	}
	c, err := d.pop(ctx)
	if err != nil {
		return err
	}
	defer d.release(c)
	if string(c.payload) != string(d.sum.Sum(nil)) {
		return errBasis
	}
	return nil
}

// openLocalBasis opens the file that a download replaces; nil is none that it is worth to look at.
func openLocalBasis(name string) *os.File {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() <= deltaSize {
		f.Close()
		return nil
	}
	return f
}

// downloadDelta is a download to a file that may have much of it.
type downloadDelta struct {
	*download2
	list   *chunkList
	base   *basis
	buffer []byte
}

// newDelta begins with the chunks of the file from an offset on.
func (d *download2) newDelta(ctx context.Context, offset int64) (*downloadDelta, error) {
	exponent := chunks.Exponent(d.attr.Size)
	list, err := d.chunkList(ctx, exponent, offset)
	cutter := chunks.NewCutter(io.NewSectionReader(d.o.basis, 0, 1<<63-1), exponent)
	base := newBasis(exponent, func(context.Context) (remofile2.Chunk, error) {
		chunk, _, err := cutter.Next()
		if err != nil {
			err = io.EOF // it can't be read: there is no more of it
		}
		return chunk, err
	})
	return &downloadDelta{download2: d, list: list, base: base, buffer: make([]byte, remofile2.LongestChunk(exponent))}, err
}

// take takes the next chunk from the file that is replaced, and reports whether that has it. If not, it
// is to be asked for.
func (d *downloadDelta) take(ctx context.Context) (there bool, err error) {
	chunk, err := d.list.next(ctx)
	if err == io.EOF || err == nil && chunk.Length > d.attr.Size-d.asked {
		d.checked = d.attr.Size // the rest
		return false, nil
	}
	if err != nil {
		return false, err
	}
	d.checked = d.asked + chunk.Length
	from, found, err := d.base.find(ctx, &chunk, d.asked)
	if err != nil || !found {
		return false, err
	}
	content := d.buffer[:chunk.Length]
	if _, err := d.o.basis.ReadAt(content, from); err != nil || sha256.Sum256(content) != chunk.Digest {
		return false, nil // it has changed meanwhile
	}
	if err := d.o.reportResumed(content, d.attr.Size-d.done, d.attr.Size, d.name); err != nil {
		return false, err
	}
	n, err := d.part.WriteAt(content, d.asked)
	d.asked = d.checked
	d.done += int64(n)
	return true, err
}
