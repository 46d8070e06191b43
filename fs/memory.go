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
	// mostOutdated is how many names of a directory are outdated one by one; more, and all are.
	mostOutdated = 64
	// mostRemembered is how many names of a mount are remembered, besides listings.
	mostRemembered = 20_000
)

// memory tells what of a directory, as the server told it, still is as it was then. That is nothing as long as
// the server does not tell of changes in the directory.
//
// What was told is known by when it was asked for: a notice that overtakes an answer then outdates it,
// though it is remembered later. A nil memory remembers nothing.
type memory struct {
	total *atomic.Int64 // names that the memories of the mount have together; constant

	mu sync.Mutex // held for memory accesses only
	// live: the server tells of changes. Guarded by mu.
	live bool
	// since is when what is true now was asked for at the earliest. Guarded by mu.
	since time.Time
	// outdated has a later time for some names. Guarded by mu.
	outdated map[string]time.Time
	// quiet is when the last change of any kind was heard of. Guarded by mu.
	quiet time.Time
	// names are entries that were looked up. Guarded by mu.
	names map[string]remembered
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
	m.outdated = nil
	m.forget()
}

// forget drops all names; mu is held.
func (m *memory) forget() {
	m.total.Add(-int64(len(m.names)))
	m.names = nil
}

// outdate is for a change of these entries.
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
	if len(m.outdated)+len(names) > mostOutdated {
		m.clear(now)
		return
	}
	if m.outdated == nil {
		m.outdated = make(map[string]time.Time)
	}
	for _, name := range names {
		m.outdated[name] = now
		m.drop(name)
	}
	m.quiet = later(m.quiet, now)
}

// drop forgets a name; mu is held.
func (m *memory) drop(name string) {
	if _, known := m.names[name]; known {
		m.total.Add(-1)
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

// belies reports whether a name may have become something else since.
func (m *memory) belies(name string, told time.Time) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live && !(told.After(m.since) && told.After(m.outdated[name]))
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
	return m.live && told.After(m.since) && told.After(m.outdated[name]) && time.Since(told) < memoryTime
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
	if !known && m.total.Load() >= mostRemembered {
		m.forget()
	}
	if !known && m.total.Add(1) > mostRemembered {
		m.total.Add(-1)
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
