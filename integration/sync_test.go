package integration

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

// randomTree makes random trees. What it makes of a seed, it makes again.
type randomTree struct {
	t      *testing.T
	random *rand.Rand
	links  bool
}

// treeNames are names that are hard to carry. Few of them, so that two trees have much in common.
var treeNames = []string{
	"a", "A", "b c", "new\nline", "\xff\xfe", "*", "a?", "[x]", "{y}", "é", "-r", "a.b", "a b.c", "~", `back\slash`, "name.ext", ".hidden",
}

func (r *randomTree) name() string { return treeNames[r.random.IntN(len(treeNames))] }

// content is often one of a few, and often of one of a few lengths.
func (r *randomTree) content() []byte {
	lengths := []int{0, 1, 100, 5000, 20000, 20000, 70000}
	b := make([]byte, lengths[r.random.IntN(len(lengths))])
	rand.NewChaCha8([32]byte{byte(r.random.IntN(3))}).Read(b)
	return b
}

func (r *randomTree) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// fill makes up to n entries in a directory and beneath.
func (r *randomTree) fill(dir string, n int) {
	r.t.Helper()
	for range n {
		p := filepath.Join(dir, r.name())
		if _, err := os.Lstat(p); err == nil {
			continue
		}
		switch k := r.random.IntN(10); {
		case k < 3:
			r.check(os.Mkdir(p, 0o755))
			r.fill(p, n/2)
			r.check(os.Chmod(p, 0o700|fs.FileMode(r.random.IntN(64))))
		case k < 4 && r.links:
			r.check(os.Symlink([]string{"a", "..", "/etc/passwd", "nowhere"}[r.random.IntN(4)], p))
			continue
		default:
			r.check(os.WriteFile(p, r.content(), 0o644))
			r.check(os.Chmod(p, 0o400|fs.FileMode(r.random.IntN(256))))
		}
		when := time.Unix(1e9+int64(r.random.IntN(3)), int64(r.random.IntN(2))*1234567)
		r.check(os.Chtimes(p, when, when))
	}
}

// change changes some of a tree, and gives other things other names.
func (r *randomTree) change(dir string) {
	r.t.Helper()
	var paths []string
	r.check(filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if p != dir {
			paths = append(paths, p)
		}
		return err
	}))
	for _, p := range paths {
		switch r.random.IntN(8) {
		case 0:
			r.check(os.RemoveAll(p))
		case 1:
			to := filepath.Join(filepath.Dir(p), r.name())
			if _, err := os.Lstat(to); err != nil {
				os.Rename(p, to)
			}
		case 2:
			if info, err := os.Lstat(p); err == nil && info.Mode().IsRegular() {
				r.check(os.WriteFile(p, r.content(), 0))
			}
		}
	}
	r.fill(dir, 3)
}

// describeTree describes a tree: one line for each entry, with what a synchronisation carries.
func describeTree(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		if strings.HasPrefix(d.Name(), ".rmf-part-") {
			return nil
		}
		line := fmt.Sprintf("%q %v", name, info.Mode())
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line += " " + target
		case info.IsDir():
			line += " " + info.ModTime().String()
		default:
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %v %d %x", info.ModTime(), len(content), content[:min(len(content), 4)])
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// sameTrees fails the test unless two trees are the same, and tells where they differ.
func sameTrees(t *testing.T, want, got string) {
	t.Helper()
	a, b := describeTree(t, want), describeTree(t, got)
	if slices.Equal(a, b) {
		return
	}
	for _, line := range a {
		if !slices.Contains(b, line) {
			t.Errorf("only the source has %s", line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			t.Errorf("only the destination has %s", line)
		}
	}
}

// synchronise runs one way of synchronisation.
type synchronise func(ctx context.Context, source, destination string, o remote.SyncOptions) (remote.Summary, error)

// bothWays runs a test with uploads into a jail, and with downloads from one.
func bothWays(t *testing.T, test func(t *testing.T, source, destination string, sync synchronise)) {
	t.Run("upload", func(t *testing.T) {
		c, jail := client(t)
		source, destination := t.TempDir(), filepath.Join(jail, "d")
		test(t, source, destination, func(ctx context.Context, from, to string, o remote.SyncOptions) (remote.Summary, error) {
			return c.SynchronizeUpload(ctx, from, "/"+strings.TrimPrefix(to, jail+"/"), o)
		})
	})
	t.Run("download", func(t *testing.T) {
		c, jail := client(t)
		source, destination := filepath.Join(jail, "s"), filepath.Join(t.TempDir(), "d")
		if err := os.Mkdir(source, 0o755); err != nil {
			t.Fatal(err)
		}
		test(t, source, destination, func(ctx context.Context, from, to string, o remote.SyncOptions) (remote.Summary, error) {
			return c.SynchronizeDownload(ctx, "/"+strings.TrimPrefix(from, jail+"/"), to, o)
		})
	})
}

// TestSynchronisedTreesAreTheSame makes random trees on both sides, again and again.
func TestSynchronisedTreesAreTheSame(t *testing.T) {
	bothWays(t, func(t *testing.T, source, destination string, sync synchronise) {
		rounds := 8
		if fullSize() {
			rounds = 200
		}
		r := newRandomTree(t, true)
		r.fillBoth(source, destination)
		for round := range rounds {
			o := mirror()
			sum, err := sync(t.Context(), source, destination, o)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			sameTrees(t, source, destination)
			if t.Failed() {
				t.Fatalf("round %d: %+v", round, sum)
			}
			mustChangeNothing(t, source, destination, o, sync)
			r.change(source)
			if round%2 == 0 {
				r.change(destination)
			}
		}
	})
}

// mustChangeNothing synchronises what is the same already.
func mustChangeNothing(t *testing.T, source, destination string, o remote.SyncOptions, sync synchronise) {
	t.Helper()
	before := changeTimes(t, destination)
	o.Observe = func(e remote.Event) {
		if e.Kind != remote.EventUnchanged {
			t.Errorf("the second run has event %+v", e)
		}
	}
	if _, err := sync(t.Context(), source, destination, o); err != nil {
		t.Fatal(err)
	}
	if after := changeTimes(t, destination); !slices.Equal(before, after) {
		t.Errorf("the second run has changed something:\n%q\n%q", before, after)
	}
}

// changeTimes returns when each entry of a tree was last changed in any way.
func changeTimes(t *testing.T, dir string) []string {
	t.Helper()
	var times []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		times = append(times, fmt.Sprint(p, st.Ino, st.Ctim))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return times
}
