package remote

import (
	"context"
	"errors"
	"time"
)

// FollowOptions are the options of FollowUpload and FollowDownload. The zero value is good.
type FollowOptions struct {
	SyncOptions
	// Quiet is for how long there must be no change before the next run; it begins after ten
	// times that at the latest. 0 is 0.2 s.
	Quiet time.Duration
	// Ran is called with the results of each run, but while the server can't be reached only the
	// first time.
	Ran func(Summary, error)
}

// DefaultQuiet is the Quiet of FollowOptions that is used for 0.
const DefaultQuiet = 200 * time.Millisecond

// Times between two runs without a change.
const (
	afterLostLink = time.Second
	afterFailures = time.Minute      // of single files
	unwatched     = 10 * time.Second // where not all directories are watched
)

// FollowUpload calls SynchronizeUpload, and again whenever something in the local directory has
// changed, until ctx ends, which is no error. Each run is of the whole tree. It waits for a lost link to come back.
// A minute after a run that could not do all there is another, and ten seconds after one where not all directories
// can be watched: the kernel bounds their number (fs.inotify.max_user_watches). It ends with the error of a run that could do
// nothing. Changes behind symbolic links are not seen.
func (c *Client) FollowUpload(ctx context.Context, local, p string, o FollowOptions) error {
	w, err := watchLocal(local, o.Filter)
	if err != nil {
		return err
	}
	defer w.close()
	return follow(ctx, w, &o, func(ctx context.Context) (Summary, error) {
		return c.SynchronizeUpload(ctx, local, p, o.SyncOptions)
	})
}

// FollowDownload is FollowUpload the other way, with SynchronizeDownload. It takes the notices of the server:
// nothing else may call Watch, Unwatch or NextChange of the client meanwhile, and what other goroutines change by the same
// client is not seen. The server's watches stay until the client is closed. A server of ours
// has room for 4096 directories, one that speaks Remofile 1 only for none.
func (c *Client) FollowDownload(ctx context.Context, p, local string, o FollowOptions) error {
	cleaned, err := clean(p)
	if err != nil {
		return c.failure("watch", p, err)
	}
	w := watchRemote(ctx, c, cleaned, o.Filter)
	defer w.close()
	return follow(ctx, w, &o, func(ctx context.Context) (Summary, error) {
		return c.SynchronizeDownload(ctx, p, local, o.SyncOptions)
	})
}

// watcher tells of changes in a tree.
type watcher interface {
	// prepare sees to it that what changes from now on is told, or reports that not all is. It is called
	// before each run.
	prepare(ctx context.Context) (all bool, err error)
	// changes holds an element when something has changed since it was received from.
	changes() <-chan struct{}
	close()
}

// follow runs run again and again.
func follow(ctx context.Context, w watcher, o *FollowOptions, run func(context.Context) (Summary, error)) error {
	wasLost := false
	for {
		var sum Summary
		all, err := w.prepare(ctx)
		if err == nil {
			sum, err = run(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		lost := isLost(err)
		if o.Ran != nil && (err == nil || sum.Failed > 0 || lost && !wasLost) {
			o.Ran(sum, err)
		}
		wasLost = lost
		pause := time.Duration(0)
		switch {
		case lost:
			pause = afterLostLink
		case sum.Failed > 0:
			pause = afterFailures
		case err != nil:
			return err
		case !all:
			pause = unwatched
		}
		if !await(ctx, w, o.quiet(), pause, lost) {
			return nil
		}
	}
}

// isLost reports whether err is that of a link that may come back.
func isLost(err error) bool { return errors.Is(err, Unreachable) || errors.Is(err, Timeout) }

func (o *FollowOptions) quiet() time.Duration {
	if o.Quiet == 0 {
		return DefaultQuiet
	}
	return o.Quiet
}

// await waits for changes to come and to end, or for pause unless that is 0; with only, for nothing else. It
// returns false at the end of ctx.
func await(ctx context.Context, w watcher, quiet, pause time.Duration, only bool) bool {
	var over <-chan time.Time
	if pause > 0 {
		over = time.After(pause)
	}
	changes := w.changes()
	if only {
		changes = nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-over:
		return true
	case <-changes:
	}
	latest := time.After(10 * quiet)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-latest:
			return true
		case <-time.After(quiet):
			return true
		case <-changes:
		}
	}
}
