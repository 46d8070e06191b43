package integration

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// newRandomTree tells the seed.
func newRandomTree(t *testing.T, links bool) *randomTree {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return &randomTree{t: t, random: rand.New(rand.NewPCG(seed, 0)), links: links}
}

// fillBoth makes random trees on both sides.
func (r *randomTree) fillBoth(source, destination string) {
	r.t.Helper()
	r.check(os.MkdirAll(destination, 0o755))
	r.fill(source, 12)
	r.fill(destination, 12)
}

func mirror() remote.SyncOptions {
	return remote.SyncOptions{
		TreeOptions: remote.TreeOptions{Links: remote.LinksKeep},
		Delete:      true, Checksum: true, // content may differ where size and time do not
	}
}

// TestSynchronisationWithoutDeleteKeepsAll: what only the destination has stays. A directory in the way of a
// file is an error then.
func TestSynchronisationWithoutDeleteKeepsAll(t *testing.T) {
	bothWays(t, func(t *testing.T, source, destination string, sync synchronise) {
		newRandomTree(t, true).fillBoth(source, destination)
		before := describeTree(t, destination)
		o := mirror()
		o.Delete = false
		_, err := sync(t.Context(), source, destination, o)
		after := describeTree(t, destination)
		for _, line := range describeTree(t, source) {
			if !slices.Contains(after, line) && err == nil {
				t.Errorf("the destination lacks %s", line)
			}
		}
		for _, line := range before {
			name, _, _ := strings.Cut(line, `" `)
			kept := func(l string) bool { return strings.HasPrefix(l, name+`" `) }
			if !slices.ContainsFunc(after, kept) && !slices.ContainsFunc(after, func(l string) bool { return isUnder(name, l) }) {
				t.Errorf("the destination has lost %s", line)
			}
		}
		if err != nil && !errors.Is(err, remote.NotEmpty) {
			t.Error(err)
		}
	})
}

// isUnder reports whether a quoted name is beneath that of a line which is no directory.
func isUnder(name, line string) bool {
	above, rest, _ := strings.Cut(line, `" `)
	return strings.HasPrefix(name, above+"/") && !strings.HasPrefix(rest, "d")
}

// TestFilteredThingsAreLeftAlone: what the filter excludes is neither brought nor removed.
func TestFilteredThingsAreLeftAlone(t *testing.T) {
	filter, err := remote.NewFilter(remote.Rule{Pattern: "b c"}, remote.Rule{Pattern: "*.ext"}, remote.Rule{Pattern: "/a/"})
	if err != nil {
		t.Fatal(err)
	}
	bothWays(t, func(t *testing.T, source, destination string, sync synchronise) {
		newRandomTree(t, true).fillBoth(source, destination)
		before := excludedFiles(t, destination, filter)
		o := mirror()
		o.Filter = filter
		_, err := sync(t.Context(), source, destination, o)
		if err != nil && !errors.Is(err, remote.NotEmpty) { // something excluded is in the way, or in a directory there
			t.Fatal(err)
		}
		if after := excludedFiles(t, destination, filter); !slices.Equal(before, after) {
			t.Errorf("excluded: %q, before %q", after, before)
		}
		if err == nil {
			mustHave(t, source, destination, filter)
		}
	})
}

// excludedFiles returns the files of a tree that the filter excludes, and those in directories that it does.
func excludedFiles(t *testing.T, dir string, filter *remote.Filter) (names []string) {
	t.Helper()
	excluded := ""
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, p)
		if excluded == "" || !strings.HasPrefix(p, excluded+"/") {
			excluded = ""
		}
		if excluded == "" && p != dir && filter.Excludes(name, d.IsDir()) {
			excluded = p
		}
		if excluded != "" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// mustHave fails the test unless the destination has all of the source that the filter lets pass, and nothing
