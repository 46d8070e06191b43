package integration

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

// TestPoliciesForConflicts has two files with names that are taken: the one there is older than what comes, the
// other newer. A dry run tells the same and changes nothing.
func TestPoliciesForConflicts(t *testing.T) {
	for _, test := range []struct {
		policy      remote.Conflict
		files       map[string]string // that there are then
		skipped     int64
		transferred int64
		err         error
	}{
		{remote.ConflictFail, map[string]string{"older.txt": "there", "newer.txt": "there"}, 0, 0, remote.Exists},
		{remote.ConflictSkip, map[string]string{"older.txt": "there", "newer.txt": "there", "free": "new"}, 2, 1, nil},
		{remote.ConflictReplace, map[string]string{"older.txt": "new", "newer.txt": "new", "free": "new"}, 0, 3, nil},
		{remote.ConflictNewer, map[string]string{"older.txt": "new", "newer.txt": "there", "free": "new"}, 1, 2, nil},
		{remote.ConflictRename, map[string]string{
			"older.txt": "there", "newer.txt": "there", "newer (1).txt": "there", "free": "new",
			"older (1).txt": "new", "newer (2).txt": "new",
		}, 0, 3, nil},
	} {
		for _, up := range []bool{true, false} {
			c, jail := client(t)
			local := t.TempDir()
			source, destination := filepath.Join(local, "dir"), filepath.Join(jail, "dir")
			if !up {
				source, destination = destination, source
			}
			run(t, "mkdir", source, destination)
			for _, name := range []string{"older.txt", "newer.txt", "free"} {
				write(t, filepath.Join(source, name), "new")
			}
			for _, name := range []string{"older.txt", "newer.txt"} {
				write(t, filepath.Join(destination, name), "there")
			}
			if test.policy == remote.ConflictRename {
				write(t, filepath.Join(destination, "newer (1).txt"), "there")
			}
			past := time.Unix(1e9, 0)
			for _, p := range []string{filepath.Join(destination, "older.txt"), filepath.Join(source, "newer.txt")} {
				if err := os.Chtimes(p, past, past); err != nil {
					t.Fatal(err)
				}
			}
			transfer := func(dryRun bool) (remote.Summary, error) {
				o := remote.TreeOptions{Conflict: test.policy, Recursive: true, DryRun: dryRun}
				if up {
					return c.UploadFiles(t.Context(), []string{source}, "/", o)
				}
				return c.DownloadFiles(t.Context(), []string{"/dir"}, local, o)
			}
			before := describeTree(t, destination)
			for _, dryRun := range []bool{true, false} {
				sum, err := transfer(dryRun)
				if !errors.Is(err, test.err) || sum.Skipped != test.skipped || sum.Files != test.transferred {
					t.Errorf("policy %d, up %v, dry %v: %+v, error %v", test.policy, up, dryRun, sum, err)
				}
				if after := describeTree(t, destination); dryRun && len(before) != len(after) {
					t.Errorf("policy %d, up %v: the dry run has changed something", test.policy, up)
				}
			}
			for name, content := range test.files {
				holds(t, filepath.Join(destination, name), content)
			}
			if n := len(describeTree(t, destination)); n != len(test.files)+1 {
				t.Errorf("policy %d, up %v: %d entries, want %d", test.policy, up, n, len(test.files)+1)
			}
		}
	}
}

// TestSourcesArriveRelativeToADirectory with the directories on the way.
func TestSourcesArriveRelativeToADirectory(t *testing.T) {
	c, jail := client(t)
	local, back := t.TempDir(), t.TempDir()
	run(t, "mkdir", "-p", filepath.Join(local, "a/b/c"))
	write(t, filepath.Join(local, "a/b/c/file"), "content")
	write(t, filepath.Join(local, "a/b/other"), "content")
	o := remote.TreeOptions{Relative: local, Recursive: true}
	if _, err := c.UploadFiles(t.Context(), []string{"a/b/c", "a/b/other"}, "/", o); err != nil {
		t.Fatal(err)
	}
	settle(t, jail)
	run(t, "diff", "-r", local, jail)
	o.Relative = "/a"
	if _, err := c.DownloadFiles(t.Context(), []string{"b/c/file", "b/other"}, back, o); err != nil {
		t.Fatal(err)
	}
	run(t, "diff", "-r", filepath.Join(local, "a"), back)
	for _, source := range []string{"../a", "/etc", "a/../.."} {
		o.Relative = local
		if _, err := c.UploadFiles(t.Context(), []string{source}, "/", o); err == nil {
			t.Errorf("%s was sent", source)
		}
	}
	hasOnly(t, jail, "a")
}
