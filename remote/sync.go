package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// SynchronizeUpload makes the directory p what the local directory local is: what is missing and
// what differs is brought there, and with o.Delete what local does not have is removed. p is made where
// it is missing. Permission bits and modification times of files and directories are carried, but for those of the
// root of the jail.
//
// Remofile 1 carries neither: a file is taken for the same if it has the same size and is not older than its source, and
// o.Checksum fails with Unsupported.
//
// What fails is left out, and the others follow: the error joins (errors.Join) one for each. Where something
// in a directory has failed, nothing is removed from it, and nothing at all after a listing of the source has
// failed. Only an unreachable server or the end of ctx stops the whole; another run then completes it.
func (c *Client) SynchronizeUpload(ctx context.Context, local, p string, o SyncOptions) (Summary, error) {
	cleaned, err := clean(p)
	if err != nil {
		return Summary{}, c.failure("upload", p, err)
	}
	source, err := openLocal("upload", local)
	if err != nil {
		return Summary{}, err
	}
	defer source.close()
	there := &remoteSide{client: c, root: cleaned}
	r := run{source: source, to: there, local: source, remote: there, rootStays: cleaned == "/"}
	return c.synchronize(ctx, &r, o)
}

// SynchronizeDownload makes the local directory local what the directory p is, as SynchronizeUpload does
// the other way.
func (c *Client) SynchronizeDownload(ctx context.Context, p, local string, o SyncOptions) (Summary, error) {
	cleaned, err := clean(p)
	if err != nil {
		return Summary{}, c.failure("download", p, err)
	}
	source := &remoteSide{client: c, root: cleaned}
	if e, err := source.stat(ctx); err != nil {
		return Summary{}, err
	} else if !e.IsDir() {
		return Summary{}, &Error{Op: "download", Path: p, Code: NotDirectory}
	}
	there, missing, err := openDestination(local, o.DryRun)
	if err != nil {
		return Summary{}, err
	}
	defer there.close()
	r := run{source: source, to: there, local: there, remote: source, rootStays: cleaned == "/", missing: missing}
	return c.synchronize(ctx, &r, o)
}

// openDestination opens a local directory and makes it where it is missing. A dry run then gets some other one,
// and missing is true.
func openDestination(dir string, dryRun bool) (s *localSide, missing bool, err error) {
	const op = "download"
	s, err = openLocal(op, dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, false, err
	}
	if dryRun {
		s, err = openLocal(op, os.TempDir())
		return s, true, err
	}
	if err := os.Mkdir(dir, directoryMode); err != nil {
		return nil, false, localError(op, dir, err)
	}
	s, err = openLocal(op, dir)
	return s, false, err
}

var (
	errNoPolicy    = fmt.Errorf("%w: a synchronisation gives no other names", fs.ErrInvalid)
	errNoChecksums = &Error{Code: Unsupported, Err: errors.New("it has no digests of files")}
)

func (c *Client) synchronize(ctx context.Context, r *run, o SyncOptions) (Summary, error) {
	r.sees, r.carries = true, c.Protocol() > 1
	r.engine = newEngine(ctx, c, o)
	var err error
	switch {
	case o.Conflict == ConflictRename:
		err = errNoPolicy
	case o.Checksum && !r.carries:
		err = errNoChecksums
	}
	if err != nil {
		return Summary{}, c.failure(r.op(), r.remote.root, err)
	}
	here, err := r.source.stat(ctx)
	if err != nil {
		return Summary{}, err
	}
	if err := r.openRoot(&here); err != nil {
		return Summary{}, err
	}
	root := r.newNode(nil, item{Entry: here}, r.thereRoot)
	root.decide(true)
	source := newCursor(r.walkSource)
	defer source.stop()
	var there *cursor
	if r.thereRoot != nil {
		there = newCursor(func(fn func(item) error) error {
			return r.to.walk(ctx, "", walkOptions{leave: r.leaves}, fn)
		})
		defer there.stop()
	}
	r.stack = []*node{root}
	r.merge(source, there)
	r.settle()
	return r.finish()
}

func (r *run) walkSource(fn func(item) error) error {
	return r.source.walk(r.ctx, "", walkOptions{follow: r.o.Links == LinksFollow, leave: r.leaves}, fn)
}

// openRoot finds or makes the root of the destination, and sets thereRoot to what it is, nil where it is new.
func (r *run) openRoot(here *Entry) error {
	if r.missing {
		return nil
	}
	e, err := r.to.stat(r.ctx)
	switch {
	case err == nil && !e.IsDir():
		return &Error{Op: r.op(), Path: r.to.name(""), Code: NotDirectory}
	case err == nil:
		r.thereRoot = &e.Attr
		return nil
	case !errors.Is(err, NotFound) || r.o.DryRun:
		return ignoreNotFound(err)
	}
	_, err = r.mkdir(&item{Entry: *here})
	return err
}

func ignoreNotFound(err error) error {
	if errors.Is(err, NotFound) {
		return nil
	}
	return err
}
