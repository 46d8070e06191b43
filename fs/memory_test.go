package fs

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/remote"
)

func newMemory() *memory { return &memory{all: new(memories)} }

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
			if n := m.all.names.Load() + m.all.outdated.Load(); n != 0 {
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

// TestMemoryLacksWhatIsNotThere: names that this mount has removed, by answers and notices that come whenever they do, as
// long as no notice is under way.
func TestMemoryLacksWhatIsNotThere(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := &removals{random: rand.New(rand.NewPCG(seed, 0)), m: newMemory(), there: make(map[string]bool), own: make(map[string]*removal)}
			r.m.begin(now())
			for step := range 300 {
				r.step()
				for _, name := range r.names() {
					if r.m.lacks(name) && r.there[name] && !slices.Contains(r.notices, name) {
						t.Fatalf("seed %d, step %d: %s is there", seed, step, name)
					}
				}
			}
			if r.lacked == 0 {
				t.Errorf("seed %d: nothing was known to be removed", seed)
			}
		})
	}
}

// removals are those of a mount, while others make and remove the same names.
type removals struct {
	random  *rand.Rand
	m       *memory
	there   map[string]bool
	notices []string            // that were not heard yet
	own     map[string]*removal // under way
	lacked  int
}

// removal is one that was asked for.
type removal struct {
	asked   time.Time
	makes   bool // the name, in fact
	done    bool // the answer is on its way
	success bool
}

func (r *removals) names() []string { return []string{"a", "b", "c"} }

// step does one thing of what may happen next.
func (r *removals) step() {
	name := r.names()[r.random.IntN(3)]
	own := r.own[name]
	defer now()
	switch n := r.random.IntN(8); {
	case n == 0: // of another client
		r.there[name] = !r.there[name]
		r.notices = append(r.notices, name)
	case n < 3 && len(r.notices) > 0:
		r.m.outdate(r.notices[0])
		r.notices = r.notices[1:]
	case n == 3 && r.random.IntN(10) == 0:
		r.m.end()
		r.notices = nil
		r.m.begin(now())
	case own == nil:
		r.m.outdateOwn(name)
		r.own[name] = &removal{asked: now(), makes: r.random.IntN(3) == 0}
	case !own.done:
		own.done, own.success = true, r.there[name] != own.makes
		if own.success {
			r.there[name] = own.makes
		}
	default:
		delete(r.own, name)
		if own.success && !own.makes {
			r.m.outdateRemoved(name, own.asked)
		} else {
			r.m.outdateOwn(name)
		}
		if r.m.lacks(name) {
			r.lacked++
		}
	}
}

// TestMemoryBelieves an answer although this mount has changed the name, which who remembers the answer knows.
func TestMemoryBelieves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.begin(now())
		told := now()
		m.outdateOwn("a")
		if m.belies("a", told) || m.holds("a", told) {
			t.Error("an own change belies it, or it holds")
		}
		m.outdate("a")
		m.outdateOwn("a")
		if !m.belies("a", told) {
			t.Error("the change of another is not known any longer")
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m, other := newMemory(), newMemory()
	other.all = m.all
	for _, m := range []*memory{m, other} {
		m.begin(time.Now())
		for i := range mostRemembered * 3 / 2 {
			m.keep(fmt.Sprint(i), &remote.Attr{Inode: 1}, time.Now())
			if n := m.all.names.Load(); n > mostRemembered {
				t.Fatalf("%d names are remembered", n)
			}
		}
	}
	for _, m := range []*memory{m, other} {
		for i := range mostOutdated * 3 / 2 {
			m.outdate(fmt.Sprint(i))
			if n := m.all.outdated.Load(); n > mostOutdated+2*fewOutdated {
				t.Fatalf("%d names are outdated", n)
			}
		}
	}
	m.end()
	other.outdateAll()
	if n := m.all.names.Load() + m.all.outdated.Load(); n != 0 {
		t.Errorf("%d names are left", n)
	}
}
