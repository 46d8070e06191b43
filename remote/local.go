package remote

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// UploadFile sends the local file source to the path p; see Upload. A source
// that changes meanwhile fails the transfer with Changed, and is not committed.
func (c *Client) UploadFile(ctx context.Context, source, p string, o TransferOptions) error {
	err := c.uploadFile(ctx, source, p, o)
	return c.failure("upload", p, err)
}

func (c *Client) uploadFile(ctx context.Context, name, p string, o TransferOptions) error {
	info, err := os.Stat(name)
	if err != nil {
		return localError("upload", name, err)
	}
	if !info.Mode().IsRegular() { // a FIFO must not even be opened
		return &Error{Op: "upload", Path: name, Code: NotAFile}
	}
	f, err := os.Open(name)
	if err != nil {
		return localError("upload", name, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return localError("upload", name, err)
	}
	intact := func() error {
		now, err := f.Stat()
		if err == nil && (now.Size() != info.Size() || !now.ModTime().Equal(info.ModTime())) {
			err = &Error{Op: "upload", Path: name, Code: Changed}
		}
		return err
	}
	return c.uploadSource(ctx, p, source{Reader: f, intact: intact}, info.Size(), o)
}

// DownloadFile fetches the file p into the local file destination, which appears
// when it is complete; see Download. It fails with Exists where destination exists
// and is not to be replaced.
func (c *Client) DownloadFile(ctx context.Context, p, destination string, o TransferOptions) error {
	part, err := createPart(destination, o.Replace)
	if err != nil {
		return err
	}
	defer part.discard()
	if _, err := c.Download(ctx, p, part.file, o); err != nil {
		return err
	}
	return part.commit()
}

// part is a local file that is not complete, beside the name that it will have.
type part struct {
	file        *os.File
	destination string
	replace     bool
}

// createPart fails early where the destination can't be.
func createPart(destination string, replace bool) (*part, error) {
	mode := fs.FileMode(0o666)
	info, err := os.Lstat(destination)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, localError("download", destination, err)
	case !replace:
		return nil, &Error{Op: "download", Path: destination, Code: Exists}
	case info.IsDir():
		return nil, &Error{Op: "download", Path: destination, Code: NotAFile}
	case info.Mode().IsRegular():
		mode = info.Mode().Perm()
	}
	name := filepath.Join(filepath.Dir(destination), ".rmf-"+rand.Text())
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, localError("download", destination, err)
	}
	return &part{file: f, destination: destination, replace: replace}, nil
}

// commit gives the part its name, in one step.
func (p *part) commit() error {
	if err := p.file.Close(); err != nil {
		return localError("download", p.destination, err)
	}
	if p.replace {
		return localError("download", p.destination, os.Rename(p.file.Name(), p.destination))
	}
	err := os.Link(p.file.Name(), p.destination)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return localError("download", p.destination, err)
	}
	// A file system without hard links: the check is all there is.
	if _, err := os.Lstat(p.destination); err == nil {
		return &Error{Op: "download", Path: p.destination, Code: Exists}
	}
	return localError("download", p.destination, os.Rename(p.file.Name(), p.destination))
}

// discard removes what commit has not renamed.
func (p *part) discard() {
	p.file.Close()
	os.Remove(p.file.Name())
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
