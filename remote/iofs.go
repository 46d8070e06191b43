package remote

import (
	"context"
	"io/fs"
	"path"
	"time"
)

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
