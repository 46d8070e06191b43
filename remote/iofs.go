package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"
)

// FS returns the jail as a file system of package io/fs. It has fs.StatFS, fs.ReadDirFS,
// fs.ReadFileFS, fs.ReadLinkFS and fs.SubFS; a file that is open for reading can be sought in, and,
// where the server speaks Remofile 2, is a *File. In Remofile 1 opening a file downloads it
// into a temporary one.
func (c *Client) FS() fs.FS { return jailFS{c, "/"} }

// jailFS is a directory of the jail, with all that is in it.
type jailFS struct {
	client *Client
	root   string // its path
}

var (
	_ fs.StatFS     = jailFS{}
	_ fs.ReadDirFS  = jailFS{}
	_ fs.ReadFileFS = jailFS{}
	_ fs.ReadLinkFS = jailFS{}
	_ fs.SubFS      = jailFS{}
)

// Open implements fs.FS.
func (j jailFS) Open(name string) (fs.File, error) {
	const op = "open"
	p, err := j.path(op, name)
	if err != nil {
		return nil, err
	}
	f, err := j.client.Open(context.Background(), p)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, NotAFile), errors.Is(err, errors.ErrUnsupported):
		return j.openOther(name)
	default:
		return nil, pathError(op, name, err)
	}
}

// openOther opens a directory, or a file of Remofile 1.
func (j jailFS) openOther(name string) (fs.File, error) {
	const op = "open"
	info, err := j.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return &directory{jail: j, name: name, info: info}, nil
	case !info.Mode().IsRegular():
		return nil, pathError(op, name, NotAFile)
	}
	f, err := j.fetch(name)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	return fetched{f, info}, nil
}

// fetch downloads a file into a temporary one, which has no name.
func (j jailFS) fetch(name string) (*os.File, error) {
	f, err := os.CreateTemp("", "remofile")
	if err != nil {
		return nil, err
	}
	err = os.Remove(f.Name())
	if err == nil {
		_, err = j.client.Download(context.Background(), path.Join(j.root, name), f, TransferOptions{})
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Stat implements fs.StatFS.
func (j jailFS) Stat(name string) (fs.FileInfo, error) { return j.info("stat", name, j.client.Stat) }

// Lstat implements fs.ReadLinkFS.
func (j jailFS) Lstat(name string) (fs.FileInfo, error) { return j.info("lstat", name, j.client.Lstat) }

func (j jailFS) info(op, name string, get func(context.Context, string) (Entry, error)) (fs.FileInfo, error) {
	p, err := j.path(op, name)
	if err != nil {
		return nil, err
	}
	e, err := get(context.Background(), p)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	e.Name = path.Base(name)
	return fileInfo{e}, nil
}

// ReadLink implements fs.ReadLinkFS.
func (j jailFS) ReadLink(name string) (string, error) {
	const op = "readlink"
	p, err := j.path(op, name)
	if err != nil {
		return "", err
	}
	target, err := j.client.Readlink(context.Background(), p)
	return target, pathError(op, name, err)
}

// ReadDir implements fs.ReadDirFS.
func (j jailFS) ReadDir(name string) ([]fs.DirEntry, error) {
	d := directory{jail: j, name: name}
	return d.ReadDir(-1)
}

// ReadFile implements fs.ReadFileFS.
func (j jailFS) ReadFile(name string) ([]byte, error) {
	const op = "read"
	p, err := j.path(op, name)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	_, err = j.client.Download(context.Background(), p, &content, TransferOptions{})
	return content.Bytes(), pathError(op, name, err)
}

// Sub implements fs.SubFS.
func (j jailFS) Sub(dir string) (fs.FS, error) {
	p, err := j.path("sub", dir)
	return jailFS{j.client, p}, err
}

// path returns the path in the jail that a name of io/fs means.
func (j jailFS) path(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return path.Join(j.root, name), nil
}

// pathError returns an error as io/fs wants it: with the name that was asked for.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		switch {
		case e.Err == nil:
			err = e.Code
		case e.Code == 0:
			err = e.Err
		default:
			err = fmt.Errorf("%w: %w", e.Code, e.Err)
		}
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// directory is an open one.
type directory struct {
	jail jailFS
	name string
	info fs.FileInfo

	page   []Entry // that ReadDir has not returned yet
	after  string  // where the next page begins
	last   bool    // there is none
	closed bool
}

// Stat implements fs.File.
func (d *directory) Stat() (fs.FileInfo, error) {
	if d.closed {
		return nil, d.failed("stat", fs.ErrClosed)
	}
	return d.info, nil
}

// Read implements fs.File.
func (d *directory) Read([]byte) (int, error) { return 0, d.failed("read", NotAFile) }

// Close implements fs.File.
func (d *directory) Close() error {
	if d.closed {
		return d.failed("close", fs.ErrClosed)
	}
	d.closed = true
	return nil
}

// ReadDir implements fs.ReadDirFile.
func (d *directory) ReadDir(n int) (entries []fs.DirEntry, err error) {
	for n <= 0 || len(entries) < n {
		if len(d.page) == 0 && !d.last {
			err = d.readPage()
		}
		if err != nil || len(d.page) == 0 {
			break
		}
		entries = append(entries, fs.FileInfoToDirEntry(fileInfo{d.page[0]}))
		d.page = d.page[1:]
	}
	if n > 0 && err == nil && len(entries) == 0 {
		err = io.EOF
	}
	return entries, err
}

func (d *directory) readPage() error {
	const op = "readdir"
	p, err := d.jail.path(op, d.name)
	if err != nil {
		return err
	}
	if d.closed {
		return d.failed(op, fs.ErrClosed)
	}
	if d.page, d.after, err = d.jail.client.ReadDir(context.Background(), p, d.after); err != nil {
		return d.failed(op, err)
	}
	d.last = d.after == ""
	return nil
}

func (d *directory) failed(op string, err error) error { return pathError(op, d.name, err) }

// fetched is an open file of Remofile 1.
type fetched struct {
	content
	info fs.FileInfo
}

// content is what an os.File has and an open file of Remofile 1 needs.
type content interface {
	io.ReadSeekCloser
	io.ReaderAt
	io.WriterTo
}

// Stat implements fs.File.
func (f fetched) Stat() (fs.FileInfo, error) { return f.info, nil }

// fileInfo is an Entry as the standard library wants it.
type fileInfo struct{ entry Entry }

func (i fileInfo) Name() string       { return i.entry.Name }
func (i fileInfo) Size() int64        { return i.entry.Size }
func (i fileInfo) Mode() fs.FileMode  { return i.entry.Mode }
func (i fileInfo) ModTime() time.Time { return i.entry.Modified }
func (i fileInfo) IsDir() bool        { return i.entry.IsDir() }
func (i fileInfo) Sys() any           { return &i.entry.Attr }

// Stat implements fs.File. Sys of what it returns is an *Attr.
func (f *File) Stat() (fs.FileInfo, error) {
	a, err := f.Attr(context.Background())
	if err != nil {
		return nil, err
	}
	return fileInfo{Entry{Name: path.Base(f.path), Attr: a}}, nil
}
