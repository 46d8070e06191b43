package integration

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// awaitChange calls NextChange until it tells what is wanted.
func awaitChange(t *testing.T, c *remote.Client, what string, wanted func(remote.Change) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		change, err := c.NextChange(ctx)
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if wanted(change) {
			return
		}
	}
}

// TestChangesAreTold of other processes on the server, and of a directory's end.
func TestChangesAreTold(t *testing.T) {
	c, jail := client(t)
	dir := filepath.Join(jail, "d")
	run(t, "mkdir", dir)
	if err := c.Watch(t.Context(), "/d"); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "f"), "content")
	awaitChange(t, c, "a new file", func(c remote.Change) bool {
		return c.Kind == remote.ChangeEntries && c.Directory == "/d" && slices.Contains(c.Names, "f")
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	awaitChange(t, c, "the end of the directory", func(c remote.Change) bool {
		return c.Kind == remote.ChangeGone && c.Directory == "/d"
	})
	if err := c.Unwatch(t.Context(), "/d"); err != nil {
		t.Error(err)
	}
	c.Close()
	if _, err := c.NextChange(t.Context()); err == nil {
		t.Error("a closed client tells of changes")
	}
}

// TestALostLinkIsAChange: what happened meanwhile nobody has told.
func TestALostLinkIsAChange(t *testing.T) {
	jail, address := startServer(t, server.Options{})
	run(t, "mkdir", filepath.Join(jail, "d"))
	const bytes = 20_000
	first := true
	link := startCutter(t, address, func() (up, down cut) {
		up, down = cut{after: -1}, cut{after: -1}
		if first {
			first, up = false, cut{after: bytes}
		}
		return up, down
	})
	c := dial(t, remote.Options{Address: link.address()})
	if err := c.Watch(t.Context(), "/d"); err != nil {
		t.Fatal(err)
	}
	for range bytes / 10 { // a request takes more than that
		if _, err := c.Lstat(t.Context(), "/d"); err != nil {
			t.Fatal(err)
		}
	}
	awaitChange(t, c, "that anything may have changed", func(c remote.Change) bool {
		return c.Kind == remote.ChangeEntries && c.Directory == "/" && len(c.Names) == 0
	})
	write(t, filepath.Join(jail, "d", "f"), "content")
	awaitChange(t, c, "a new file", func(c remote.Change) bool {
		return c.Directory == "/d" && slices.Contains(c.Names, "f")
	})
}
