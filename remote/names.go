package remote

import (
	"context"
	"io/fs"
	"path"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
)

// The methods of this file fail with Unsupported where the server speaks Remofile 1 only,
// but for Lstat.

// Lstat returns the entry of one path, as Stat does, but of a symbolic link that of the link.
// Remofile 1 shows no links.
func (c *Client) Lstat(ctx context.Context, p string) (Entry, error) {
	cleaned, err := clean(p)
	var e Entry
	if err == nil {
		e, err = c.lstat(ctx, cleaned)
	}
	return e, c.failure("lstat", p, err)
}

func (c *client1) lstat(ctx context.Context, p string) (Entry, error) { return c.stat(ctx, p) }

func (c *client2) lstat(ctx context.Context, p string) (Entry, error) {
	a, err := c.ask(ctx, &remofile2.Request{Operation: remofile2.OpStat, Path: p})
	return entryOf(path.Base(p), &a.Attr), err
}

// Mkdir makes a directory with the permission bits perm, less the server's umask.
func (c *Client) Mkdir(ctx context.Context, p string, perm fs.FileMode) (Attr, error) {
	return c.attrAfter(ctx, "mkdir", p, remofile2.Request{Operation: remofile2.OpMkdir, Mode: uint16(perm.Perm())})
}

// Unlink removes a name of whatever is no directory.
func (c *Client) Unlink(ctx context.Context, p string) error {
	_, err := c.askOne(ctx, "unlink", p, remofile2.Request{Operation: remofile2.OpRemove})
	return err
}

// Rmdir removes an empty directory, and fails with NotDirectory where there is something else.
func (c *Client) Rmdir(ctx context.Context, p string) error {
	_, err := c.askOne(ctx, "rmdir", p, remofile2.Request{Operation: remofile2.OpRemove, Flags: remofile2.RemoveDirectory})
	return err
}

// RenameMode tells what becomes of a name that exists already.
type RenameMode int

// The modes of Rename.
const (
	RenameReplace  RenameMode = iota // a file, or an empty directory, is replaced by another one
	RenameKeep                       // Rename fails with Exists
	RenameExchange                   // both change their names
)

// Rename gives what is at one path another one, in one step.
func (c *Client) Rename(ctx context.Context, from, to string, m RenameMode) error {
	r := remofile2.Request{Operation: remofile2.OpRename}
	switch m {
	case RenameKeep:
		r.Flags = remofile2.RenameKeep
	case RenameExchange:
		r.Flags = remofile2.RenameExchange
	}
	_, err := c.askTwo(ctx, "rename", from, to, r)
	return err
}

// Link gives a file one more name.
func (c *Client) Link(ctx context.Context, from, to string) (Attr, error) {
	a, err := c.askTwo(ctx, "link", from, to, remofile2.Request{Operation: remofile2.OpLink})
	return attrIf(a, err)
}

// Symlink makes a symbolic link to target, which is stored as it is.
func (c *Client) Symlink(ctx context.Context, target, p string) (Attr, error) {
	return c.attrAfter(ctx, "symlink", p, remofile2.Request{Operation: remofile2.OpSymlink, Target: target})
}

// Readlink returns the target of a symbolic link.
func (c *Client) Readlink(ctx context.Context, p string) (string, error) {
	a, err := c.askOne(ctx, "readlink", p, remofile2.Request{Operation: remofile2.OpReadlink})
	return a.Target, err
}

// Set changes attributes, those of a symbolic link itself too, and returns what they are
// then.
func (c *Client) Set(ctx context.Context, p string, changes Changes) (Attr, error) {
	return c.set(ctx, "set", p, changes, 0)
}

// Chmod changes the permission bits of a file. Like Chtimes and Truncate it follows symbolic links.
func (c *Client) Chmod(ctx context.Context, p string, mode fs.FileMode) error {
	_, err := c.set(ctx, "chmod", p, Changes{Mode: &mode}, remofile2.SetFollow)
	return err
}

// Chtimes changes the times of a file; a zero time is left as it is.
func (c *Client) Chtimes(ctx context.Context, p string, accessed, modified time.Time) error {
	var changes Changes
	if !accessed.IsZero() {
		changes.Accessed = &accessed
	}
	if !modified.IsZero() {
		changes.Modified = &modified
	}
	_, err := c.set(ctx, "chtimes", p, changes, remofile2.SetFollow)
	return err
}

// Truncate changes the size of a file.
func (c *Client) Truncate(ctx context.Context, p string, size int64) error {
	_, err := c.set(ctx, "truncate", p, Changes{Size: &size}, remofile2.SetFollow)
	return err
}

func (c *Client) set(ctx context.Context, op, p string, changes Changes, flags remofile2.Flags) (Attr, error) {
	wire, err := changesOf(&changes)
	if err != nil {
		return Attr{}, c.failure(op, p, err)
	}
	return c.attrAfter(ctx, op, p, remofile2.Request{Operation: remofile2.OpSet, Changes: wire, Flags: flags})
}

// Space is that of a file system.
type Space struct {
	Total     int64 // bytes
	Free      int64 // bytes
	Available int64 // bytes that the server's user may take
	Files     uint64
	FreeFiles uint64
}

// Space returns that of the file system that a path is on.
func (c *Client) Space(ctx context.Context, p string) (Space, error) {
	a, err := c.askOne(ctx, "space", p, remofile2.Request{Operation: remofile2.OpSpace})
	return Space(a.Space), err
}

// Sync puts the entries of a directory, or a file, on stable storage.
func (c *Client) Sync(ctx context.Context, p string) error {
	_, err := c.askOne(ctx, "sync", p, remofile2.Request{Operation: remofile2.OpSync})
	return err
}

// attrAfter is askOne for what changes a file and tells its attributes.
func (c *Client) attrAfter(ctx context.Context, op, p string, r remofile2.Request) (Attr, error) {
	a, err := c.askOne(ctx, op, p, r)
	return attrIf(a, err)
}

func attrIf(a remofile2.Answer, err error) (Attr, error) {
	if err != nil {
		return Attr{}, err
	}
	return attrOf(&a.Attr), nil
}

// askOne sends a request about a path.
func (c *Client) askOne(ctx context.Context, op, p string, r remofile2.Request) (remofile2.Answer, error) {
	var a remofile2.Answer
	c2, err := c.second()
	if err == nil {
		r.Path, err = clean(p)
	}
	if err == nil {
		a, err = c2.ask(ctx, &r)
	}
	return a, c.failure(op, p, err)
}

// askTwo sends a request that changes something about two paths. Errors name the first one.
func (c *Client) askTwo(ctx context.Context, op, from, to string, r remofile2.Request) (remofile2.Answer, error) {
	var err error
	if r.ToPath, err = clean(to); err != nil {
		return remofile2.Answer{}, c.failure(op, to, err)
	}
	return c.askOne(ctx, op, from, r)
}
