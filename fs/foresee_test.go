package fs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

// TestLookUpsOfAnOldDirectory answer what is so, at once where it is young: locks, what others have just made, and
// what an open finds. At full size the directory is old, and its names are listed ahead.
func TestLookUpsOfAnOldDirectory(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`mkdir $J/d; cd $J/d; i=0; while [ $i -lt 40 ]; do echo old > $i; i=$((i+1)); done`)
	if os.Getenv("REMOFILE_TEST_FULL") == "1" {
		time.Sleep(11 * time.Second)
	}
	dirs := []string{m.second(mountRole{}), m.second(mountRole{})} // begun now: their clocks are of now
	lookUp := func(dir string, from int) {
		for i := range 12 {
			if _, err := os.Lstat(filepath.Join(dir, "d", fmt.Sprint(from+i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	take := func(dir string) (*os.File, error) {
		return os.OpenFile(filepath.Join(dir, "d", "lock"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	}
	for i := range 24 {
		here, there := dirs[i%2], dirs[1-i%2]
		lock, err := take(there)
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
		lookUp(here, i)
		if i%4 < 2 { // else the kernel does not know of it
			_, err = take(here)
			wantError(t, "taking what is taken", err, os.ErrExist)
		}
		if err := os.Remove(lock.Name()); err != nil {
			t.Fatal(err)
		}
		lock, err = take(here)
		if err != nil {
			t.Fatalf("round %d: what was given up can't be taken: %v", i, err)
		}
		lock.Close()
		os.Remove(lock.Name())

		lookUp(there, i)
		m.shell(fmt.Sprintf(`echo new > $J/d/new%d; echo other content > $J/d/t; mv $J/d/t $J/d/%d`, i, i))
		want(t, filepath.Join(there, "d", fmt.Sprintf("new%d", i)), "new\n")
		want(t, filepath.Join(there, "d", fmt.Sprint(i)), "other content\n")
		m.wantSame("d")
	}
}

// TestListedUpTo a number of bytes: the rest comes with the next answer.
func TestListedUpTo(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`i=0; while [ $i -lt 60 ]; do : > $J/name-$i; i=$((i+1)); done`)
	var names int
	c := m.client()
	for next, more := "", true; more; more = next != "" {
		var page []remote.Entry
		var err error
		page, next, err = c.ReadDirUpTo(t.Context(), "/", next, 1024)
		if err != nil || len(page) == 0 || len(page) > 30 {
			t.Fatalf("%d entries, error %v", len(page), err)
		}
		names += len(page)
	}
	if names != 60 {
		t.Errorf("%d names in all", names)
	}
}

// TestAWalkSeesOwnChanges: what is changed through the mount in directories that were listed ahead is seen at once,
// what others change within the cache time.
func TestAWalkSeesOwnChanges(t *testing.T) {
	const dirs = 12
	m := newMount(t, mountRole{})
	m.shell(fmt.Sprintf(`i=10; while [ $i -lt %d ]; do mkdir $J/$i; : > $J/$i/old; i=$((i+1)); done`, 10+dirs))
	read := func(i int) []string {
		entries, err := os.ReadDir(m.in(fmt.Sprint(10 + i)))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	for round := range 3 {
		show(m.in("."))
		for i := range dirs {
			if i%3 == round { // those behind it were listed ahead
				if err := os.WriteFile(m.in(fmt.Sprint(10+i), fmt.Sprint("new", round)), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := slices.Contains(read(i), fmt.Sprint("new", round)); got != (i%3 == round) {
				t.Fatalf("round %d: the new file in %d is seen: %v", round, i, got)
			}
		}
		m.shell(fmt.Sprintf(`rm $J/*/old; : > $J/%d/other%d`, 10+dirs-1, round))
		time.Sleep(time.Second)
		for i := range dirs {
			names := read(i)
			if slices.Contains(names, "old") || slices.Contains(names, fmt.Sprint("other", round)) != (i == dirs-1) {
				t.Fatalf("round %d: after a second %d has %q", round, i, names)
			}
		}
		m.shell(`for d in $J/*; do : > $d/old; done`)
		time.Sleep(time.Second)
	}
}
