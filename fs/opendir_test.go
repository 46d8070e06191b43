package fs_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// TestKeptNamesAreTrue: whatever others and this mount change while programs read a directory in turns and at the
// same time, whole and in part, all come to see what it holds.
func TestKeptNamesAreTrue(t *testing.T) {
	for _, cache := range []struct {
		name string
		role mountRole
	}{{"notices", mountRole{}}, {"time", mountRole{CacheTime: 1e9}}, {"none", mountRole{CacheTime: -1}}} {
		t.Run(cache.name, func(t *testing.T) { keptNames(t, newMount(t, cache.role)) })
	}
}

func keptNames(t *testing.T, m *mounted) {
	m.shell(`mkdir $J/d; cd $J/d; i=0; while [ $i -lt 300 ]; do : > a-name-that-takes-some-room-$i; i=$((i+1)); done`)
	for round := range 4 {
		var reading sync.WaitGroup
		stop := make(chan struct{})
		for part := range 4 {
			reading.Go(func() { // ends when stop is closed
				for {
					select {
					case <-stop:
						return
					default:
					}
					readPart(t, m.in("d"), 1+part*100)
				}
			})
		}
		// A name that ls has read from a cache may be gone when it asks what that is.
		m.shell(fmt.Sprintf(`cd $J/d; mv a-name-that-takes-some-room-%[1]d b%[1]d; : > c%[1]d; ls -l $M/d > /dev/null 2>&1 || :`, round))
		m.shell(fmt.Sprintf(`cd $M/d; : > d%[1]d; mkdir e%[1]d; rm c%[1]d b%[1]d; ls > /dev/null`, round))
		m.wantSame("d")
		close(stop)
		reading.Wait()
		m.wantSame("d")
		if t.Failed() {
			return
		}
	}
}

// readPart reads so many names of a directory, and then some again.
func readPart(t *testing.T, dir string, names int) {
	d, err := os.Open(dir)
	if err != nil {
		t.Error(err)
		return
	}
	defer d.Close()
	if _, err := d.Readdirnames(names); err != nil && err != io.EOF {
		t.Error(err)
	}
	if _, err := d.Seek(0, io.SeekStart); err != nil {
		t.Error(err)
	}
	if _, err := d.Readdirnames(names / 2); err != nil && err != io.EOF {
		t.Error(err)
	}
}

// TestOwnNamesAreReadAtOnce after each change through the mount, by who reads the directory again and again.
func TestOwnNamesAreReadAtOnce(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`mkdir $J/d; cd $J/d; : > a; : > b`)
	read := func() int {
		entries, err := os.ReadDir(m.in("d"))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	for i := range 50 {
		for range 3 {
			if n := read(); n != 2 {
				t.Fatalf("round %d begins with %d names", i, n)
			}
		}
		f, err := os.Create(m.in("d", "new"))
		if err != nil {
			t.Fatal(err)
		}
		if n := read(); n != 3 {
			t.Fatalf("after the create there are %d names", n)
		}
		f.Close()
		if n := read(); n != 3 {
			t.Fatalf("after the close there are %d names", n)
		}
		if err := os.Rename(m.in("d", "new"), m.in("d", "newer")); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(m.in("d", "new"), 0o700); err != nil {
			t.Fatal(err)
		}
		if n := read(); n != 4 {
			t.Fatalf("after the mkdir there are %d names", n)
		}
		m.shell(`rmdir $M/d/new; rm $M/d/newer`)
	}
}

// TestListingsAreNoOlderThanOpens: what an open has found is not taken back by a listing from before.
func TestListingsAreNoOlderThanOpens(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`mkdir $J/d; : > $J/d/f`)
	for i := range 30 {
		show(m.in("d"))
		content := strings.Repeat("x", i)
		if err := os.WriteFile(m.at("d/f"), []byte(content), 0); err != nil {
			t.Fatal(err)
		}
		want(t, m.in("d/f"), content)
		show(m.in("d"))
		if info, err := os.Lstat(m.in("d/f")); err != nil || info.Size() != int64(i) {
			t.Fatalf("the listing tells %v bytes, error %v, want %d", info.Size(), err, i)
		}
	}
}
