package server

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol"
)

// uploads is the table of the uploads under way: no two have the same destination,
// and together they do not exceed the staging limit.
type uploads struct {
	jail  *jail
	limit int64 // bytes; 0 is none

	mu     sync.Mutex // guards what follows
	claims map[place]claim
	staged int64 // bytes, as declared
}

// place is the destination of an upload. Its directory is open all the time, so
// that the identity holds.
type place struct {
	directory fileID
	name      string
}

// claim tells who uploads to a place.
type claim struct {
	peer  string
	since time.Time
}

func newUploads(j *jail, limit int64) *uploads {
	return &uploads{jail: j, limit: limit, claims: make(map[place]claim)}
}

// reserve enters an upload of size bytes into the table.
func (t *uploads) reserve(p place, size int64, peer string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.claims[p]; ok {
		return failure(fmt.Sprintf("in use by %s, which uploads it since %s", c.peer, c.since.Format(time.DateTime)))
	}
	if t.limit > 0 && size > t.limit-t.staged {
		return failure(fmt.Sprintf("the uploads under way would exceed the staging limit of %d bytes", t.limit))
	}
	t.claims[p] = claim{peer: peer, since: time.Now()}
	t.staged += size
	return nil
}

func (t *uploads) free(p place, size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.claims, p)
	t.staged -= size
}

// upload is one upload under way. It belongs to one session.
type upload struct {
	table     *uploads
	dir       *directory // of the destination
	name      string
	replace   bool  // an existing file
	size      int64 // bytes, as are the next two
	chunkSize int64
	received  int64

	staging  *staging
	part     *os.File
	partName string
	renamed  bool // the part has left staging
}

// start begins an upload, whose sizes the caller has checked. It is to be closed.
func (t *uploads) start(r *protocol.Request, peer string) (*upload, error) {
	dir, name, err := t.jail.destination(r)
	if err != nil {
		return nil, err
	}
	u := &upload{table: t, dir: dir, name: name, replace: r.Replace, size: r.Size, chunkSize: r.ChunkSize}
	if err := t.reserve(u.place(), u.size, peer); err != nil {
		dir.close()
		return nil, err
	}
	if err := u.stage(); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
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

func (u *upload) place() place { return place{u.dir.id, u.name} }

// stage makes the part.
func (u *upload) stage() error {
	j := u.table.jail
	var err error
	if u.staging, err = j.stagings.acquire(u.dir, j.top); err != nil {
		return err
	}
	u.part, u.partName, err = u.staging.newPart()
	if errors.Is(err, unix.ENOENT) {
		err = errStagingGone
	}
	return err
}

// nextChunk returns how many bytes the next chunk has.
func (u *upload) nextChunk() int64 { return min(u.chunkSize, u.size-u.received) }

// complete reports whether all chunks were written.
func (u *upload) complete() bool { return u.received == u.size }

// write appends a chunk to the part.
func (u *upload) write(chunk []byte) error {
	n, err := u.part.Write(chunk)
	u.received += int64(n)
	return err
}

// commit makes the complete file visible under its name, in one step. A file that
// it replaces keeps its permission bits.
func (u *upload) commit() error {
	if err := u.checkDirectory(); err != nil {
		return err
	}
	if u.replace {
		if err := u.adoptMode(); err != nil {
			return err
		}
	}
	// Some file systems report a failed write as late as here.
	if err := u.part.Close(); err != nil {
		return err
	}
	var part unix.Stat_t
	if err := fstatat(u.staging.fd(), u.partName, &part); errors.Is(err, unix.ENOENT) {
		return errStagingGone
	}
	if u.replace {
		err := renameat(u.staging.fd(), u.partName, u.dir.fd(), u.name)
		u.renamed = err == nil
		if errors.Is(err, unix.EISDIR) {
			err = unix.EEXIST // a directory that was made meanwhile
		}
		return err
	}
	err := renameat2(u.staging.fd(), u.partName, u.dir.fd(), u.name, unix.RENAME_NOREPLACE)
	u.renamed = err == nil
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return u.link()
	}
	return err
}

// checkDirectory fails where the directory that the upload goes to has lost its
// path: it may have been moved out of the jail since.
func (u *upload) checkDirectory() error {
	d, err := u.table.jail.open(u.dir.path)
	if err != nil {
		return err
	}
	defer d.close()
	if d.id != u.dir.id {
		return errNoDirectory
	}
	return nil
}

// link is commit where renameat2 does not know RENAME_NOREPLACE. The part's own
// name goes when the upload is closed.
func (u *upload) link() error {
	return linkat(u.staging.fd(), u.partName, u.dir.fd(), u.name)
}

// adoptMode gives the part the permission bits of the file that it will replace;
// that may have gone meanwhile, or become something else.
func (u *upload) adoptMode() error {
	var st unix.Stat_t
	err := u.table.jail.stat(u.dir, u.name, &st)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil && kindOf(&st) != unix.S_IFREG {
		err = unix.EEXIST
	}
	if err != nil {
		return err
	}
	return u.part.Chmod(os.FileMode(st.Mode & 0o777))
}

// close ends the upload. Without a commit nothing of it stays.
func (u *upload) close() {
	if u.part != nil {
		u.part.Close()
	}
	log := u.table.jail.log
	if u.part != nil && !u.renamed {
		if err := unlinkat(u.staging.fd(), u.partName, 0); err != nil {
			log.Warn("part of an upload stays", "path", u.partName, "err", err)
		}
	}
	if u.staging != nil {
		if err := u.table.jail.stagings.release(u.staging); err != nil {
			log.Warn("staging directory stays", "path", u.staging.name, "err", err)
		}
	}
	u.table.free(u.place(), u.size)
	u.dir.close()
}
