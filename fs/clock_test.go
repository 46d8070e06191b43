package fs

import (
	iofs "io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/remote"
)

// TestSettledByTheServersClock, whatever the time is here.
func TestSettledByTheServersClock(t *testing.T) {
	here := time.Now()
	there := here.Add(-time.Hour)
	c := serverClock{server: there, here: here}
	for _, test := range []struct {
		changed, told time.Duration // since then
		settled       bool
	}{
		{-settleTime, 0, true},
		{-settleTime + 1, 0, false},
		{0, 0, false},
		{0, settleTime - 1, false},
		{0, settleTime, true},
		{-settleTime, -1, false},
		{time.Hour, time.Minute, false}, // the other clock was put forward
	} {
		a := &remote.Attr{Changed: there.Add(test.changed)}
		if c.settled(a, here.Add(test.told)) != test.settled {
			t.Errorf("changed at %v, told at %v: want settled %v", test.changed, test.told, test.settled)
		}
	}
	var none serverClock
	if none.settled(&remote.Attr{}, here) {
		t.Error("a clock that is not known tells something")
	}
}

// TestNamesAreListedAhead after some look-ups of what is old, without a change between them, within the cache time.
func TestNamesAreListedAhead(t *testing.T) {
	old := func() *remote.Attr { return &remote.Attr{Links: 1, Changed: time.Now().Add(-time.Hour)} }
	for _, test := range []struct {
		name string
		ask  func(n *node)
		list bool
	}{
		{"none", func(*node) {}, false},
		{"some", func(n *node) {
			for range mostAsked {
				n.countAsked(old(), time.Now())
			}
		}, true},
		{"few", func(n *node) {
			for range mostAsked - 1 {
				n.countAsked(old(), time.Now())
			}
		}, false},
		{"young ones", func(n *node) {
			for range 2 * mostAsked {
				n.countAsked(&remote.Attr{Links: 1, Changed: time.Now()}, time.Now())
			}
		}, false},
		{"files with several names", func(n *node) {
			for range 2 * mostAsked {
				a := old()
				a.Links = 2
				n.countAsked(a, time.Now())
			}
		}, false},
		{"one now and then", func(n *node) {
			for range 2 * mostAsked {
				n.countAsked(old(), time.Now())
				time.Sleep(n.tree.cacheTime / 2)
			}
		}, false},
		{"some long ago", func(n *node) {
			for range mostAsked {
				n.countAsked(old(), time.Now())
			}
			time.Sleep(n.tree.cacheTime)
		}, false},
		{"changes between them", func(n *node) {
			for range 2 * mostAsked {
				n.countAsked(old(), time.Now())
				n.tree.changes.Add(1)
			}
		}, false},
		{"a long directory", func(n *node) {
			n.retryAsked(time.Now().Add(memoryTime))
			for range 2 * mostAsked {
				n.countAsked(old(), time.Now())
			}
		}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			tree := &tree{cacheTime: time.Second, clock: serverClock{time.Now(), time.Now()}}
			n := newNode(tree, identity{kind: iofs.ModeDir})
			test.ask(n)
			if n.takeAsked() != test.list {
				t.Errorf("%s: want listed %v", test.name, test.list)
			}
			if n.takeAsked() {
				t.Errorf("%s: it is listed twice", test.name)
			}
		})
	}
}
