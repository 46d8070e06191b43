package server

import (
	"crypto/sha256"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// The operations that may take long, piece by piece.

// How many bytes are copied, or digested, before a look whether to go on.
const (
	copyPiece   = 4 << 20
	digestPiece = 256 << 10
)

// copyRange is COPY.
func (t *task) copyRange() error {
	from, err := t.opened()
	if err != nil {
		return err
	}
	length, err := t.copyLength(from)
	if err != nil {
		return err
	}
	for t.answer.Length < length {
		n, err := t.inTurn(func() (n int64, err error) {
			err = t.own(t.session.placeOf(t.to), unix.IN_MODIFY, func() (err error) {
				n, err = t.copyPiece(from, min(copyPiece, length-t.answer.Length))
				return err
			})
			return n, err
		})
		if err != nil {
			return err
		}
		if n == 0 {
			return nil // the file has become shorter
		}
		t.answer.Length += n
	}
	return nil
}

// copyPiece copies the next bytes, as many or fewer.
func (t *task) copyPiece(from *os.File, length int64) (int64, error) {
	to, done, err := t.to.changing()
	if err != nil {
		return 0, err
	}
	defer done()
	in, out := t.Offset+t.answer.Length, t.ToOffset+t.answer.Length
	if err := t.to.grow(out+length, length); err != nil {
		return 0, err
	}
	return copyBytes(from, to, in, out, length)
}

// copyLength returns how much there is to be copied, and checks that it may be: ranges of one
// file must not overlap.
func (t *task) copyLength(from *os.File) (int64, error) {
	to, done, err := t.to.changing()
	if err != nil {
		return 0, err
	}
	defer done()
	var source, target unix.Stat_t
	if err := fstat(int(from.Fd()), &source); err != nil {
		return 0, err
	}
	if err := fstat(int(to.Fd()), &target); err != nil {
		return 0, err
	}
	length := max(0, min(t.Length, source.Size-t.Offset))
	if idOf(&source) == idOf(&target) && t.Offset < t.ToOffset+length && t.ToOffset < t.Offset+length {
		return 0, code(remofile2.CodeBadRequest)
	}
	return length, t.session.server.checkGrowth(to, t.ToOffset+length)
}

// copyBytes copies in the kernel, or where that can't, by hand.
func copyBytes(from, to *os.File, in, out, length int64) (int64, error) {
	var n int
	err := retry(func() (err error) {
		n, err = unix.CopyFileRange(int(from.Fd()), &in, int(to.Fd()), &out, int(length), 0)
		return err
	})
	switch err {
	case nil:
		return int64(n), nil
	case unix.EXDEV, unix.EINVAL, unix.EOPNOTSUPP, unix.ENOSYS:
		return io.Copy(io.NewOffsetWriter(to, out), io.NewSectionReader(from, in, length))
	default:
		return 0, err
	}
}

// digest is DIGEST.
func (t *task) digest() error {
	f, err := t.opened()
	if err != nil {
		return err
	}
	if t.Blocks() > remofile2.MaxPayload/remofile2.DigestSize {
		return code(remofile2.CodeBadRequest)
	}
	t.out = make([]byte, 0, t.cost)
	hash := sha256.New()
	for rest := t.Length; rest > 0; rest -= min(rest, t.Block) {
		hash.Reset()
		n, err := t.digestBlock(hash, io.NewSectionReader(f, t.Offset+t.Length-rest, min(t.Block, rest)))
		if err != nil {
			return err
		}
		if n == 0 {
			return nil // the end of the file
		}
		t.out = hash.Sum(t.out)
	}
	return nil
}

// digestBlock reads a block into hash and returns its length.
func (t *task) digestBlock(hash hash.Hash, block io.Reader) (length int64, err error) {
	for {
		n, err := t.inTurn(func() (int64, error) { return t.digestPiece(hash, block) })
		length += n
		if err == io.EOF {
			return length, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// digestPiece reads the next bytes of a block into hash.
func (t *task) digestPiece(hash hash.Hash, block io.Reader) (int64, error) {
	buf := t.session.server.buffers.get(digestPiece)
	defer t.session.server.buffers.put(buf)
	n, err := block.Read(buf)
	hash.Write(buf[:n])
	return int64(n), err
}