// else but directories in which it keeps something.
func mustHave(t *testing.T, source, destination string, filter *remote.Filter) {
	t.Helper()
	passing := func(dir string) (names []string) {
		excluded := excludedFiles(t, dir, filter)
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			name, _ := filepath.Rel(dir, p)
			keeps := func(other string) bool { return strings.HasPrefix(other, name+"/") }
			onlyHere := dir == destination && d.IsDir() && slices.ContainsFunc(excluded, keeps)
			if _, err := os.Lstat(filepath.Join(source, name)); onlyHere && err != nil {
				return nil
			}
			if !slices.Contains(excluded, name) {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if want, got := passing(source), passing(destination); !slices.Equal(want, got) {
		t.Errorf("the destination has %q, want %q", got, want)
	}
}

// TestAnExcludedDirectoryInTheWayIsKept: a pattern may exclude the directory and not the file of its name.
func TestAnExcludedDirectoryInTheWayIsKept(t *testing.T) {
	filter, err := remote.NewFilter(remote.Rule{Pattern: "/a/"})
	if err != nil {
		t.Fatal(err)
	}
	bothWays(t, func(t *testing.T, source, destination string, sync synchronise) {
		kept := filepath.Join(destination, "a", "kept")
		if err := errors.Join(
			os.WriteFile(filepath.Join(source, "a"), []byte("a file"), 0o600),
			os.MkdirAll(filepath.Dir(kept), 0o700),
			os.WriteFile(kept, nil, 0o600),
		); err != nil {
			t.Fatal(err)
		}
		o := mirror()
		o.Filter = filter
		if _, err := sync(t.Context(), source, destination, o); !errors.Is(err, remote.NotEmpty) || !strings.Contains(err.Error(), "filter excludes") {
			t.Errorf("a file in place of an excluded directory: %v", err)
		}
		if _, err := os.Lstat(kept); err != nil {
			t.Error(err)
		}
	})
}

// TestADryRunTellsAndChangesNothing compares it with the run that follows.
func TestADryRunTellsAndChangesNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, source, destination string, sync synchronise) {
		newRandomTree(t, true).fillBoth(source, destination)
		var told [2][]string
		for n := range told {
			o := mirror()
			o.DryRun = n == 0
			o.Observe = func(e remote.Event) {
				if e.Kind != remote.EventMoved && e.Kind != remote.EventStarted && e.Kind != remote.EventDone {
					told[n] = append(told[n], fmt.Sprint(e))
				}
			}
			before := append(changeTimes(t, source), changeTimes(t, destination)...)
			if _, err := sync(t.Context(), source, destination, o); err != nil {
				t.Fatal(err)
			}
			if after := append(changeTimes(t, source), changeTimes(t, destination)...); o.DryRun && !slices.Equal(before, after) {
				t.Errorf("the dry run has changed something:\n%q\n%q", before, after)
			}
			slices.Sort(told[n])
		}
		for _, event := range told[0] {
			if !slices.Contains(told[1], event) {
				t.Errorf("only the dry run told %s", event)
			}
		}
		for _, event := range told[1] {
			if !slices.Contains(told[0], event) {
				t.Errorf("the dry run did not tell %s", event)
			}
		}
	})
}

