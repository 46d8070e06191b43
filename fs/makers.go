package fs

import (
	"context"
	"sync"
	"time"
)

// Who makes a name has the kernel look it up first. In a directory in which this mount changes one entry after the
// other, and which is watched for that, it is known that there is no such name, without the server: its listing lacks it,
// or this mount has removed it.
//
// That is told to those only who are about to make the name, as it seems: the first look-up by a thread after it has
// changed an entry. To all others the server tells what there is: they find what another client has just made.

const (
	// makingTime is how soon after a change a thread looks up the name that it makes next.
	makingTime = 2 * time.Millisecond
	// fewMade is how many entries of a directory can be changed within the cache time before it is watched.
	fewMade = 4
	// mostMakers is how many threads are known of a directory.
	mostMakers = 64
)

// makers are the threads that change the entries of a directory.
type makers struct {
	mu    sync.Mutex           // held for memory accesses only
	since time.Time            // when count began. Guarded by mu
	count int                  // changes since then. Guarded by mu
	last  map[uint32]time.Time // when each thread made its last one, if it has looked up no name since. Guarded by mu
}

// add takes note of a change by a thread, and returns how many there were within some time.
func (m *makers) add(thread uint32, now time.Time, within time.Duration) (count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.since) >= within {
		m.since, m.count = now, 0
	}
	m.count++
	if m.last == nil || len(m.last) >= mostMakers {
		m.last = make(map[uint32]time.Time)
	}
	m.last[thread] = now
	return m.count
}

// take is called when a thread looks up a name, and reports whether it seems to be for making it.
func (m *makers) take(thread uint32, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, known := m.last[thread]
	delete(m.last, thread)
	return known && thread != 0 && now.Sub(last) < makingTime
}

// countMaker takes note that an entry of the directory n was changed for a thread.
func (n *node) countMaker(ctx context.Context) {
	w := n.watch.Load()
	if w == nil {
		return
	}
	t, now := n.tree, time.Now()
	if w.makers.add(threadOf(ctx), now, t.cacheTime) > fewMade && !w.memory.isLive() {
		t.notices.fill(w, now)
	}
}

// takeMaker is called when a thread looks up a name in the directory n, and reports whether it seems to be for
// making it.
func (n *node) takeMaker(ctx context.Context) bool {
	w := n.watch.Load()
	return w != nil && w.makers.take(threadOf(ctx), time.Now())
}

// lacks reports whether the directory n is known to have no such name. Where names are made that are not known, it is
// listed.
func (n *node) lacks(ctx context.Context, name string) bool {
	m := n.memory()
	if !m.isLive() || n.child(name) != nil {
		return false
	}
	l := n.keptListing()
	known := func() bool { return l != nil && m.holds(name, l.told) }
	if !known() && m.lacks(name) {
		return true
	}
	if !known() && n.takeListing() {
		if long, err := n.listShort(ctx); long || err != nil {
			n.retryAsked(time.Now().Add(memoryTime))
		}
		l = n.keptListing()
	}
	if !known() {
		return false
	}
	_, found := l.find(name)
	return !found
}

// takeListing reports whether the directory n can be listed now. Who gets that answer does it.
func (n *node) takeListing() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if now.Before(n.asked.retry) {
		return false
	}
	n.asked.retry = now.Add(n.tree.cacheTime)
	return true
}
