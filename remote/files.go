package remote

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/remofile/remofile/protocol"
)

// Entry is one file of the jail.
type Entry struct {
	Name      string
	Directory bool
	Size      int64 // bytes; 0 for a directory
	Modified  time.Time
}

// List returns the entries of a directory, sorted by name. It fails with NotFound
// or NotDirectory.
func (c *Client) List(ctx context.Context, dir string) ([]Entry, error) {
	const op = "list"
	if !path.IsAbs(dir) {
		return nil, relative(op, dir)
	}
	var entries []Entry
	err := c.with(ctx, op, dir, true, func(s *session) error {
		r, err := s.request(ctx, &protocol.Request{Type: protocol.ListFiles, Directory: path.Clean(dir)}, protocol.FilesListed)
		if err != nil {
			return err
		}
		entries = make([]Entry, len(r.Entries))
		for i, e := range r.Entries {
			entries[i] = Entry(e)
		}
		return nil
	})
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, err
}

// Stat returns the entry of one path. What does not exist costs one small round
// trip, all else a listing of the directory: the protocol has no request for it.
func (c *Client) Stat(ctx context.Context, p string) (Entry, error) {
	const op = "stat"
	dir, name, err := split(op, p)
	if err != nil {
		return Entry{}, err
	}
	if name == "" {
		return Entry{Name: "/", Directory: true}, nil
	}
	if err := c.probe(ctx, op, dir, name); err != nil {
		return Entry{}, err
	}
	entries, err := c.List(ctx, dir)
	if err != nil {
		return Entry{}, err
	}
	i, found := slices.BinarySearchFunc(entries, name, func(e Entry, name string) int { return strings.Compare(e.Name, name) })
	if !found {
		return Entry{}, &Error{Op: op, Path: p, Code: NotFound}
	}
	return entries[i], nil
}

// probe asks for a download of a name, only to learn whether there is one.
func (c *Client) probe(ctx context.Context, op, dir, name string) error {
	r := protocol.Request{Type: protocol.DownloadFile, Name: name, Directory: dir, ChunkSize: c.chunkSize.Load()}
	return c.with(ctx, op, path.Join(dir, name), true, func(s *session) error {
		_, err := s.request(ctx, &r, protocol.TransferAccepted)
		if errors.Is(err, NotFound) || (errors.Is(err, NotDirectory)) {
			return &Error{Code: NotFound}
		}
		if errors.As(err, new(*Error)) && s.alive() {
			return nil // refused for another reason: a listing will tell
		}
		return err
	})
}

// CreateFile makes an empty file. It fails with Exists, or with NotFound where
// the directory is missing.
func (c *Client) CreateFile(ctx context.Context, p string) error {
	return c.change(ctx, "create", p, protocol.CreateFile, protocol.FileCreated)
}

// MakeDirectory makes a directory. It fails with Exists, or with NotFound where
// the one above is missing.
func (c *Client) MakeDirectory(ctx context.Context, p string) error {
	return c.change(ctx, "mkdir", p, protocol.MakeDirectory, protocol.DirectoryCreated)
}

// Remove removes a file or an empty directory. It fails with NotFound or
// NotEmpty, and with Unsupported where the server is foreign.
func (c *Client) Remove(ctx context.Context, p string) error {
	return c.change(ctx, "remove", p, protocol.RemoveFile, protocol.FileRemoved)
}

func (c *Client) change(ctx context.Context, op, p string, t protocol.RequestType, want protocol.Reason) error {
	dir, name, err := splitName(op, p)
	if err != nil {
		return err
	}
	return c.do(ctx, op, p, protocol.Request{Type: t, Name: name, Directory: dir}, want)
}

// RemoveAll removes a path and all that is in it. It stops at the first error.
// A symbolic link of the server is removed, not followed.
func (c *Client) RemoveAll(ctx context.Context, p string) error {
	return c.removeAll(ctx, p, 0)
}

func (c *Client) removeAll(ctx context.Context, p string, depth int) error {
	err := c.Remove(ctx, p)
	if !errors.Is(err, NotEmpty) {
		return err
	}
	if depth == maxDepth {
		return tooDeep("remove", p)
	}
	entries, err := c.List(ctx, p)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.removeAll(ctx, path.Join(p, e.Name), depth+1); err != nil && !errors.Is(err, NotFound) {
			return err
		}
	}
	return c.Remove(ctx, p)
}

// maxDepth bounds the depth of a tree: the listings of a server may show the same
// directory again and again, through symbolic links.
const maxDepth = 200

func tooDeep(op, p string) error {
	return &Error{Op: op, Path: p, Code: InvalidName, Err: errors.New("the tree is too deep; does it contain itself?")}
}
