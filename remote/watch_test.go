package remote

import (
	"fmt"
	"slices"
	"testing"

	"github.com/remofile/remofile/protocol/remofile2"
)

// all returns what NextChange would tell.
func (c *changes) all(t *testing.T) (all []Change) {
	t.Helper()
	for {
		change, found, err := c.pop()
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			return all
		}
		all = append(all, change)
	}
}

func TestChangesAreMerged(t *testing.T) {
	changed := func(c *changes, dir string, names ...string) {
		c.add(&remofile2.Notice{Event: remofile2.EventChanged, Directory: dir, Names: names})
	}
	for _, test := range []struct {
		name   string
		happen func(*changes)
		want   []Change
	}{
		{"nothing", func(*changes) {}, nil},
		{"names of a directory", func(c *changes) {
			changed(c, "/d", "b", "c")
			changed(c, "/d", "a", "b")
		}, []Change{{Directory: "/d", Names: []string{"a", "b", "c"}}}},
		{"any name", func(c *changes) {
			changed(c, "/d", "b")
			changed(c, "/d")
			changed(c, "/d", "a")
		}, []Change{{Directory: "/d"}}},
		{"anything", func(c *changes) {
			changed(c, "/d", "b")
			changed(c, "/")
			changed(c, "/", "a")
		}, []Change{{Directory: "/"}}},
		{"gone", func(c *changes) {
			changed(c, "/d", "b")
			c.add(&remofile2.Notice{Event: remofile2.EventGone, Directory: "/e"})
		}, []Change{{Kind: ChangeGone, Directory: "/e"}, {Directory: "/d", Names: []string{"b"}}}},
		{"a lost link", func(c *changes) {
			changed(c, "/d", "b")
			c.unlink()
		}, []Change{{Kind: ChangeUnlinked}, {Directory: "/d", Names: []string{"b"}}}},
		{"a link that is back", func(c *changes) {
			c.unlink()
			changed(c, "/")
		}, []Change{{Directory: "/"}}},
		{"another session", func(c *changes) {
			changed(c, "/d", "b")
			c.unlink()
			c.forget()
			changed(c, "/e", "a")
		}, []Change{{Kind: ChangeForgotten}, {Directory: "/e", Names: []string{"a"}}}},
		{"too many directories", func(c *changes) {
			for i := range maxUntold {
				changed(c, fmt.Sprint("/", i))
			}
			c.clear() // the rest
		}, []Change{{Kind: ChangeForgotten}}},
		{"too many names", func(c *changes) {
			for i := range maxUntold {
				changed(c, "/d", fmt.Sprint(i))
			}
			c.clear()
		}, []Change{{Kind: ChangeForgotten}}},
		{"too many that are gone", func(c *changes) {
			for i := range maxUntold {
				c.add(&remofile2.Notice{Event: remofile2.EventGone, Directory: fmt.Sprint("/", i)})
			}
			c.clear()
		}, []Change{{Kind: ChangeForgotten}}},
	} {
		c := newChanges()
		test.happen(c)
		equal := func(a, b Change) bool {
			return a.Kind == b.Kind && a.Directory == b.Directory && slices.Equal(a.Names, b.Names)
		}
		if got := c.all(t); !slices.EqualFunc(got, test.want, equal) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if c.size != 0 {
			t.Errorf("%s: %d bytes are left", test.name, c.size)
		}
	}
}
