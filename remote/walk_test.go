package remote

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
)

// lister is a server of Remofile 2 whose listings a test writes.
func lister(list func(r *remofile2.Request, answer func(remofile2.Answer))) *fake {
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
			answer := func(a remofile2.Answer) {
				a.ID = r.ID
				conn.WriteMessage(remofile2.AppendAnswer(nil, r.Operation, &a))
			}
			switch r.Operation {
			case remofile2.OpAttach:
				answer(remofile2.Answer{
					Session: strings.Repeat("s", 16), Secret: strings.Repeat("s", 32),
					Info: remofile2.Info{Requests: remofile2.MaxRequests, Bytes: remofile2.MaxBytes, Payload: remofile2.MaxPayload},
				})
			case remofile2.OpList:
				list(&r, answer)
			default:
				answer(remofile2.Answer{})
			}
		}
	}}
}

// listingOf is a listing of n directories, or files.
func listingOf(kind remofile2.Kind, from, n int) []remofile2.Entry {
	entries := make([]remofile2.Entry, n)
	for i := range entries {
		entries[i] = remofile2.Entry{Name: fmt.Sprintf("%06d", from+i), Attr: remofile2.Attr{Kind: kind}}
	}
	return entries
}

// TestAWalkAsksForDirectoriesSideBySide has a server that answers none before it was asked for all.
func TestAWalkAsksForDirectoriesSideBySide(t *testing.T) {
	const wide = 6 // 6 directories, with 6 each
	var held []func(remofile2.Answer)
	f := lister(func(r *remofile2.Request, answer func(remofile2.Answer)) {
		depth := strings.Count(strings.TrimSuffix(r.Path, "/"), "/")
		if depth == 2 {
			answer(remofile2.Answer{})
			return
		}
		held = append(held, answer)
		if depth == 0 || len(held) == wide {
			for _, answer := range held {
				answer(remofile2.Answer{Entries: listingOf(remofile2.KindDirectory, 0, wide)})
			}
			held = nil
		}
	})
	n := 0
	err := f.client(t, Options{}).Walk(t.Context(), "/", func(string, Entry, error) error {
		n++
		return nil
	})
	if err != nil || n != wide+wide*wide {
		t.Errorf("%d entries, error %v", n, err)
	}
}

// TestAWalkTakesLittleMemory goes through 100,000 entries (REMOFILE_TEST_FULL=1: a million),
// most of them in one directory.
func TestAWalkTakesLittleMemory(t *testing.T) {
	files := 50_000
	if os.Getenv("REMOFILE_TEST_FULL") == "1" {
		files = 500_000
	}
	const page = 5000
	f := lister(func(r *remofile2.Request, answer func(remofile2.Answer)) {
		switch {
		case r.Path == "/":
			answer(remofile2.Answer{Entries: listingOf(remofile2.KindDirectory, 0, files/1000+1)})
			return
		case path.Base(r.Path) != "000000":
			answer(remofile2.Answer{Entries: listingOf(remofile2.KindFile, 0, 1000)})
			return
		}
		from := 0
		if r.Cursor != "" {
			fmt.Sscanf(r.Cursor, "%d", &from)
			from++
		}
		a := remofile2.Answer{Entries: listingOf(remofile2.KindFile, from, page)}
		if from+page < files {
			a.Cursor = a.Entries[page-1].Name
		}
		answer(a)
	})
	c := f.client(t, Options{})
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most uint64
	n, last := 0, ""
	err := c.Walk(t.Context(), "/", func(p string, e Entry, err error) error {
		if err != nil || p <= last {
			t.Fatalf("%s behind %s, error %v", p, last, err)
		}
		last = p
		if n++; n%20_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
		}
		return nil
	})
	if want := 2*files + files/1000 + 1; err != nil || n != want {
		t.Errorf("%d entries, error %v, want %d", n, err, want)
	}
	if limit := uint64(64 << 20); most > limit {
		t.Errorf("it took %d bytes of memory, want no more than %d", most, limit)
	}
}

// TestAWalkCanLeaveOut has directories a and b with three files each.
func TestAWalkCanLeaveOut(t *testing.T) {
	f := lister(func(r *remofile2.Request, answer func(remofile2.Answer)) {
		a := remofile2.Answer{Entries: []remofile2.Entry{{Name: "1"}, {Name: "2"}, {Name: "3"}}}
		if r.Path == "/" {
			directory := remofile2.Attr{Kind: remofile2.KindDirectory}
			a.Entries = []remofile2.Entry{{Name: "a", Attr: directory}, {Name: "b", Attr: directory}}
		}
		if r.Path == "/broken" {
			a = remofile2.Answer{Code: remofile2.CodeInputOutput}
		}
		answer(a)
	})
	c := f.client(t, Options{})
	failure := fmt.Errorf("of the test")
	for _, test := range []struct {
		at     string
		result error
		want   string
		err    error
	}{
		{"", nil, "/a /a/1 /a/2 /a/3 /b /b/1 /b/2 /b/3", nil},
		{"/a", fs.SkipDir, "/a /b /b/1 /b/2 /b/3", nil},
		{"/a/2", fs.SkipDir, "/a /a/1 /a/2 /b /b/1 /b/2 /b/3", nil},
		{"/a/2", fs.SkipAll, "/a /a/1 /a/2", nil},
		{"/a/2", failure, "/a /a/1 /a/2", failure},
	} {
		var all []string
		err := c.Walk(t.Context(), "/", func(p string, _ Entry, err error) error {
			all = append(all, p)
			if err != nil || p == test.at {
				return test.result
			}
			return nil
		})
		if got := strings.Join(all, " "); got != test.want || err != test.err {
			t.Errorf("%v at %q: %s, error %v, want %s", test.result, test.at, got, err, test.want)
		}
	}
	if err := c.Walk(t.Context(), "/broken", nil); err == nil {
		t.Error("a directory that can't be listed was walked")
	}
}
