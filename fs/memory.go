package fs

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/remofile/remofile/remote"
)

const (
	// settleTime is for how long a name has to have been the same before a look-up is answered from
	// memory: lock files are younger, and a create with O_EXCL begins with a look-up.
	settleTime = 10 * time.Second
	// memoryTime bounds how old what is remembered can be: there are changes that the server can't see.
	memoryTime = time.Minute
	// mostOutdated is how many names of a mount are outdated one by one; more, and all of a directory are, which has
	// fewOutdated of its own already.
	mostOutdated = 50_000
	fewOutdated  = 64
	// mostRemembered is how many names of a mount are remembered, besides listings.
	mostRemembered = 20_000
)

// memories is what the memories of a mount have together.
type memories struct {
	names, outdated atomic.Int64
}

// memory tells what of a directory, as the server told it, still is as it was then. That is nothing as long as
// the server does not tell of changes in the directory.
//
// What was told is known by when it was asked for: a notice that overtakes an answer then outdates it,
// though it is remembered later. A nil memory remembers nothing.
type memory struct {
	all *memories // of the mount; constant

	mu sync.Mutex // held for memory accesses only
	// live: the server tells of changes. Guarded by mu.
	live bool
	// since is when what is true now was asked for at the earliest. Guarded by mu.
	since time.Time
	// outdated has a later time for some names. Guarded by mu.
	outdated map[string]outdating
	// quiet is when the last change of any kind was heard of. Guarded by mu.
	quiet time.Time
	// names are entries that were looked up. Guarded by mu.
	names map[string]remembered
}

// outdating is the last change of a name.
type outdating struct {
	at time.Time // what was asked for before may not be true any longer
	// others is the same for those that others have made.
	others time.Time
	// removed is when this mount asked for the change, if that has left nothing under the name: what is true since.
	removed time.Time
}

// remembered is what the server told of a name.
type remembered struct {
	id   identity
	attr keptAttr
	told time.Time // when it was asked for
	same time.Time // since when it has told the same
}

// begin begins to remember what is asked for from a time on.
func (m *memory) begin(since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live = true
	m.clear(since)
}

// end forgets all.
func (m *memory) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live = false
	m.clear(time.Now())
}

// isLive reports whether the server tells of changes.
func (m *memory) isLive() bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live
}

// outdateAll is for a change of any entries.
func (m *memory) outdateAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear(time.Now())
}

// clear outdates what was asked for before; mu is held.
func (m *memory) clear(before time.Time) {
	m.since = later(m.since, before)
	m.quiet = m.since
	m.all.outdated.Add(-int64(len(m.outdated)))
	m.outdated = nil
	m.forget()
}

// forget drops all names; mu is held.
func (m *memory) forget() {
	m.all.names.Add(-int64(len(m.names)))
	m.names = nil
}

// outdate is for a change of these entries by others.
func (m *memory) outdate(names ...string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.live {
		return
	}
	now := time.Now()
	for _, name := range names {
		m.change(name, outdating{at: now, others: now})
	}
}

// outdateOwn is for a change by this mount.
func (m *memory) outdateOwn(name string) { m.outdateRemoved(name, time.Time{}) }

// outdateRemoved is for a change by this mount that has left nothing under the name, as it was asked for then.
func (m *memory) outdateRemoved(name string, asked time.Time) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.live {
		return
	}
	o := outdating{at: time.Now(), others: m.outdated[name].others}
	if m.has(name, asked) { // else somebody may have made it again meanwhile
		o.removed = asked
	}
	m.change(name, o)
}

// change outdates a name; mu is held.
func (m *memory) change(name string, o outdating) {
	m.quiet = later(m.quiet, o.at)
	m.drop(name)
	if _, known := m.outdated[name]; !known {
		if len(m.outdated) >= fewOutdated && m.all.outdated.Load() >= mostOutdated {
			m.clear(o.at)
		}
		m.all.outdated.Add(1)
	}
	if m.outdated == nil {
		m.outdated = make(map[string]outdating)
	}
	m.outdated[name] = o
}

// lacks reports whether this mount has removed a name, and nothing has changed it since.
func (m *memory) lacks(name string) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	removed := m.outdated[name].removed
	return m.live && time.Since(removed) < memoryTime
}

// drop forgets a name; mu is held.
func (m *memory) drop(name string) {
	if _, known := m.names[name]; known {
		m.all.names.Add(-1)
		delete(m.names, name)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// holds reports whether what was told of a name then is true.
func (m *memory) holds(name string, told time.Time) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.has(name, told)
}

// belies reports whether others may have made something else of a name since.
func (m *memory) belies(name string, told time.Time) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live && !(told.After(m.since) && told.After(m.outdated[name].others))
}

// beliesAny reports whether any entry may have become something else since.
func (m *memory) beliesAny(told time.Time) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live && !told.After(m.quiet)
}

// has is holds; mu is held.
func (m *memory) has(name string, told time.Time) bool {
	return m.live && told.After(m.since) && told.After(m.outdated[name].at) && time.Since(told) < memoryTime
}

// holdsAll reports whether what was told of all entries then is true.
func (m *memory) holdsAll(told time.Time) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live && told.After(m.quiet) && time.Since(told) < memoryTime
}

// keep remembers what was told of a name.
func (m *memory) keep(name string, a *remote.Attr, told time.Time) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	last, known := m.names[name]
	if !m.has(name, told) || known && !told.After(last.told) {
		return
	}
	r := remembered{identityOf(a), keep(a), told, told}
	if known && last.id == r.id && last.attr.version == r.attr.version {
		r.same = last.same
	}
	if !known && m.all.names.Load() >= mostRemembered {
		m.forget()
	}
	if !known && m.all.names.Add(1) > mostRemembered {
		m.all.names.Add(-1)
		return // the others have them
	}
	if m.names == nil {
		m.names = make(map[string]remembered)
	}
	m.names[name] = r
}

// find returns what is remembered of a name.
func (m *memory) find(name string) (r remembered, found bool) {
	if m == nil {
		return r, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, found = m.names[name]
	return r, found && m.has(name, r.told)
}
