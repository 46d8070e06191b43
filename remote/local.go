package remote

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// UploadFile sends the local file source to the path p; see Upload. A source
// that changes meanwhile fails the transfer with Changed, and is not committed.
//
// Of a file of more than 1 MiB a server that speaks Remofile 2 keeps what it has for a
// day, where the upload is interrupted: by the end of ctx, or because the server can't be
// reached any longer. Another upload of the same source to the same path then sends only
// what that lacks. Other failures leave nothing. A server that has been restarted gets the
// file anew; it fails with OutcomeUnknown where all of it had been sent, and it is not to
// replace what may be the file itself.
func (c *Client) UploadFile(ctx context.Context, source, p string, o TransferOptions) error {
	err := anew(o.Replace, func() error {
		return withoutDelta(o, func(o TransferOptions) error { return c.uploadFile(ctx, source, p, o) })
	})
	return c.failure("upload", p, err)
}

// anew transfers a file, and again where the server has forgotten the session, unless that
// may have been done and must not be done twice.
func anew(replace bool, transfer func() error) error {
	for n := 0; ; n++ {
		err := transfer()
		unclear := errors.Is(err, OutcomeUnknown) && !replace
		if !errors.Is(err, errForgotten) || unclear || n == maxForgotten {
			return err
		}
	}
}

func (c *Client) uploadFile(ctx context.Context, name, p string, o TransferOptions) error {
	info, err := os.Stat(name)
	if err != nil {
		return localError("upload", name, err)
	}
	if !info.Mode().IsRegular() { // a FIFO must not even be opened
		e := &Error{Op: "upload", Path: name, Code: NotAFile}
		if info.IsDir() {
			e.Err = errLeadsToDirectory
		}
		return e
	}
	f, err := os.Open(name)
	if err != nil {
		return localError("upload", name, err)
	}
	defer f.Close()
	return c.uploadOpened(ctx, f, name, p, o)
}

// uploadOpened is uploadFile of a file that is open, and read from its beginning.
func (c *Client) uploadOpened(ctx context.Context, f *os.File, name, p string, o TransferOptions) error {
	info, err := f.Stat()
	if err != nil {
		return localError("upload", name, err)
	}
	if !info.Mode().IsRegular() {
		return &Error{Op: "upload", Path: name, Code: NotAFile}
	}
	intact := func() error {
		now, err := f.Stat()
		if err == nil && (now.Size() != info.Size() || !now.ModTime().Equal(info.ModTime())) {
			err = &Error{Op: "upload", Path: name, Code: Changed}
		}
		return err
	}
	absolute, err := filepath.Abs(name)
	if err != nil {
		return localError("upload", name, err)
	}
	src := source{Reader: io.NewSectionReader(f, 0, info.Size()), intact: intact, part: shortDigest(absolute)}
	if o.Preserve {
		modified, mode := info.ModTime(), info.Mode().Perm()
		src.changes, err = changesOf(&Changes{Modified: &modified, Mode: &mode})
		if err != nil {
			return localError("upload", name, err)
		}
	}
	return c.uploadSource(ctx, p, src, info.Size(), o)
}

// DownloadFile fetches the file p into the local file destination, which appears
// when it is complete; see Download. It fails with Exists where destination exists
// and is not to be replaced, and with Changed where the file changes meanwhile.
//
// What an interrupted download leaves of a file is kept as UploadFile describes it, in the
// directory of destination, for another download to the same destination. That needs
// extended attributes (xattr(7)) of the file system; and where two download to the same
// destination at a time, only one goes on with it. The next download of such a file into
// the directory removes what is older than a day.
func (c *Client) DownloadFile(ctx context.Context, p, destination string, o TransferOptions) error {
	return anew(true, func() error { return c.downloadFile(ctx, p, destination, o) })
}

func (c *Client) downloadFile(ctx context.Context, p, destination string, o TransferOptions) error {
	in, err := newIncoming(destination, o.Replace)
	if err != nil {
		return err
	}
	if o.Preserve && c.Protocol() > 1 {
		o.opened = new(Attr)
		in.preserve(o.opened)
	}
	if o.Delta && o.Replace {
		if o.basis = openLocalBasis(destination); o.basis != nil {
			defer o.basis.Close()
		}
	}
	size, err := c.Download(ctx, p, in, o)
	if err == nil {
		err = in.commit(size)
	}
	in.end(err != nil && interrupted(ctx, err))
	if in.part {
		dir := filepath.Dir(destination)
		if err := sweepParts(dir, time.Now().Add(-partLife)); err != nil {
			c.opts.Logger.Warn("abandoned parts stay", "path", dir, "err", err)
		}
	}
	return err
}

// localError names the local file that an error is about, and drops what the
// os package adds to say so.
func localError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, Path: name, Err: err}
	var pathError *fs.PathError
	var linkError *os.LinkError
	switch {
	case errors.As(err, &pathError):
		e.Err = pathError.Err
	case errors.As(err, &linkError):
		e.Err = linkError.Err
	}
	if errors.Is(err, fs.ErrExist) {
		e.Code, e.Err = Exists, nil
	}
	return e
}
