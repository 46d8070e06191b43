package remote

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// localWatcher watches all directories of a local tree.
type localWatcher struct {
	root    string
	filter  *Filter
	notify  *fsnotify.Watcher
	changed chan struct{}
	ended   sync.WaitGroup
	partly  atomic.Bool // the kernel does not watch all

	mu     sync.Mutex
	failed error // to watch a directory; guarded by mu
}

// watchLocal begins to watch. The caller closes the watcher, which ends its goroutine.
func watchLocal(root string, filter *Filter) (*localWatcher, error) {
	resolved, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, localError("watch", root, err)
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, localError("watch", root, err)
	}
	w := &localWatcher{root: resolved, filter: filter, notify: notify, changed: make(chan struct{}, 1)}
	if err := w.add(w.root); err != nil {
		notify.Close()
		return nil, err
	}
	w.ended.Go(w.run)
	return w, nil
}

func (w *localWatcher) close() {
	w.notify.Close()
	w.ended.Wait()
}

func (w *localWatcher) changes() <-chan struct{} { return w.changed }

// prepare tells of a directory that could not be watched.
func (w *localWatcher) prepare(context.Context) (all bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.partly.Load(), w.failed
}

// run handles what the kernel tells, until the watcher is closed.
func (w *localWatcher) run() {
	for {
		select {
		case e, ok := <-w.notify.Events:
			if !ok {
				return
			}
			w.handle(e)
		case err, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				err = w.add(w.root) // what was lost may have been the begin of a directory
			}
			w.note(err)
		}
	}
}

// handle handles one change. One of what the filter leaves out is none.
func (w *localWatcher) handle(e fsnotify.Event) {
	if rel, err := filepath.Rel(w.root, e.Name); err == nil && rel != "." && w.filter.Excludes(rel, false) && w.filter.Excludes(rel, true) {
		return
	}
	var err error
	if e.Has(fsnotify.Create) {
		err = w.add(e.Name)
	}
	w.note(err)
}

// note tells of a change, and takes note of an error.
func (w *localWatcher) note(err error) {
	if err != nil {
		w.mu.Lock()
		w.failed = err
		w.mu.Unlock()
	}
	signalChange(w.changed)
}

// add watches a directory and those in it; anything else not. Each is watched before it is
// listed. What vanishes meanwhile, or can't be read, is left to the runs.
func (w *localWatcher) add(name string) error {
	return filepath.WalkDir(name, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if rel, relErr := filepath.Rel(w.root, p); !d.IsDir() || relErr == nil && rel != "." && w.filter.Excludes(rel, true) {
			return skipDirectory(d)
		}
		err = w.notify.Add(p)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return fs.SkipDir
		}
		if errors.Is(err, syscall.ENOSPC) { // there are as many watches as there may be
			w.partly.Store(true)
			return fs.SkipAll
		}
		return localError("watch", p, err)
	})
}

// skipDirectory leaves out what is in d, but nothing else.
func skipDirectory(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// signalChange puts an element into changed, unless there is one.
func signalChange(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}
