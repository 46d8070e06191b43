package fs

import (
	"fmt"
	iofs "io/fs"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestWalksAreListedAhead as long as directories are read one after the other, and nothing is changed.
func TestWalksAreListedAhead(t *testing.T) {
	for _, test := range []struct {
		name string
		read func(n *node, read func(i int))
		want []int // how many are listed ahead at each read
	}{
		{"in order", func(n *node, read func(int)) {
			for i := range 6 {
				read(i)
			}
		}, []int{1, 2, 4, 8, 8, 8}},
		{"from the middle", func(n *node, read func(int)) {
			read(3)
			read(4)
			read(5)
		}, []int{0, 1, 2}},
		{"each twice", func(n *node, read func(int)) {
			for _, i := range []int{0, 0, 1, 1} {
				read(i)
			}
		}, []int{1, 1, 2, 2}},
		{"here and there", func(n *node, read func(int)) {
			for _, i := range []int{5, 2, 7, 1} {
				read(i)
			}
		}, []int{0, 0, 0, 0}},
		{"now and then", func(n *node, read func(int)) {
			read(0)
			time.Sleep(n.tree.cacheTime)
			read(1)
		}, []int{1, 0}},
		{"long after the names", func(n *node, read func(int)) {
			time.Sleep(n.tree.cacheTime)
			read(0)
			read(1)
		}, []int{0, 1}},
		{"with changes", func(n *node, read func(int)) {
			for i := range 3 {
				read(i)
				n.tree.changes.Add(1)
			}
		}, []int{1, 0, 0}},
		{"long ones", func(n *node, read func(int)) {
			read(0)
			n.stopWalk(time.Now().Add(time.Second / 2))
			read(1)
			time.Sleep(time.Second / 2)
			read(2)
		}, []int{1, 0, 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(&tree{cacheTime: time.Second}, identity{kind: iofs.ModeDir})
			l := &listing{dir: n, shown: time.Now()}
			for i := range 9 {
				l.held = append(l.held, listedEntry{name: fmt.Sprintf("%da", i), id: identity{kind: iofs.ModeDir}},
					listedEntry{name: fmt.Sprintf("%db", i)})
			}
			var got []int
			test.read(n, func(i int) { got = append(got, n.walkTo(l, fmt.Sprintf("%da", i))) })
			if !slices.Equal(got, test.want) {
				t.Errorf("%s: %v are listed ahead, want %v", test.name, got, test.want)
			}
		})
	}
}
