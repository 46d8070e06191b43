package remote

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/remofile/remofile/protocol/remofile2"
)

// side is one of the two trees of a transfer. Paths are relative to its root, with slashes; "" is
// the root itself.
type side interface {
	// walk calls fn with all that is beneath the directory at, sorted, as Client.Walk does; what
	// leave reports is left out. Names that can't be those of a directory's entries are an error.
	walk(ctx context.Context, at string, o walkOptions, fn func(item) error) error
	// stat is about the root, and follows links.
	stat(ctx context.Context) (Entry, error)
	lstat(ctx context.Context, p string) (Entry, error)
	readlink(ctx context.Context, p string) (string, error)
	mkdir(ctx context.Context, p string, perm fs.FileMode) error
	// symlink fails with Exists where the name is taken, as rename does.
	symlink(ctx context.Context, target, p string) error
	rename(ctx context.Context, from, to string) error
	// set changes a file or a directory.
	set(ctx context.Context, p string, changes Changes) error
	// remove removes anything but a directory that is not empty.
	remove(ctx context.Context, p string) error
	removeAll(ctx context.Context, p string) error
	// name is what a path is called in errors.
	name(p string) string
}

// walkOptions are those of a side's walk.
type walkOptions struct {
	follow bool                            // links have the attributes of what they lead to
	leave  func(p string, isDir bool) bool // what is not to be told, with all in it
}

// item is what a walk has come to.
type item struct {
	path string
	from string // the path on its own side
	Entry
	// err is why the directory, which was an item before, can't be listed, or no further; or what a
	// link leads to is not known.
	err error
}

var errBadName = errors.New("a listing has a name that none can have")

// remoteSide is a directory of the server.
type remoteSide struct {
	client *Client
	root   string
}

func (s *remoteSide) name(p string) string { return path.Join(s.root, p) }

func (s *remoteSide) walk(ctx context.Context, at string, o walkOptions, fn func(item) error) error {
	top := s.name(at)
	return s.client.walk(ctx, top, o.follow, func(p string, e Entry, err error) error {
		if err == nil && !remofile2.ValidName(e.Name) {
			return s.client.failure("list", path.Dir(p), corrupted(errBadName))
		}
		relative := path.Join(at, strings.TrimPrefix(p[len(top):], "/"))
		if err == nil && o.leave != nil && o.leave(relative, e.descends()) {
			return leaveOut(&e)
		}
		return fn(item{path: relative, from: relative, Entry: e, err: err})
	})
}

// leaveOut is what the function of a walk returns about what does not take part.
func leaveOut(e *Entry) error {
	if e.descends() {
		return fs.SkipDir
	}
	return nil
}

// beneath is the side of a directory in s, which need not exist.
func (s *remoteSide) beneath(dir string) *remoteSide {
	return &remoteSide{client: s.client, root: s.name(dir)}
}

func (s *remoteSide) stat(ctx context.Context) (Entry, error) { return s.client.Stat(ctx, s.root) }

func (s *remoteSide) lstat(ctx context.Context, p string) (Entry, error) {
	e, err := s.client.Lstat(ctx, s.name(p))
	if errors.Is(err, NotDirectory) {
		err = &Error{Op: "lstat", Path: s.name(p), Code: NotFound}
	}
	return e, err
}

func (s *remoteSide) readlink(ctx context.Context, p string) (string, error) {
	return s.client.Readlink(ctx, s.name(p))
}

func (s *remoteSide) mkdir(ctx context.Context, p string, perm fs.FileMode) error {
	if s.client.Protocol() == 1 {
		return s.client.MakeDirectory(ctx, s.name(p))
	}
	_, err := s.client.Mkdir(ctx, s.name(p), perm)
	return err
}

func (s *remoteSide) symlink(ctx context.Context, target, p string) error {
	_, err := s.client.Symlink(ctx, target, s.name(p))
	return err
}

func (s *remoteSide) rename(ctx context.Context, from, to string) error {
	return s.client.Rename(ctx, s.name(from), s.name(to), RenameKeep)
}

func (s *remoteSide) set(ctx context.Context, p string, changes Changes) error {
	_, err := s.client.Set(ctx, s.name(p), changes)
	return err
}

func (s *remoteSide) remove(ctx context.Context, p string) error {
	return s.client.Remove(ctx, s.name(p))
}

func (s *remoteSide) removeAll(ctx context.Context, p string) error {
	return s.client.RemoveAll(ctx, s.name(p))
}
