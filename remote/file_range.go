package remote

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/remofile/remofile/protocol/remofile2"
)

// SeekData returns the offset of the next data at or behind off, or fails with NoData. It does not move
// the position of Read.
func (f *File) SeekData(ctx context.Context, off int64) (int64, error) { return f.seek(ctx, off, 0) }

// SeekHole returns the offset of the next hole at or behind off: the end of the file is one.
func (f *File) SeekHole(ctx context.Context, off int64) (int64, error) {
	return f.seek(ctx, off, remofile2.SeekHole)
}

func (f *File) seek(ctx context.Context, off int64, flags remofile2.Flags) (int64, error) {
	const op = "seek"
	if err := checkRange(off, 0); err != nil {
		return 0, f.failure(op, err)
	}
	a, err := f.ask(ctx, op, &remofile2.Request{Operation: remofile2.OpSeek, Offset: off, Flags: flags})
	if err != nil {
		return 0, err
	}
	return a.Offset, nil
}

// AllocateMode tells what Allocate does to a range.
type AllocateMode int

// The modes of Allocate, which are those of fallocate(2).
const (
	AllocateStorage      AllocateMode = iota // reserve storage; the file becomes longer if need be
	AllocateKeepSize                         // reserve storage, behind the end, too
	AllocatePunch                            // make a hole; the size stays
	AllocateZero                             // make it zero; the file becomes longer if need be
	AllocateZeroKeepSize                     // make it zero; the size stays
)

var allocateFlags = [...]remofile2.Flags{
	AllocateKeepSize:     remofile2.AllocateKeepSize,
	AllocatePunch:        remofile2.AllocatePunch,
	AllocateZero:         remofile2.AllocateZero,
	AllocateZeroKeepSize: remofile2.AllocateZero | remofile2.AllocateKeepSize,
}

// Allocate changes what storage a range of the file has.
func (f *File) Allocate(ctx context.Context, off, length int64, m AllocateMode) error {
	const op = "allocate"
	if err := checkRange(off, length); err != nil {
		return f.failure(op, err)
	}
	defer f.changed.Add(1)
	r := remofile2.Request{Operation: remofile2.OpAllocate, Offset: off, Length: length, Flags: allocateFlags[m]}
	_, err := f.ask(ctx, op, &r)
	return err
}

// CopyTo copies a range to another file, or to elsewhere in this one, on the server, and
// returns how much there was to be copied. Both have to be files of one client.
func (f *File) CopyTo(ctx context.Context, off int64, to *File, toOff, length int64) (int64, error) {
	const op = "copy"
	err := errors.Join(checkRange(off, length), checkRange(toOff, length))
	if err == nil && f.session != to.session {
		err = &Error{Code: Unsupported, Err: errors.New("the files are of different sessions")}
	}
	if err != nil {
		return 0, f.failure(op, err)
	}
	defer to.changed.Add(1)
	a, err := f.ask(ctx, op, &remofile2.Request{
		Operation: remofile2.OpCopy, Offset: off, ToHandle: to.handle, ToOffset: toOff, Length: length,
	})
	if err != nil {
		return 0, err
	}
	return a.Length, nil
}

// Digest returns the SHA-256 of each block of a range of the file. The last one may be
// shorter; behind the end there are none. No more than 32768 can be asked for.
func (f *File) Digest(ctx context.Context, off, length, block int64) ([][sha256.Size]byte, error) {
	const op = "digest"
	if err := checkRange(off, length); err != nil {
		return nil, f.failure(op, err)
	}
	r := remofile2.Request{Operation: remofile2.OpDigest, Offset: off, Length: length, Block: block}
	c, err := f.begin(ctx, &r, nil)
	if err == nil {
		_, err = f.session.wait(ctx, c)
	}
	if err != nil {
		return nil, f.failure(op, err)
	}
	digests := make([][sha256.Size]byte, len(c.payload)/sha256.Size)
	for i := range digests {
		copy(digests[i][:], c.payload[i*sha256.Size:])
	}
	f.session.release(c)
	return digests, nil
}
