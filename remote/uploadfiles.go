package remote

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
)

// UploadFiles sends local files and directories into the directory destination, which must exist.
// A source may be a pattern, as Glob describes it.
// A source that is a symbolic link is what it leads to, unless o.Links keeps it; no other link leads out of its source.
// What fails is left out, and the others follow: the error joins (errors.Join) one for each. Only an
// unreachable server or the end of ctx stops the whole.
func (c *Client) UploadFiles(ctx context.Context, sources []string, destination string, o TreeOptions) (Summary, error) {
	cleaned, err := clean(destination)
	if err == nil {
		err = c.isDirectory(ctx, cleaned)
	}
	if err != nil {
		return Summary{}, c.failure("upload", destination, err)
	}
	e := newEngine(ctx, c, SyncOptions{TreeOptions: o})
	arrivals := make(arrivals)
	for _, source := range sources {
		if e.stopped.Load() {
			break
		}
		e.uploadMatches(source, cleaned, arrivals)
	}
	return e.finish()
}

// uploadMatches sends what a source stands for.
func (e *engine) uploadMatches(pattern, destination string, arrivals arrivals) {
	relative := e.o.Relative
	sources, err := globLocal(relative, pattern)
	if err != nil {
		e.fail(pattern, err)
		return
	}
	for _, source := range sources {
		at := filepath.Join(relative, source)
		arrival, err := arrivals.name(filepath.ToSlash(source), localBase(at), relative != "")
		if err == nil {
			err = e.uploadOne(at, destination, arrival)
		}
		if err != nil {
			e.fail(source, e.client.failure("upload", source, err))
		}
	}
}

// isDirectory fails where a path of the server is none.
func (c *Client) isDirectory(ctx context.Context, p string) error {
	e, err := c.Stat(ctx, p)
	if err == nil && !e.IsDir() {
		err = &Error{Code: NotDirectory}
	}
	return err
}

// localBase returns the name of a local file, also for ".".
func localBase(name string) string {
	absolute, err := filepath.Abs(name)
	if err != nil || absolute == "/" {
		return ""
	}
	return filepath.Base(absolute)
}

// arrivals is the names under which sources arrive.
type arrivals map[string]bool

var (
	errNoName    = errors.New("it has no name to arrive under")
	errTwice     = errors.New("another source arrives under the same name")
	errNotInTree = errors.New("it is not beneath the directory that it is to be relative to")
)

// name returns the path of a source in the destination: its whole relative path, or its last name.
func (a arrivals) name(source, base string, relative bool) (string, error) {
	name := base
	if relative {
		name = path.Clean(source)
		if !filepath.IsLocal(name) {
			return "", &Error{Code: InvalidName, Err: errNotInTree}
		}
	}
	switch {
	case name == "" || name == ".":
		return "", &Error{Code: InvalidName, Err: errNoName}
	case a[name]:
		return "", &Error{Code: Exists, Err: errTwice}
	}
	a[name] = true
	return name, nil
}

// uploadOne sends one source to its path in the destination.
func (e *engine) uploadOne(source, destination, arrival string) error {
	if e.o.Links == LinksFollow {
		resolved, err := filepath.EvalSymlinks(source)
		if err != nil {
			return localError("upload", source, err)
		}
		source = resolved
	}
	info, err := os.Lstat(source)
	if err != nil {
		return localError("upload", source, err)
	}
	top := source
	if !info.IsDir() {
		top = filepath.Dir(source)
	}
	local, err := openLocal("upload", top)
	if err != nil {
		return err
	}
	there := &remoteSide{client: e.client, root: destination}
	i := item{from: filepath.Base(source), Entry: localEntry(filepath.Base(source), info)}
	r := &run{engine: e, source: local, local: local, remote: there, to: there, close: local.close}
	r.transfer(i, arrival)
	return nil
}
