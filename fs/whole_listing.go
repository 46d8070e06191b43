package fs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remofile/remofile/remote"
)

// wholeListing is what is known of the entries of one directory: the last answer of
// the server with the changes made through this mount since.
type wholeListing struct {
	// list asks the server. Constant.
	list func(context.Context) ([]remote.Entry, error)

	mu sync.Mutex // held for memory accesses only
	// Guarded by mu.
	entries  map[string]entry // nil: never listed
	asked    time.Time        // when the request for entries was sent
	received time.Time        // when its answer came
	request  *listRequest     // nil: none is under way
}

// entry is one name of a listing.
type entry struct {
	remote.Entry
	// provisional: the server's modification time is not known, because the
	// entry was made through this mount or was seen to have changed.
	provisional bool
}

// listRequest is a request for a listing that is under way: there is one at a
// time for each directory, made by the first who needs it while others wait.
type listRequest struct {
	sent time.Time
	done chan struct{} // closed at the end
	err  error         // set before done is closed

	// changes of this mount since sent, which the answer may or may not
	// contain; nil for a removed name. Guarded by listing.mu.
	changes map[string]*entry
}

// lookup returns the entry of name as it was on the server at the time since or
// later, and whether there is one.
func (l *wholeListing) lookup(ctx context.Context, name string, since time.Time) (remote.Entry, bool, error) {
	if err := l.refresh(ctx, since); err != nil {
		return remote.Entry{}, false, err
	}
	e, found := l.get(name)
	if found && e.provisional {
		if err := l.refresh(ctx, time.Now()); err != nil {
			return remote.Entry{}, false, err
		}
		e, found = l.get(name)
	}
	return e.Entry, found, nil
}

// all returns all entries, sorted by name, as they were on the server at the
// time since or later.
func (l *wholeListing) all(ctx context.Context, since time.Time) ([]remote.Entry, error) {
	if err := l.refresh(ctx, since); err != nil {
		return nil, err
	}
	l.mu.Lock()
	all := make([]remote.Entry, 0, len(l.entries))
	for _, e := range l.entries {
		all = append(all, e.Entry)
	}
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b remote.Entry) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// get returns the entry of name as far as it is known, without asking.
func (l *wholeListing) get(name string) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, found := l.entries[name]
	return e, found
}

// put records that the server has this entry.
func (l *wholeListing) put(e entry) {
	l.change(e.Name, &e)
}

// remove records that the server has no such name.
func (l *wholeListing) remove(name string) {
	l.change(name, nil)
}

// setEmpty records that the directory had no entries at a time: it was made then.
func (l *wholeListing) setEmpty(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.asked, l.received = make(map[string]entry), at, at
}

func (l *wholeListing) change(name string, e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries != nil {
		apply(l.entries, name, e)
	}
	if l.request != nil {
		l.request.changes[name] = e
	}
}

func apply(entries map[string]entry, name string, e *entry) {
	if e == nil {
		delete(entries, name)
	} else {
		entries[name] = *e
	}
}

// fresh returns the time since when entries count as fresh: keep ago, or earlier for
// an answer that took its time and is no older than that. Otherwise a slow listing
// would be stale when it comes, and each of its names would ask for another.
func (l *wholeListing) fresh(keep time.Duration) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.received) < keep {
		return l.asked
	}
	return time.Now().Add(-keep)
}

// refresh asks the server, unless the entries are as new as since.
func (l *wholeListing) refresh(ctx context.Context, since time.Time) error {
	for {
		l.mu.Lock()
		if l.entries != nil && !l.asked.Before(since) {
			l.mu.Unlock()
			return nil
		}
		r := l.request
		if r == nil {
			r = &listRequest{sent: time.Now(), done: make(chan struct{}), changes: make(map[string]*entry)}
			l.request = r
			l.mu.Unlock()
			return l.run(ctx, r)
		}
		l.mu.Unlock()
		select {
		case <-r.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		// An interrupt of the one who asked is no answer for the others.
		if r.err != nil && !errors.Is(r.err, context.Canceled) {
			return r.err
		}
	}
}

// run makes the request r and stores the answer.
func (l *wholeListing) run(ctx context.Context, r *listRequest) error {
	answer, err := l.list(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.entries = make(map[string]entry, len(answer))
		for _, e := range answer {
			l.entries[e.Name] = entry{Entry: e}
		}
		for name, e := range r.changes {
			apply(l.entries, name, e)
		}
		l.asked, l.received = r.sent, time.Now()
	}
	r.err = err
	l.request = nil
	close(r.done)
	return err
}
