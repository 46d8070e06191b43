package remote

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// errLeadsToDirectory is why a symbolic link is left out.
var errLeadsToDirectory = errors.New("it leads to a directory")

// UploadDirectory sends the local directory source and all in it to the path p,
// which must not exist unless o.Replace is set. Symbolic links to files are sent
// as what they lead to. What can't be sent is left out, and the others follow:
// the error joins (errors.Join) an *Error for each. Only an unreachable server or
// the end of ctx stops the whole.
func (c *Client) UploadDirectory(ctx context.Context, source, p string, o TransferOptions) error {
	t := newTree(ctx, c, o)
	there := newPlace()
	close(there.decided)
	there.usable = true
	t.upload(source, p, there, 0)
	return t.finish()
}

// upload starts the transfer of a directory to a path in another one.
func (t *tree) upload(source, p string, above *place, depth int) {
	const op = "upload"
	if depth == maxDepth {
		t.fail(tooDeep(op, source))
		return
	}
	entries, err := os.ReadDir(source)
	if err != nil {
		t.fail(localError(op, source, err))
		return
	}
	here := newPlace()
	t.start(func() (err error) {
		defer close(here.decided)
		if above.wait() {
			err = t.client.ensureDirectory(t.ctx, p, t.o.Replace)
			here.usable = err == nil
		}
		return err
	})
	for _, e := range entries {
		if t.stopped.Load() || here.isUnusable() {
			return
		}
		from, to := filepath.Join(source, e.Name()), path.Join(p, e.Name())
		if e.IsDir() {
			t.upload(from, to, here, depth+1)
			continue
		}
		t.start(func() error {
			if !here.wait() {
				return nil
			}
			return t.client.UploadFile(t.ctx, from, to, t.o)
		})
	}
}

// place is a directory that something is to be sent to.
type place struct {
	decided chan struct{} // closed when usable is set
	usable  bool
}

func newPlace() *place { return &place{decided: make(chan struct{})} }

// wait reports whether the directory can be used, when that is known.
func (p *place) wait() bool {
	<-p.decided
	return p.usable
}

// isUnusable reports whether it is known already that it can't.
func (p *place) isUnusable() bool {
	select {
	case <-p.decided:
		return !p.usable
	default:
		return false
	}
}

// ensureDirectory makes the directory p, or accepts the one that is there.
func (c *Client) ensureDirectory(ctx context.Context, p string, existing bool) error {
	err := c.MakeDirectory(ctx, p)
	if existing && errors.Is(err, OutcomeUnknown) {
		err = c.MakeDirectory(ctx, p)
	}
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
// destination, which must not exist unless o.Replace is set, or p is "/". Symbolic links to files are
// fetched as what they lead to. Errors are those of UploadDirectory.
func (c *Client) DownloadDirectory(ctx context.Context, p, destination string, o TransferOptions) error {
	e, err := c.Stat(ctx, p)
	root := path.Clean(p)
	switch {
	case err != nil:
	case !e.IsDir():
		err = &Error{Op: "download", Path: p, Code: NotDirectory}
	default:
		err = ensureLocalDirectory(destination, o.Replace || root == "/")
	}
	if err != nil {
		return err
	}
	t := newTree(ctx, c, o)
	err = c.Walk(ctx, root, func(from string, e Entry, err error) error {
		if err != nil {
			t.fail(err)
			return t.orStop(nil)
		}
		to := filepath.Join(destination, strings.TrimPrefix(from, root))
		if e.IsDir() && e.Link {
			t.fail(&Error{Op: "download", Path: from, Code: NotAFile, Err: errLeadsToDirectory})
			return t.orStop(nil)
		}
		if !e.IsDir() {
			o := o
			o.expected = e.Size
			t.start(func() error { return c.DownloadFile(ctx, from, to, o) })
			return t.orStop(nil)
		}
		if err := ensureLocalDirectory(to, o.Replace); err != nil {
			t.fail(err)
			return t.orStop(fs.SkipDir)
		}
		return t.orStop(nil)
	})
	if err != nil {
		t.fail(err)
	}
	return t.finish()
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

// tree is the transfer of a tree. It goes through the tree in order, and starts a task for
// each file. A task may wait for those that were started before it.
type tree struct {
	ctx     context.Context
	client  *Client
	o       TransferOptions
	tasks   chan struct{} // holds an element for each task that runs
	running sync.WaitGroup
	stopped atomic.Bool // all would fail

	started int // tasks and failures so far

	mu     sync.Mutex
	failed []failedTask // guarded by mu
}

func newTree(ctx context.Context, c *Client, o TransferOptions) *tree {
	return &tree{ctx: ctx, client: c, o: o, tasks: make(chan struct{}, treeTasks)}
}

// start runs a task on a goroutine of its own, for which finish waits; or at once, if
// somebody watches the progress of one file after the other.
func (t *tree) start(task func() error) {
	if t.stopped.Load() {
		return
	}
	number := t.started
	t.started++
	if t.o.Progress != nil {
		t.note(number, task())
		return
	}
	t.tasks <- struct{}{}
	t.running.Go(func() {
		t.note(number, task())
		<-t.tasks
	})
}

// fail takes note of what could not be started.
func (t *tree) fail(err error) {
	t.note(t.started, err)
	t.started++
}

func (t *tree) note(number int, err error) {
	if err == nil {
		return
	}
	if interrupted(t.ctx, err) || errors.Is(err, Cancelled) {
		t.stopped.Store(true)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = append(t.failed, failedTask{number, err})
}

// orStop is what a WalkFunc returns: result, unless all would fail.
func (t *tree) orStop(result error) error {
	if t.stopped.Load() {
		return fs.SkipAll
	}
	return result
}

// finish waits for all tasks and returns what failed, in the order of the tree.
func (t *tree) finish() error {
	t.running.Wait()
	slices.SortFunc(t.failed, func(a, b failedTask) int { return cmp.Compare(a.number, b.number) })
	errs := make([]error, len(t.failed))
	for i, f := range t.failed {
		errs[i] = f.err
	}
	return errors.Join(errs...)
}
