package server

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol"
)

// upload is one upload of Remofile 1 under way. It belongs to one session.
type upload struct {
	*staged
	replace   bool  // an existing file
	size      int64 // bytes, as are the next two
	chunkSize int64
	received  int64
}

// start begins an upload, whose sizes the caller has checked. It is to be closed.
func (t *uploads) start(ctx context.Context, r *protocol.Request, who holder) (*upload, error) {
	dir, name, err := t.jail.destination(r)
	if err != nil {
		return nil, err
	}
	s, err := t.stage(ctx, dir, name, &intent{holder: who, size: r.Size, mode: 0o666})
	if err != nil {
		return nil, err
	}
	return &upload{staged: s, replace: r.Replace, size: r.Size, chunkSize: r.ChunkSize}, nil
}

// destination returns where an upload goes to; the directory is open. Of what
// exists only a regular file can be replaced, and a link to one in the jail, which
// stays a link.
func (j *jail) destination(r *protocol.Request) (*directory, string, error) {
	look := j.find
	if r.Replace {
		look = j.locate
	}
	t, err := look(r.Directory, r.Name)
	if errors.Is(err, errNowhere) {
		err = unix.EEXIST
	}
	if err == nil && t.exists() && !(r.Replace && t.kind() == unix.S_IFREG) {
		t.close()
		err = unix.EEXIST
	}
	if err != nil {
		return nil, "", err
	}
	return t.dir, t.name, nil
}

// nextChunk returns how many bytes the next chunk has.
func (u *upload) nextChunk() int64 { return min(u.chunkSize, u.size-u.received) }

// complete reports whether all chunks were written.
func (u *upload) complete() bool { return u.received == u.size }

// write appends a chunk to the part.
func (u *upload) write(chunk []byte) error {
	done, err := u.change()
	if err != nil {
		return err
	}
	defer done()
	if err := u.grow(u.size, int64(len(chunk))); err != nil {
		return err
	}
	n, err := u.part.Write(chunk)
	u.received += int64(n)
	return err
}

// commit makes the complete file visible under its name.
func (u *upload) commit() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.state == displaced {
		return errDisplaced
	}
	if err := u.prepare(u.replace); err != nil {
		return err
	}
	return u.publish(u.replace)
}
