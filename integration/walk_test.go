package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/remofile/remofile/remote"
)

// walked returns the paths of a walk, directories with a slash at the end.
func walked(t *testing.T, c *remote.Client, dir string) []string {
	t.Helper()
	var all []string
	err := c.Walk(t.Context(), dir, func(p string, e remote.Entry, err error) error {
		if err != nil {
			t.Errorf("%s: %v", p, err)
		}
		if e.IsDir() {
			p += "/"
		}
		all = append(all, p)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return all
}

// TestAWalkSeesAllInOrder in both protocols.
func TestAWalkSeesAllInOrder(t *testing.T) {
	c, jail := client(t)
	makeTree(t, jail, 30, 100)
	run(t, "mkdir", "-p", filepath.Join(jail, "deep/1/2/3/4/5/6/7/8/9"), filepath.Join(jail, "empty"))
	foreign := t.TempDir()
	run(t, "cp", "-r", jail+"/.", foreign)
	run(t, "mkdir", filepath.Join(jail, "wide"))
	for i := range 1000 { // more than a page
		write(t, filepath.Join(jail, "wide", fmt.Sprint(i)), "")
	}
	if got, want := walked(t, c, "/"), walkedLocally(t, jail); !slices.Equal(got, want) {
		t.Errorf("%d entries, want %d: %.300q", len(got), len(want), got)
	}
	old := dial(t, remote.Options{Address: startPythonServer(t, foreign, token), Plain: true})
	if got, want := walked(t, old, "/"), walkedLocally(t, foreign); !slices.Equal(got, want) {
		t.Errorf("Remofile 1: %d entries, want %d: %.300q", len(got), len(want), got)
	}
}

func walkedLocally(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		p = strings.TrimPrefix(p, dir)
		if e.IsDir() {
			p += "/"
		}
		all = append(all, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNobodyWalksThroughLinks has a directory with links to itself.
func TestNobodyWalksThroughLinks(t *testing.T) {
	c, jail := client(t)
	run(t, "mkdir", filepath.Join(jail, "d"))
	write(t, filepath.Join(jail, "d", "f"), "content")
	for i := range 5 {
		if err := os.Symlink(".", filepath.Join(jail, "d", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"/d/", "/d/0/", "/d/1/", "/d/2/", "/d/3/", "/d/4/", "/d/f"}
	if got := walked(t, c, "/"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	local := t.TempDir()
	if _, err := c.DownloadFiles(t.Context(), []string{"/d"}, local, remote.TreeOptions{Recursive: true}); err == nil {
		t.Error("nobody told that links were left out")
	}
	hasOnly(t, filepath.Join(local, "d"), "f")
}
