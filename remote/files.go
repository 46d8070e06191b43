package remote

import (
	"context"
	"errors"
	"iter"
	"path"
	"slices"
	"strings"
)

// Entry is one file of the jail.
type Entry struct {
	Name string
	Link bool // the name is that of a symbolic link; what it leads to has the attributes, if they tell
	Attr
}

// longPage is how much of a listing is asked for at a time, in bytes.
const longPage = 512 << 10

// List returns the entries of a directory, sorted by name. Symbolic links have the attributes of what
// they lead to. It fails with NotFound or NotDirectory.
func (c *Client) List(ctx context.Context, dir string) (entries []Entry, err error) {
	for e, err := range c.Entries(ctx, dir) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Entries returns what List does, one after the other, and holds a few thousand of them at a
// time. An error is the last that it yields.
func (c *Client) Entries(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for next, more := "", true; more; more = next != "" {
			page, after, err := c.page(ctx, dir, next, longPage, true)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			next = after
		}
	}
}

// ReadDir returns entries of a directory behind the name after, sorted by name, as many as
// one answer holds, and the name behind which there are more, or "". An entry that is there
// all the time is told once, whatever comes and goes between the calls. Symbolic links are not
// followed.
func (c *Client) ReadDir(ctx context.Context, dir, after string) (entries []Entry, next string, err error) {
	return c.page(ctx, dir, after, longPage, false)
}

// ReadDirUpTo is ReadDir with an answer of some bytes at most.
func (c *Client) ReadDirUpTo(ctx context.Context, dir, after string, bytes int64) (entries []Entry, next string, err error) {
	return c.page(ctx, dir, after, bytes, false)
}

// page returns some bytes of a listing, sorted.
func (c *Client) page(ctx context.Context, dir, after string, most int64, follow bool) (entries []Entry, next string, err error) {
	cleaned, err := clean(dir)
	if err == nil {
		entries, next, err = c.readDir(ctx, cleaned, after, most)
	}
	if err == nil && follow {
		err = c.follow(ctx, cleaned, entries)
	}
	if err != nil {
		return nil, "", c.failure("list", dir, err)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, next, nil
}

// Stat returns the entry of one path. With a server that knows Remofile 1 only, what does
// not exist costs one small round trip, all else a listing of the directory: that has no
// request for it.
func (c *Client) Stat(ctx context.Context, p string) (Entry, error) {
	cleaned, err := clean(p)
	var e Entry
	if err == nil {
		e, err = c.stat(ctx, cleaned)
	}
	return e, c.failure("stat", p, err)
}

// CreateFile makes an empty file. It fails with Exists, or with NotFound where
// the directory is missing.
func (c *Client) CreateFile(ctx context.Context, p string) error {
	return c.change(ctx, "create", p, c.createFile)
}

// MakeDirectory makes a directory. It fails with Exists, or with NotFound where
// the one above is missing.
func (c *Client) MakeDirectory(ctx context.Context, p string) error {
	return c.change(ctx, "mkdir", p, c.makeDirectory)
}

// Remove removes a file or an empty directory. It fails with NotFound or
// NotEmpty, and with Unsupported where the server is foreign.
func (c *Client) Remove(ctx context.Context, p string) error {
	return c.change(ctx, "remove", p, c.remove)
}

// RemoveAll removes a path and all that is in it. It stops at the first error.
// A symbolic link of the server is removed, not followed.
func (c *Client) RemoveAll(ctx context.Context, p string) error {
	return c.change(ctx, "remove", p, c.removeAll)
}

// change makes a change at a path, which can't be the root.
func (c *Client) change(ctx context.Context, op, p string, make func(context.Context, string) error) error {
	cleaned, err := cleanName(p)
	if err == nil {
		err = make(ctx, cleaned)
	}
	return c.failure(op, p, err)
}

// clean checks a remote path and returns it without what is of no need in it.
func clean(p string) (string, error) {
	if !path.IsAbs(p) {
		return "", &Error{Code: InvalidName, Err: errors.New("the path is not absolute")}
	}
	return path.Clean(p), nil
}

// cleanName is clean for a path that can't be the root.
func cleanName(p string) (string, error) {
	cleaned, err := clean(p)
	if cleaned == "/" {
		err = &Error{Code: InvalidName, Err: errors.New("the directory that is served has no name")}
	}
	return cleaned, err
}
