package server

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
)

// nameCost is what a name takes in memory besides its bytes.
const nameCost = 16

// listings are those under way in Remofile 2. A long one keeps names for its next pages: else
// each page would read the whole directory.
type listings struct {
	mu    sync.Mutex // guards what follows, and of each listing what it says
	byKey map[listingKey]*listing
	kept  int // how many may keep names
}

// listingKey: a session has one listing of a directory, so that none goes on with names that were
// read before it began.
type listingKey struct {
	session   *session
	directory fileID
}

// listing holds the first names behind a cursor, in the order of their bytes. It belongs to
// the request whose turn it is.
type listing struct {
	all    *listings
	key    listingKey
	turn   chan struct{} // holds one while it is a request's
	from   string        // the cursor
	names  []string      // nil before a scan
	size   int64         // bytes that the names take
	window int64         // that they may take
	more   bool          // names behind the last one were left out
	end    string        // if more: nothing beyond is collected

	// Guarded by all.mu.
	users  int         // requests that have it, or wait for it
	keeps  bool        // it has a place among those that keep names
	used   time.Time   // when the last request was done with it
	expiry *time.Timer // of what nobody uses
}

func newListings() *listings { return &listings{byKey: make(map[listingKey]*listing)} }

// enter returns the listing of a session and directory, when it is the request's turn. It
// is to be left.
func (ls *listings) enter(ctx context.Context, key listingKey) (*listing, error) {
	l := ls.find(key)
	select {
	case l.turn <- struct{}{}:
		return l, nil
	case <-ctx.Done():
		ls.unuse(l)
		return nil, ctx.Err()
	}
}

func (ls *listings) find(key listingKey) *listing {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byKey[key]
	if l == nil {
		l = &listing{all: ls, key: key, turn: make(chan struct{}, 1)}
		ls.byKey[key] = l
	}
	if l.users++; l.expiry != nil {
		l.expiry.Stop()
	}
	return l
}

// leave ends the turn of a request. If another page is to come, names are kept for it.
func (ls *listings) leave(l *listing, goesOn bool) {
	if !goesOn || !ls.keep(l) {
		l.names = nil
	}
	<-l.turn
	ls.unuse(l)
}

func (ls *listings) unuse(l *listing) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.users--; l.users > 0 {
		return
	}
	if l.names == nil {
		ls.drop(l)
		return
	}
	l.used = time.Now()
	l.expiry = time.AfterFunc(remofile2.ListingTime, func() { ls.expire(l) })
}

// keep reports whether a listing may keep names. It takes the place of the one that has been
// without a request for longest, if it needs that.
func (ls *listings) keep(l *listing) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.keeps {
		return true
	}
	if ls.kept == remofile2.MaxListings {
		idle := ls.longestIdle()
		if idle == nil {
			return false
		}
		ls.drop(idle)
	}
	l.keeps = true
	ls.kept++
	return true
}

// longestIdle returns a listing that keeps names and has no request, or nil; mu is held.
func (ls *listings) longestIdle() (longest *listing) {
	for _, l := range ls.byKey {
		if l.keeps && l.users == 0 && (longest == nil || l.used.Before(longest.used)) {
			longest = l
		}
	}
	return longest
}

// expire drops a listing that was given up.
func (ls *listings) expire(l *listing) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.users == 0 && ls.byKey[l.key] == l && time.Since(l.used) >= remofile2.ListingTime {
		ls.drop(l)
	}
}

// end drops what a session without requests has left.
func (ls *listings) end(s *session) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for key, l := range ls.byKey {
		if key.session == s {
			ls.drop(l)
		}
	}
}

// drop forgets a listing that nobody uses; mu is held.
func (ls *listings) drop(l *listing) {
	delete(ls.byKey, l.key)
	if l.expiry != nil {
		l.expiry.Stop()
	}
	if l.keeps {
		l.keeps = false
		ls.kept--
	}
}

// begin makes place for names behind a cursor, of so many bytes.
func (l *listing) begin(from string, window int64) {
	l.from, l.names, l.size, l.window, l.more = from, []string{}, 0, window, false
}

// add collects a name. Where there are too many it leaves out the last ones.
func (l *listing) add(name string) {
	if name <= l.from && l.from != "" || l.more && name > l.end {
		return
	}
	l.names = append(l.names, name)
	l.size += nameCost + int64(len(name))
	if l.size <= 2*l.window {
		return
	}
	if l.window < remofile2.MaxListingNames && l.all.keep(l) {
		l.window = remofile2.MaxListingNames
		return
	}
	l.cut()
}

// cut sorts the names, and leaves out those that are too many.
func (l *listing) cut() {
	slices.Sort(l.names)
	n := len(l.names)
	for ; l.size > l.window && n > 1; n-- {
		l.size -= nameCost + int64(len(l.names[n-1]))
		l.more, l.end = true, l.names[n-2]
	}
	clear(l.names[n:])
	l.names = l.names[:n]
}

// covers reports whether the names behind a cursor are here, some of them at least.
func (l *listing) covers(cursor string) bool {
	return l.names != nil && cursor >= l.from && (!l.more || cursor < l.end)
}

// behind returns the names behind a cursor.
func (l *listing) behind(cursor string) []string {
	if cursor == "" {
		return l.names
	}
	i, found := slices.BinarySearchFunc(l.names, cursor, strings.Compare)
	if found {
		i++
	}
	return l.names[i:]
}
