package remote

import (
	"context"
	"io"
	"path"

	"github.com/remofile/remofile/protocol/remofile2"
)

// upload2 is a file that is being sent.
type upload2 struct {
	*flow
	src    source
	size   int64 // bytes
	name   string
	buffer []byte // for a block that is compared
	done   int64  // bytes that have been sent, or need not be
	whole  bool   // COMMIT has been sent, perhaps
	o      *TransferOptions
}

func (c *client2) upload(ctx context.Context, p string, src source, size int64, o *TransferOptions) error {
	s, err := c.session(ctx)
	if err != nil {
		return err
	}
	f := c.flow(s, o)
	if size <= headSize {
		src.part = ""
	}
	u := upload2{flow: f, src: src, size: size, name: path.Base(p), o: o}
	if err = u.run(ctx, p); !u.whole {
		err = forgotten(err)
	}
	switch {
	case err == nil:
		f.finish(0)
	case interrupted(ctx, err):
		f.leave(0)
	default:
		f.leave(remofile2.CloseDiscard)
	}
	return err
}

func (u *upload2) run(ctx context.Context, p string) error {
	r := remofile2.Request{Operation: remofile2.OpStage, Path: p, Mode: fileMode, Part: u.src.part}
	if !u.o.NoFollow {
		r.Flags |= remofile2.StageFollow
	}
	if u.o.Replace {
		r.Flags |= remofile2.StageReplace
	}
	if u.src.part != "" {
		r.Flags |= remofile2.StageResume
	}
	if err := u.push(ctx, &r, nil); err != nil {
		return err
	}
	commit := remofile2.Request{Operation: remofile2.OpCommit, Changes: u.src.changes}
	if u.src.part != "" {
		had, err := u.sendResumed(ctx, p)
		if err != nil {
			return err
		}
		if had > u.size {
			commit.Changes.Size = &u.size
		}
	}
	if err := u.send(ctx, u.size); err != nil {
		return err
	}
	if u.src.intact != nil {
		if err := u.src.intact(); err != nil {
			return err
		}
	}
	u.whole = true
	if err := u.push(ctx, &commit, nil); err != nil {
		return err
	}
	for len(u.calls) > 0 {
		if _, err := u.pop(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sendResumed sends what the part that the server has lacks, and with Delta all that is behind it. It
// returns the size of the part in bytes, 0 where there was none.
func (u *upload2) sendResumed(ctx context.Context, p string) (had int64, err error) {
	stage := u.calls[0]
	if !u.o.Delta || !u.o.Replace {
		if err := u.send(ctx, headSize); err != nil {
			return 0, err
		}
		return u.resume(ctx, stage)
	}
	delta, err := u.openBasis(ctx, p)
	if err != nil {
		return 0, err
	}
	defer delta.close()
	if had, err = u.resume(ctx, stage); err != nil {
		return 0, err
	}
	usable, err := delta.usable(ctx)
	if err == nil && usable {
		err = delta.send(ctx)
	}
	return had, err
}

// resume sends what the part lacks, from the first byte on that is not done up to its end, and returns its size.
func (u *upload2) resume(ctx context.Context, stage *call) (had int64, err error) {
	staged, err := u.wait(ctx, stage)
	if err != nil {
		return 0, err
	}
	had = staged.Attr.Size
	theirs := u.digests(u.done, had, u.size)
	defer theirs.drop()
	u.buffer = make([]byte, theirs.block)
	for u.done < theirs.end {
		block, err := u.read()
		if err != nil {
			return had, err
		}
		same, err := theirs.equal(ctx, block)
		switch {
		case err != nil:
			return had, err
		case same:
			err = u.o.reportResumed(block, u.size-u.done, u.size, u.name)
			u.done += int64(len(block))
		default:
			err = u.sendBlock(ctx, block)
		}
		if err != nil {
			return had, err
		}
	}
	return had, nil
}

// send sends what is not done yet of the first so many bytes.
func (u *upload2) send(ctx context.Context, bytes int64) error {
	for u.done < bytes {
		chunk := u.session2.buffer(min(u.chunk(), bytes-u.done))
		if _, err := io.ReadFull(u.src, *chunk); err != nil {
			return sourceError(err)
		}
		if err := u.write(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// read returns the next block of the source, which is valid until the next one.
func (u *upload2) read() ([]byte, error) {
	block := u.buffer[:min(int64(len(u.buffer)), u.size-u.done)]
	if _, err := io.ReadFull(u.src, block); err != nil {
		return nil, sourceError(err)
	}
	return block, nil
}

// sendBlock sends a block that was read to be compared.
func (u *upload2) sendBlock(ctx context.Context, block []byte) error {
	for len(block) > 0 {
		chunk := u.session2.buffer(min(u.chunk(), int64(len(block))))
		block = block[copy(*chunk, block):]
		if err := u.write(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// write sends what comes next of the file. The chunk is the session's from then on.
func (u *upload2) write(ctx context.Context, chunk *[]byte) error {
	if err := u.o.report(*chunk, u.size-u.done, u.size, u.name); err != nil {
		return err
	}
	n := int64(len(*chunk))
	for !u.hasRoom(n) {
		if _, err := u.pop(ctx); err != nil {
			return err
		}
	}
	err := u.push(ctx, &remofile2.Request{Operation: remofile2.OpWrite, Offset: u.done}, chunk)
	u.done += n
	return err
}
