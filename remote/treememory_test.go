package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"testing"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
)

// simulated is a server whose root has so many files and nothing else, in pages of 1,000. All are as old as
// time's beginning.
func simulated(files int) *fake {
	name := func(i int) string { return fmt.Sprintf("file %07d", i) }
	return listedRoot(func(cursor string) (a remofile2.Answer) {
		from := sort.Search(files, func(i int) bool { return name(i) > cursor })
		to := min(from+1000, files)
		for i := from; i < to; i++ {
			a.Entries = append(a.Entries, remofile2.Entry{Name: name(i), Attr: remofile2.Attr{Size: 20 << 10, Inode: uint64(i)}})
		}
		if to < files {
			a.Cursor = name(to - 1)
		}
		return a
	})
}

// listedRoot is a server that knows no more than listings of its root, and that all else is a directory.
func listedRoot(list func(cursor string) remofile2.Answer) *fake {
	return &fake{version: 2, serve: func(conn *zmtp.Conn, _ int) {
		for {
			frames, err := conn.ReadMessage()
			if err != nil {
				return
			}
			r, err := remofile2.DecodeRequest(frames[0])
			if err != nil {
				return
			}
			var a remofile2.Answer
			switch r.Operation {
			case remofile2.OpAttach:
				a.Session, a.Secret = string(make([]byte, 16)), string(make([]byte, 32))
				a.Info = remofile2.Info{Requests: remofile2.MaxRequests, Bytes: remofile2.MaxBytes, Payload: remofile2.MaxPayload}
			case remofile2.OpStat:
				a.Attr.Kind = remofile2.KindDirectory
			case remofile2.OpList:
				a = list(r.Cursor)
			}
			a.ID = r.ID
			if conn.WriteMessage(remofile2.AppendAnswer(nil, r.Operation, &a)) != nil {
				return
			}
		}
	}}
}

// TestListingsThatMakeNoSenseRemoveNothing: what a server lists is out of order or comes twice.
// Nothing is removed then.
func TestListingsThatMakeNoSenseRemoveNothing(t *testing.T) {
	for _, names := range [][]string{{"b", "a"}, {"b", "b"}, {"a"}} {
		client := listedRoot(func(cursor string) (a remofile2.Answer) {
			for _, name := range names {
				a.Entries = append(a.Entries, remofile2.Entry{Name: name, Attr: remofile2.Attr{}})
			}
			if cursor == "" { // the second page has the same
				a.Cursor = "z"
			}
			return a
		}).client(t, Options{Timeout: time.Second})
		root := t.TempDir()
		destination := filepath.Join(root, "d")
		kept := filepath.Join(destination, "kept")
		if err := os.MkdirAll(kept, 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := client.SynchronizeDownload(t.Context(), "/", destination, SyncOptions{Delete: true}); err == nil {
			t.Errorf("%q: no error", names)
		}
		if _, err := os.Stat(kept); err != nil {
			t.Errorf("%q: %v", names, err)
		}
		if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
			t.Errorf("%q: there are %v, error %v", names, entries, err)
		}
	}
}

// TestTreesOfAnySizeTakeLittleMemory has a million files on one side of a dry run (reduced: 100,000), all of which would be
// brought or removed.
func TestTreesOfAnySizeTakeLittleMemory(t *testing.T) {
	files, limit := 100_000, uint64(32<<20)
	if os.Getenv("REMOFILE_TEST_FULL") != "" {
		files, limit = 1_000_000, 64<<20
	}
	client := simulated(files).client(t, Options{})
	var seen int
	var before, now runtime.MemStats
	var most uint64
	o := SyncOptions{Delete: true}
	o.DryRun = true
	o.Observe = func(Event) {
		if seen++; seen%20_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
		}
	}
	empty := t.TempDir()
	for _, test := range []struct {
		name string
		run  func() (Summary, error)
		want Summary
	}{
		{"all to be brought", func() (Summary, error) { return client.SynchronizeDownload(t.Context(), "/", empty, o) }, Summary{Files: int64(files)}},
		{"all to be removed", func() (Summary, error) { return client.SynchronizeUpload(t.Context(), empty, "/", o) }, Summary{Removed: int64(files)}},
	} {
		seen, most = 0, 0
		runtime.GC()
		runtime.ReadMemStats(&before)
		sum, err := test.run()
		if err != nil || sum.Files != test.want.Files || sum.Removed != test.want.Removed {
			t.Errorf("%s: %+v, error %v", test.name, sum, err)
		}
		if most > limit {
			t.Errorf("%s: %d MiB of heap", test.name, most>>20)
		}
		t.Logf("%s: %d MiB, %v", test.name, most>>20, sum.Took.Round(time.Millisecond))
	}
}

// TestLargeLocalDirectoriesTakeLittleMemory lists a directory of which only the names are held.
func TestLargeLocalDirectoriesTakeLittleMemory(t *testing.T) {
	const files = 2_000
	dir := t.TempDir()
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file %07d", i)), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	names, err := readNames(d)
	if err != nil {
		t.Fatal(err)
	}
	n, last := 0, ""
	for name := range names.sorted() {
		if n++; name <= last {
			t.Fatalf("%q behind %q", name, last)
		}
		last = name
	}
	if size := cap(names.text) + 8*cap(names.ends); n != files || size > 40*files {
		t.Errorf("%d names in %d bytes", n, size)
	}
}
