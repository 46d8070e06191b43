package fs

import (
	"time"

	"github.com/remofile/remofile/remote"
)

// look is called when the directory n is looked into.
func (n *node) look() {
	if c := n.tree.notices; c != nil {
		c.look(n)
	}
}

// memory returns the memory of the directory n, or nil.
func (n *node) memory() *memory {
	if w := n.watch.Load(); w != nil {
		return &w.memory
	}
	return nil
}

// remember remembers what the server told of a name in the directory n, unless it belies what is known.
func (n *node) remember(name string, a *remote.Attr, told time.Time) {
	m := n.memory()
	if l := n.keptListing(); l != nil && m.holds(name, l.told) {
		if listed, found := l.find(name); !found || identityOf(&listed) != identityOf(a) || versionOf(&listed) != versionOf(a) {
			m.outdate(name)
		}
	} else if m.lacks(name) {
		m.outdate(name)
	}
	m.keep(name, a, told)
}

// disown forgets a name that the directory n has no longer, as the server tells: who makes it looks it up once more.
func (n *node) disown(name string) {
	m := n.memory()
	_, known := m.find(name)
	if l := n.keptListing(); l != nil && !known {
		_, known = l.find(name)
	}
	if known {
		m.outdate(name)
		n.tree.changes.Add(1) // a listing has it
	}
}

// recall returns what the server would tell of a name in the directory n, and since when it has told that.
func (n *node) recall(name string) (a remote.Attr, same time.Time, known bool) {
	m := n.memory()
	if r, found := m.find(name); found {
		return r.attr.of(r.id), r.same, n.tree.vouches(r.id, r.attr.links, r.told)
	}
	if l := n.keptListing(); l != nil && m.holds(name, l.told) {
		a, known = l.find(name)
		return a, l.told, known && n.tree.vouches(identityOf(&a), uint32(a.Links), l.told)
	}
	return a, same, false
}

// recallSettled is recall for a name that has been the same for long.
func (n *node) recallSettled(name string) (a remote.Attr, told time.Time, known bool) {
	a, same, known := n.recall(name)
	return a, n.tree.recalled(), known && (time.Since(same) >= settleTime || n.tree.clock.settled(&a, same))
}

// recallOwn returns the attributes of the node, and when they were told: what is remembered, or was listed a moment
// ago. Those of an open file are not remembered.
func (n *node) recallOwn() (a remote.Attr, told time.Time, known bool) {
	name, parent := n.nameIn()
	if parent == nil || n.anyHandle() != nil {
		return a, told, false
	}
	if a, _, known = parent.recall(name); known {
		return a, n.tree.recalled(), n.is(&a)
	}
	if l := parent.recentListing(); l != nil {
		a, known = l.find(name)
		return a, l.told, known && n.is(&a)
	}
	return a, told, false
}

// belied reports whether others may have changed the node since, as far as the server has told.
func (n *node) belied(told time.Time) bool {
	name, parent := n.nameIn()
	return parent != nil && parent.memory().belies(name, told)
}

// recallListing returns the listing of the directory n if the server would tell the same.
func (n *node) recallListing() *listing {
	l := n.lastListing()
	if l == nil || !n.memory().holdsAll(l.told) {
		return nil
	}
	return l
}

// recalled is when what is remembered is taken to have been told. The kernel keeps it for half as long as
// other answers: it may have waited for the notice of a change that long.
func (t *tree) recalled() time.Time { return time.Now().Add(-t.cacheTime / 2) }

// vouches reports whether attributes of an entry, which has so many names, can't have changed since without a word to
// those who watch its directory: they can by another name of the file, and those of a directory by its entries.
func (t *tree) vouches(id identity, links uint32, told time.Time) bool {
	if !id.kind.IsDir() {
		return links == 1
	}
	dir, _ := t.number(id)
	return dir != nil && dir.memory().holdsAll(told)
}

// outdate is called before and after each change of the node through this mount, which no notice tells of.
func (n *node) outdate() {
	if name, parent := n.nameIn(); parent != nil {
		parent.memory().outdateOwn(name)
	}
}

// distrust is called where the server tells something else than what is remembered.
func (n *node) distrust() {
	if name, parent := n.nameIn(); parent != nil {
		parent.memory().outdate(name)
	}
}

// nameIn returns a name of the node, and the directory that has it; nil where there is none.
func (n *node) nameIn() (name string, parent *node) {
	name, above := n.Parent()
	if above == nil {
		return "", nil
	}
	return name, above.Operations().(*node)
}

// lostName returns errNoName for a file that is not found by its name any longer: nothing on the way there
// is remembered when the kernel looks it up again.
func (n *node) lostName() error {
	for at := n; at != nil; _, at = at.nameIn() {
		at.distrust()
	}
	return errNoName
}
