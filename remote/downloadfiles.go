package remote

import (
	"context"
	"path"
	"sync"
)

// DownloadFiles fetches files and directories into the local directory destination, which must exist.
// Sources are paths of the server, or patterns of them, as Glob describes them; that of its root stands for all in it. Errors are those of UploadFiles.
func (c *Client) DownloadFiles(ctx context.Context, sources []string, destination string, o TreeOptions) (Summary, error) {
	const op = "download"
	local, err := openLocal(op, destination)
	if err != nil {
		return Summary{}, err
	}
	defer local.close()
	e := newEngine(ctx, c, SyncOptions{TreeOptions: o})
	arrivals := make(arrivals)
	for _, s := range c.look(ctx, e.expand(sources), o) {
		if e.stopped.Load() {
			break
		}
		arrival := ""
		if s.err == nil && s.path != "/" {
			arrival, s.err = arrivals.name(s.given, path.Base(s.path), o.Relative != "")
		}
		if s.err != nil {
			e.fail(s.given, c.failure(op, s.given, s.err))
			continue
		}
		i := item{from: path.Base(s.path), Entry: s.entry}
		there := &remoteSide{client: c, root: s.path}
		if !i.descends() {
			there.root = path.Dir(s.path)
		}
		(&run{engine: e, source: there, remote: there, local: local, to: local}).transfer(i, arrival)
	}
	return e.finish()
}

// expand returns what the patterns among the sources stand for, and the others as they are.
func (e *engine) expand(sources []string) (all []string) {
	for _, source := range sources {
		matches, err := e.client.globIn(e.ctx, e.o.Relative, source)
		if err != nil {
			e.fail(source, err)
			continue
		}
		all = append(all, matches...)
	}
	return all
}

// remoteSource is a source of a download.
type remoteSource struct {
	given string
	path  string
	entry Entry
	err   error
}

// look finds out what the sources are, side by side.
func (c *Client) look(ctx context.Context, sources []string, o TreeOptions) []remoteSource {
	found := make([]remoteSource, len(sources))
	var running sync.WaitGroup
	defer running.Wait()
	free := make(chan struct{}, treeTasks)
	for i, given := range sources {
		s := &found[i]
		s.given = given
		p := given
		if o.Relative != "" {
			p = path.Join(o.Relative, given)
		}
		if s.path, s.err = clean(p); s.err != nil {
			continue
		}
		free <- struct{}{}
		running.Go(func() {
			if o.Links == LinksKeep && s.path != "/" {
				s.entry, s.err = c.Lstat(ctx, s.path)
			} else {
				s.entry, s.err = c.Stat(ctx, s.path)
			}
			<-free
		})
	}
	return found
}
