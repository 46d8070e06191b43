package remote

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// watchTasks is how many watches are asked for at a time.
const watchTasks = 64

// remoteWatcher watches all directories of a tree of the server.
type remoteWatcher struct {
	client  *Client
	root    string
	filter  *Filter
	changed chan struct{}
	cancel  context.CancelFunc
	ended   sync.WaitGroup
	partly  atomic.Bool // the server does not watch all

	mu      sync.Mutex
	watched map[string]bool // directories that the server watches for us; guarded by mu
}

// watchRemote begins to take notices. The caller closes the watcher, which ends its goroutine, as
// the end of ctx does.
func watchRemote(ctx context.Context, c *Client, root string, filter *Filter) *remoteWatcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &remoteWatcher{client: c, root: root, filter: filter, changed: make(chan struct{}, 1), cancel: cancel,
		watched: make(map[string]bool)}
	w.ended.Go(func() { w.run(ctx) })
	return w
}

func (w *remoteWatcher) close() {
	w.cancel()
	w.ended.Wait()
}

func (w *remoteWatcher) changes() <-chan struct{} { return w.changed }

// run handles notices, if there are any to be had.
func (w *remoteWatcher) run(ctx context.Context) {
	for {
		change, err := w.client.NextChange(ctx)
		if err != nil {
			return
		}
		w.mu.Lock()
		switch change.Kind {
		case ChangeUnlinked, ChangeForgotten:
			clear(w.watched)
		case ChangeGone:
			delete(w.watched, change.Directory)
		}
		w.mu.Unlock()
		if !w.leavesOut(change) { // a lost link comes back when somebody uses it: the next run
			signalChange(w.changed)
		}
	}
}

// leavesOut reports whether the filter leaves out all that a change is about.
func (w *remoteWatcher) leavesOut(change Change) bool {
	if change.Kind != ChangeEntries || len(change.Names) == 0 {
		return false
	}
	for _, name := range change.Names {
		rel := w.relative(path.Join(change.Directory, name))
		if !w.filter.Excludes(rel, false) || !w.filter.Excludes(rel, true) {
			return false
		}
	}
	return true
}

func (w *remoteWatcher) relative(p string) string {
	return strings.TrimPrefix(strings.TrimPrefix(p, w.root), "/")
}

// prepare watches all directories. Where it had to begin with some, there may be others that came
// before that: it looks again.
func (w *remoteWatcher) prepare(ctx context.Context) (all bool, err error) {
	w.partly.Store(false)
	for {
		began, err := w.watchAll(ctx)
		if all = !w.partly.Load(); err != nil || !began || !all {
			return all, err
		}
	}
}

// watchAll watches the directories that it finds, side by side, and reports whether it has begun with one.
func (w *remoteWatcher) watchAll(ctx context.Context) (began bool, err error) {
	if began, err = w.watch(ctx, w.root); err != nil {
		return false, err
	}
	var begun atomic.Bool
	watches, ctx := errgroup.WithContext(ctx)
	watches.SetLimit(watchTasks)
	err = w.client.Walk(ctx, w.root, func(p string, e Entry, err error) error {
		switch {
		case w.partly.Load():
			return fs.SkipAll
		case err != nil:
			return passOver(err)
		case !e.IsDir() || e.Link:
			return nil
		case w.filter.Excludes(w.relative(p), true):
			return fs.SkipDir
		}
		watches.Go(func() error {
			isNew, err := w.watch(ctx, p)
			if isNew {
				begun.Store(true)
			}
			return passOver(err)
		})
		return nil
	})
	if failed := watches.Wait(); failed != nil {
		err = failed // which has ended the walk
	}
	return began || begun.Load(), err
}

// passOver drops the errors of a directory that the run will tell, too, or that has gone.
func passOver(err error) error {
	if errors.Is(err, NotFound) || errors.Is(err, NotDirectory) || errors.Is(err, Forbidden) {
		return nil
	}
	return err
}

// watch watches one directory, if the server takes it, and reports whether nobody did before.
func (w *remoteWatcher) watch(ctx context.Context, dir string) (began bool, err error) {
	w.mu.Lock()
	known := w.watched[dir]
	w.watched[dir] = true // before, so that a notice of its end comes later
	w.mu.Unlock()
	if known {
		return false, nil
	}
	if err = w.client.Watch(ctx, dir); err == nil {
		return true, nil
	}
	w.mu.Lock()
	delete(w.watched, dir)
	w.mu.Unlock()
	if errors.Is(err, Overloaded) || errors.Is(err, Unsupported) {
		w.partly.Store(true)
		err = nil
	}
	return false, err
}
