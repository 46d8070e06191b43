package fs

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/remote"
)

func newMemory() *memory { return &memory{total: new(atomic.Int64)} }

// TestMemoryOutdates what was asked for before a notice, whenever it comes to be remembered.
func TestMemoryOutdates(t *testing.T) {
	a, b := remote.Attr{Inode: 1, Links: 1}, remote.Attr{Inode: 2, Links: 1}
	many := make([]string, mostOutdated+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for _, test := range []struct {
		name   string
		happen func(m *memory) (told time.Time) // time passes between all calls
		known  bool                             // the name "a", as it was told then
		all    bool                             // the whole directory
	}{
		{"nothing is told of changes", func(m *memory) time.Time { return now() }, false, false},
		{"nothing has changed", func(m *memory) time.Time {
			m.begin(now())
			return now()
		}, true, true},
		{"it was asked for before", func(m *memory) time.Time {
			told := now()
			m.begin(now())
			return told
		}, false, false},
		{"another name has changed", func(m *memory) time.Time {
			m.begin(now())
			told := now()
			m.outdate("b")
			return told
		}, true, false},
		{"it has changed", func(m *memory) time.Time {
			m.begin(now())
			told := now()
			m.outdate("b", "a")
			return told
		}, false, false},
		{"it had changed before", func(m *memory) time.Time {
			m.begin(now())
			m.outdate("a")
			return now()
		}, true, true},
		{"anything may have changed", func(m *memory) time.Time {
			m.begin(now())
			told := now()
			m.outdateAll()
			return told
		}, false, false},
		{"many have changed", func(m *memory) time.Time {
			m.begin(now())
			told := now()
			m.outdate(many...)
			return told
		}, false, false},
		{"changes are not told any longer", func(m *memory) time.Time {
			m.begin(now())
			told := now()
			m.end()
			return told
		}, false, false},
		{"changes were not told for a while", func(m *memory) time.Time {
			m.begin(now())
			told := now()
			m.end()
			m.begin(now())
			return told
		}, false, false},
		{"it is not to be believed yet", func(m *memory) time.Time {
			m.begin(now().Add(time.Minute))
			m.outdateAll()
			return now()
		}, false, false},
		{"it is too old", func(m *memory) time.Time {
			m.begin(now())
			told := now()
			time.Sleep(memoryTime)
			return told
		}, false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			told := test.happen(m)
			time.Sleep(time.Nanosecond)
			m.keep("a", &a, told)
			r, known := m.find("a")
			if known != test.known || known && r.id.inode != a.Inode || m.holds("a", told) != known || m.holdsAll(told) != test.all {
				t.Errorf("%s: known %v, want %v; all %v, want %v", test.name, known, test.known, m.holdsAll(told), test.all)
			}
			m.keep("a", &b, told)
			if r, _ := m.find("a"); known && r.id.inode != a.Inode {
				t.Errorf("%s: an answer that is no newer takes its place", test.name)
			}
			m.end()
			if n := m.total.Load(); n != 0 {
				t.Errorf("%s: %d names are left", test.name, n)
			}
		})
	}
}

// now is another time at each call, in a bubble of synctest.
func now() time.Time {
	time.Sleep(time.Nanosecond)
	defer time.Sleep(time.Nanosecond)
	return time.Now()
}

// TestMemoryKnowsWhatHasSettled by since when it was the same.
func TestMemoryKnowsWhatHasSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.begin(now())
		first := now()
		m.keep("a", &remote.Attr{Inode: 1, Size: 1}, first)
		m.keep("a", &remote.Attr{Inode: 1, Size: 1}, now())
		if r, known := m.find("a"); !known || !r.same.Equal(first) {
			t.Error("it has been the same since it was told first")
		}
		for i, a := range []remote.Attr{{Inode: 1, Size: 2}, {Inode: 2, Size: 2}} {
			told := now()
			m.keep("a", &a, told)
			if r, known := m.find("a"); !known || !r.same.Equal(told) {
				t.Error(i, "it is not the same")
			}
		}
		m.outdate("a")
		told := now()
		m.keep("a", &remote.Attr{Inode: 2, Size: 2}, told)
		if r, known := m.find("a"); !known || !r.same.Equal(told) {
			t.Error("it may have been something else meanwhile")
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m, other := newMemory(), newMemory()
	other.total = m.total
	for _, m := range []*memory{m, other} {
		m.begin(time.Now())
		for i := range mostRemembered * 3 / 2 {
			m.keep(fmt.Sprint(i), &remote.Attr{Inode: 1}, time.Now())
			if n := m.total.Load(); n > mostRemembered {
				t.Fatalf("%d names are remembered", n)
			}
		}
	}
	m.end()
	other.outdateAll()
	if n := m.total.Load(); n != 0 {
		t.Errorf("%d names are left", n)
	}
}