// TestAnInterruptedSynchronisationIsCompleted interrupts it at random moments, until one run gets through.
func TestAnInterruptedSynchronisationIsCompleted(t *testing.T) {
	bothWays(t, func(t *testing.T, source, destination string, sync synchronise) {
		r := newRandomTree(t, true)
		r.fillBoth(source, destination)
		o := mirror()
		for patience := 1; ; patience += 1 + r.random.IntN(40) {
			ctx, cancel := context.WithCancel(t.Context())
			var events atomic.Int64
			o.Observe = func(remote.Event) {
				if events.Add(1) == int64(patience) {
					cancel()
				}
			}
			_, err := sync(ctx, source, destination, o)
			cancel()
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		sameTrees(t, source, destination)
		mustChangeNothing(t, source, destination, o, sync)
	})
}

// TestASynchronisationOutlivesItsLink cuts the link now and then.
func TestASynchronisationOutlivesItsLink(t *testing.T) {
	jail, address := startServer(t, server.Options{})
	link := startMeteredLink(t, address)
	c := dial(t, remote.Options{Address: link.address})
	r := newRandomTree(t, true)
	source, back := t.TempDir(), filepath.Join(t.TempDir(), "back")
	r.fillBoth(source, filepath.Join(jail, "d"))
	o := mirror()
	events := 0
	o.Observe = func(remote.Event) {
		if events++; events%40 == 0 {
			link.cut()
		}
	}
	if _, err := c.SynchronizeUpload(t.Context(), source, "/d", o); err != nil {
		t.Fatal(err)
	}
	sameTrees(t, source, filepath.Join(jail, "d"))
	if _, err := c.SynchronizeDownload(t.Context(), "/d", back, o); err != nil {
		t.Fatal(err)
	}
	sameTrees(t, source, back)
}

// TestRenamedFilesAreNotSentAgain: a directory and a file have got other names, and a file was
// copied over.
func TestRenamedFilesAreNotSentAgain(t *testing.T) {
	bothWays(t, func(t *testing.T, source, destination string, sync synchronise) {
		run(t, "mkdir", filepath.Join(source, "dir"))
		for i := range 5 {
			write(t, filepath.Join(source, "dir", fmt.Sprint(i)), string(random(100_000)))
		}
		write(t, filepath.Join(source, "z"), string(random(100_000)))
		if _, err := sync(t.Context(), source, destination, mirror()); err != nil {
			t.Fatal(err)
		}
		run(t, "mv", filepath.Join(source, "dir"), filepath.Join(source, "another"))
		run(t, "mv", filepath.Join(source, "z"), filepath.Join(source, "a\nb"))
		write(t, filepath.Join(source, "another", "3"), string(random(100_000)))
		sum, err := sync(t.Context(), source, destination, mirror())
		if err != nil || sum.Renamed != 5 || sum.Files != 1 || sum.Saved != 500_000 {
			t.Errorf("%+v, error %v", sum, err)
		}
		sameTrees(t, source, destination)
	})
}

// TestASourceThatChangesIsAnError: it is for the next run.
func TestASourceThatChangesIsAnError(t *testing.T) {
	bothWays(t, func(t *testing.T, source, destination string, sync synchronise) {
		changing := filepath.Join(source, "changing")
		write(t, changing, string(random(20<<20)))
		write(t, filepath.Join(source, "z"), "z")
		o := mirror()
		o.Observe = func(e remote.Event) {
			if e.Path == "changing" && e.Kind == remote.EventMoved {
				if err := os.Chtimes(changing, time.Time{}, time.Now()); err != nil {
					t.Error(err)
				}
			}
		}
		if _, err := sync(t.Context(), source, destination, o); !errors.Is(err, remote.Changed) {
			t.Errorf("error %v, want %v", err, remote.Changed)
		}
		hasOnly(t, destination, "z")
		o.Observe = nil
		if _, err := sync(t.Context(), source, destination, o); err != nil {
			t.Fatal(err)
		}
		sameTrees(t, source, destination)
	})
}

// TestWhatCannotBeListedIsNotRemoved: a tree that is too deep is not all listed.
func TestWhatCannotBeListedIsNotRemoved(t *testing.T) {
	bothWays(t, func(t *testing.T, source, destination string, sync synchronise) {
		if err := os.MkdirAll(filepath.Join(source, strings.Repeat("d/", 210)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(destination, "e"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(destination, "z"), "z")
		if _, err := sync(t.Context(), source, destination, mirror()); !errors.Is(err, remote.InvalidName) {
			t.Errorf("error %v", err)
		}
		hasOnly(t, destination, "d", "e", "z")
	})
}
