package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// TestAListingTellsWhatWasThereWhenItBegan, also where another one of the same session, which
// began before, goes on in between.
func TestAListingTellsWhatWasThereWhenItBegan(t *testing.T) {
	s := serve(t, Options{})
	s.makeFiles(100)
	c := s.dial2()
	page := func(cursor string) reply {
		return c.want(CodeDone, Request{Operation: OpList, Path: "/", Cursor: cursor, Length: 20 * (EntryOverhead + 3)})
	}
	earlier := page("").Cursor
	s.write("new", "")
	var names []string
	for cursor, more := "", true; more; more = cursor != "" {
		later := page(cursor)
		for _, e := range later.Entries {
			names = append(names, e.Name)
		}
		if cursor = later.Cursor; earlier != "" {
			earlier = page(earlier).Cursor
		}
	}
	if len(names) != 101 || !slices.Contains(names, "new") || !slices.IsSorted(names) {
		t.Errorf("the names are %q", names)
	}
}

// TestNamesThatHaveGoneAreLeftOut of pages that come later; none is empty before the last.
func TestNamesThatHaveGoneAreLeftOut(t *testing.T) {
	s := serve(t, Options{})
	s.makeFiles(1000)
	c := s.dial2()
	r := Request{Operation: OpList, Path: "/", Length: 1000}
	r.Cursor = c.want(CodeDone, r).Cursor
	for i := range 999 {
		if err := os.Remove(filepath.Join(s.jail, fmt.Sprint("f", i))); err != nil {
			t.Fatal(err)
		}
	}
	if last := c.want(CodeDone, r); last.Cursor != "" || len(last.Entries) != 1 || last.Entries[0].Name != "f999" {
		t.Errorf("the last page is %+v", last.Answer)
	}
}

// TestFewListingsKeepTheirNames, however many there are; all go on.
func TestFewListingsKeepTheirNames(t *testing.T) {
	s := serve(t, Options{})
	c, other := s.dial2(), s.dial2()
	next := make(map[string]Request)
	for i := range MaxListings + 3 {
		path := fmt.Sprint("/", i)
		for n := range 10 {
			s.mkdir(fmt.Sprint(path, "/", n))
		}
		r := Request{Operation: OpList, Path: path, Length: 1}
		r.Cursor = c.want(CodeDone, r).Cursor
		other.want(CodeDone, r)
		next[path] = r
	}
	if kept, _ := s.listings.count(); kept != MaxListings {
		t.Errorf("%d listings keep their names", kept)
	}
	for _, r := range next {
		for n := 1; r.Cursor != ""; n++ {
			page := c.want(CodeDone, r)
			if page.Entries[0].Name != fmt.Sprint(n) {
				t.Fatalf("page %d has %+v", n, page.Entries)
			}
			r.Cursor = page.Cursor
		}
	}
	other.want(CodeDone, Request{Operation: OpGoodbye})
	if kept, all := s.listings.count(); kept != 0 || all != 0 {
		t.Errorf("%d listings keep their names, %d are left", kept, all)
	}
}

func (ls *listings) count() (kept, all int) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.kept, len(ls.byKey)
}

func TestIdleListingsKeepNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newListings()
		for range 2 {
			l, err := ls.enter(t.Context(), listingKey{})
			if err != nil {
				t.Fatal(err)
			}
			l.begin("", minWindow)
			l.add("name")
			ls.leave(l, true)
			time.Sleep(ListingTime - 1)
			synctest.Wait()
			if kept, all := ls.count(); kept != 1 || all != 1 {
				t.Error("the names are gone early")
			}
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if kept, all := ls.count(); kept != 0 || all != 0 {
			t.Error("the names are still there")
		}
	})
}

// TestAListingCollectsTheFirstNames of however many, in a bounded space.
func TestAListingCollectsTheFirstNames(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		ls := newListings()
		if seed%2 == 0 {
			ls.kept = MaxListings // and none of them is idle
		}
		var all []string
		for range 3000 {
			all = append(all, fmt.Sprint(rnd.Uint32()))
		}
		sorted := slices.Sorted(slices.Values(all))
		from := sorted[rnd.IntN(len(sorted))]
		l := &listing{all: ls}
		l.begin(from, 1000)
		for _, name := range all {
			l.add(name)
			if seed%2 == 0 && l.size > 2*1000+nameCost+MaxName {
				t.Fatalf("%d bytes are collected", l.size)
			}
		}
		l.cut()
		want := sorted[slices.Index(sorted, from)+1:]
		if l.more {
			want = want[:len(l.names)]
		}
		if !slices.Equal(l.names, want) || l.more != (seed%2 == 0 && len(sorted) > 100) {
			t.Errorf("seed %d: %d names, more %v, want %d", seed, len(l.names), l.more, len(want))
		}
		for i, name := range l.names {
			if rest := l.behind(name); !slices.Equal(rest, want[i+1:]) || l.covers(name) == (l.more && len(rest) == 0) {
				t.Fatalf("behind %q: %d names", name, len(rest))
			}
		}
	}
}
