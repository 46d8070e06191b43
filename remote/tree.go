package remote

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// UploadDirectory sends the local directory source and all in it to the path p,
// which must not exist unless o.Replace is set. Symbolic links to files are sent
// as what they lead to. What can't be sent is left out, and the others follow:
// the error joins (errors.Join) an *Error for each. Only an unreachable server or
// the end of ctx stops the whole.
func (c *Client) UploadDirectory(ctx context.Context, source, p string, o TransferOptions) error {
	return c.uploadTree(ctx, source, p, o, 0)
}

func (c *Client) uploadTree(ctx context.Context, source, p string, o TransferOptions, depth int) error {
	const op = "upload"
	if depth == maxDepth {
		return tooDeep(op, source)
	}
	entries, err := os.ReadDir(source)
	if err != nil {
		return localError(op, source, err)
	}
	if err := c.ensureDirectory(ctx, p, o.Replace); err != nil {
		return err
	}
	return transferEach(ctx, entries, &o, os.DirEntry.IsDir, func(e os.DirEntry) error {
		from, to := filepath.Join(source, e.Name()), path.Join(p, e.Name())
		if e.IsDir() {
			return c.uploadTree(ctx, from, to, o, depth+1)
		}
		return c.UploadFile(ctx, from, to, o)
	})
}

// ensureDirectory makes the directory p, or accepts the one that is there.
func (c *Client) ensureDirectory(ctx context.Context, p string, existing bool) error {
	err := c.MakeDirectory(ctx, p)
	if !existing || !errors.Is(err, Exists) {
		return err
	}
	e, err := c.Stat(ctx, p)
	if err == nil && !e.IsDir() {
		err = &Error{Op: "mkdir", Path: p, Code: NotDirectory}
	}
	return err
}

// DownloadDirectory fetches the directory p and all in it into the local directory
// destination, which must not exist unless o.Replace is set. Errors are those of
// UploadDirectory.
func (c *Client) DownloadDirectory(ctx context.Context, p, destination string, o TransferOptions) error {
	return c.downloadTree(ctx, p, destination, o, 0)
}

func (c *Client) downloadTree(ctx context.Context, p, destination string, o TransferOptions, depth int) error {
	const op = "download"
	if depth == maxDepth {
		return tooDeep(op, p)
	}
	entries, err := c.List(ctx, p)
	if err != nil {
		return err
	}
	if err := ensureLocalDirectory(destination, o.Replace); err != nil {
		return err
	}
	return transferEach(ctx, entries, &o, func(e Entry) bool { return e.IsDir() }, func(e Entry) error {
		from, to := path.Join(p, e.Name), filepath.Join(destination, e.Name)
		if e.IsDir() {
			return c.downloadTree(ctx, from, to, o, depth+1)
		}
		return c.DownloadFile(ctx, from, to, o)
	})
}

// ensureLocalDirectory makes a local directory, or accepts one that is there, but
// no symbolic link to one: a transfer must not leave its destination.
func ensureLocalDirectory(name string, existing bool) error {
	const op = "download"
	err := os.Mkdir(name, 0o777)
	if !existing || !errors.Is(err, fs.ErrExist) {
		return localError(op, name, err)
	}
	info, err := os.Lstat(name)
	if err == nil && !info.IsDir() {
		return &Error{Op: op, Path: name, Code: NotDirectory}
	}
	return localError(op, name, err)
}

// treeFiles is how many files of a directory are transferred at a time: a small one costs
// a round trip.
const treeFiles = 32

// transferEach transfers each entry and returns what failed, joined in their order. Files
// go side by side, unless somebody watches the progress of one after the other.
func transferEach[E any](ctx context.Context, entries []E, o *TransferOptions, directory func(E) bool, transfer func(E) error) error {
	failed := make([]error, len(entries))
	var stopped atomic.Bool
	run := func(i int) {
		failed[i] = transfer(entries[i])
		if stops(ctx, failed[i]) {
			stopped.Store(true)
		}
	}
	places := make(chan struct{}, treeFiles)
	var running sync.WaitGroup
	for i, e := range entries {
		if stopped.Load() {
			break
		}
		if directory(e) || o.Progress != nil {
			run(i)
			continue
		}
		places <- struct{}{}
		running.Go(func() {
			run(i)
			<-places
		})
	}
	running.Wait()
	return errors.Join(failed...)
}

// stops reports whether the transfer of a tree has to end with this error, which may
// be several.
func stops(ctx context.Context, err error) bool {
	return interrupted(ctx, err) || errors.Is(err, Cancelled)
}

// maxDepth bounds the depth of a tree: the listings of a server may show the same
// directory again and again, through symbolic links.
const maxDepth = 200

func tooDeep(op, p string) error {
	return &Error{Op: op, Path: p, Code: InvalidName, Err: errors.New("the tree is too deep; does it contain itself?")}
}
