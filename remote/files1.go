package remote

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"

	"github.com/remofile/remofile/protocol"
)

// readDir: Remofile 1 knows no pages, and shows no links.
func (c *client1) readDir(ctx context.Context, dir, after string, _ int64) ([]Entry, string, error) {
	entries, err := c.list(ctx, dir)
	return slices.DeleteFunc(entries, func(e Entry) bool { return e.Name <= after }), "", err
}

func (c *client1) follow(context.Context, string, []Entry) error { return nil }

func (c *client1) list(ctx context.Context, dir string) ([]Entry, error) {
	var entries []Entry
	err := c.with(ctx, true, func(s *session) error {
		r, err := s.request(ctx, &protocol.Request{Type: protocol.ListFiles, Directory: dir}, protocol.FilesListed)
		if err != nil {
			return err
		}
		entries = make([]Entry, len(r.Entries))
		for i, e := range r.Entries {
			entries[i] = entryOf1(&e)
		}
		return nil
	})
	return entries, err
}

func entryOf1(e *protocol.Entry) Entry {
	mode := fs.FileMode(fileMode)
	if e.Directory {
		mode = fs.ModeDir | directoryMode
	}
	return Entry{Name: e.Name, Attr: Attr{Mode: mode, Size: e.Size, Modified: e.Modified}}
}

// stat: Remofile 1 has no request for it, so that the directory is listed.
func (c *client1) stat(ctx context.Context, p string) (Entry, error) {
	if p == "/" {
		return Entry{Name: "/", Attr: Attr{Mode: fs.ModeDir | directoryMode}}, nil
	}
	dir, name := protocol.SplitPath(p)
	if err := c.probe(ctx, dir, name); err != nil {
		return Entry{}, err
	}
	entries, err := c.list(ctx, dir)
	if err != nil {
		return Entry{}, err
	}
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return Entry{}, &Error{Code: NotFound}
	}
	return entries[i], nil
}

// probe asks for a download of a name, only to learn whether there is one.
func (c *client1) probe(ctx context.Context, dir, name string) error {
	r := protocol.Request{Type: protocol.DownloadFile, Name: name, Directory: dir, ChunkSize: c.chunkSize.Load()}
	return c.with(ctx, true, func(s *session) error {
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

func (c *client1) createFile(ctx context.Context, p string) error {
	return c.change(ctx, p, protocol.CreateFile, protocol.FileCreated)
}

func (c *client1) makeDirectory(ctx context.Context, p string) error {
	return c.change(ctx, p, protocol.MakeDirectory, protocol.DirectoryCreated)
}

func (c *client1) remove(ctx context.Context, p string) error {
	return c.change(ctx, p, protocol.RemoveFile, protocol.FileRemoved)
}

func (c *client1) change(ctx context.Context, p string, t protocol.RequestType, want protocol.Reason) error {
	dir, name, err := splitName(p)
	if err != nil {
		return err
	}
	return c.do(ctx, protocol.Request{Type: t, Name: name, Directory: dir}, want)
}

func (c *client1) removeAll(ctx context.Context, p string) error { return c.removeTree(ctx, p, 0) }

func (c *client1) removeTree(ctx context.Context, p string, depth int) error {
	err := c.remove(ctx, p)
	if !errors.Is(err, NotEmpty) {
		return c.failure("remove", p, err)
	}
	if depth == maxDepth {
		return tooDeep("remove", p)
	}
	entries, err := c.list(ctx, p)
	if err != nil {
		return c.failure("list", p, err)
	}
	for _, e := range entries {
		if err := c.removeTree(ctx, path.Join(p, e.Name), depth+1); err != nil && !errors.Is(err, NotFound) {
			return err
		}
	}
	return c.failure("remove", p, c.remove(ctx, p))
}

// splitName returns the directory and the name of a path, if Remofile 1 can carry it.
func splitName(p string) (dir, name string, err error) {
	dir, name = protocol.SplitPath(p)
	if !protocol.ValidName(name) {
		err = &Error{Code: InvalidName, Err: errors.New(`a name has 1 to 255 bytes and none of < > : " / \ | ? *`)}
	}
	return dir, name, err
}
