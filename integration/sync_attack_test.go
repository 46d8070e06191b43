package integration

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

// swap puts a symbolic link in the place of a directory, again and again, until stop is called; the
// directory is back then.
func swap(t *testing.T, dir, target string) (stop func()) {
	t.Helper()
	aside := dir + ".aside"
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if os.Rename(dir, aside) == nil {
				if os.Symlink(target, dir) == nil {
					time.Sleep(100 * time.Microsecond)
					os.Remove(dir)
				}
				os.Rename(aside, dir)
			}
			select {
			case <-end:
				return
			case <-time.After(100 * time.Microsecond):
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// TestDownloadsWriteNothingThroughLinksThatAppear: somebody puts a link to elsewhere into the destination
// while it is filled. What fails then is told, and nothing comes elsewhere or is removed there.
func TestDownloadsWriteNothingThroughLinksThatAppear(t *testing.T) {
	c, jail := client(t)
	makeFiles(t, filepath.Join(jail, "s"), 3, 50, 100)
	root, elsewhere := t.TempDir(), t.TempDir()
	write(t, filepath.Join(elsewhere, "precious"), "precious")
	local := filepath.Join(root, "d")
	victim := filepath.Join(local, "directory 1")
	if err := os.MkdirAll(victim, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(victim, "precious"), "not in the source")
	stop := swap(t, victim, elsewhere)
	for range 20 {
		c.SynchronizeDownload(t.Context(), "/s", local, remote.SyncOptions{Delete: true})
		for _, name := range []string{"directory 0", "directory 2"} {
			if err := os.RemoveAll(filepath.Join(local, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	hasOnly(t, elsewhere, "precious")
	holds(t, filepath.Join(elsewhere, "precious"), "precious")
	if _, err := c.SynchronizeDownload(t.Context(), "/s", local, remote.SyncOptions{Delete: true}); err != nil {
		t.Fatal(err)
	}
	sameTrees(t, filepath.Join(jail, "s"), local)
}

// TestUploadsReadNothingThroughLinksThatAppear is the same with the source of an upload.
func TestUploadsReadNothingThroughLinksThatAppear(t *testing.T) {
	c, jail := client(t)
	source, elsewhere := t.TempDir(), t.TempDir()
	makeFiles(t, filepath.Join(source, "s"), 3, 50, 100)
	for _, name := range []string{"file 0", "file 7", "secret"} {
		write(t, filepath.Join(elsewhere, name), "secret")
	}
	stop := swap(t, filepath.Join(source, "s", "directory 1"), elsewhere)
	for _, links := range []remote.Links{remote.LinksKeep, remote.LinksFollow} {
		for range 10 {
			o := remote.SyncOptions{Delete: true}
			o.Links = links
			c.SynchronizeUpload(t.Context(), filepath.Join(source, "s"), "/d", o)
			for _, line := range describeTree(t, jail) {
				if strings.Contains(line, "736563") { // "sec"
					t.Fatalf("the server has %s", line)
				}
			}
			if err := c.RemoveAll(t.Context(), "/d"); err != nil && !errors.Is(err, remote.NotFound) {
				t.Fatal(err)
			}
		}
	}
	stop()
}

// TestLinksOutOfTheSourceAreNotFollowed, neither of the client's nor of the server's.
func TestLinksOutOfTheSourceAreNotFollowed(t *testing.T) {
	bothWays(t, func(t *testing.T, source, destination string, sync synchronise) {
		elsewhere := filepath.Join(t.TempDir(), "elsewhere")
		write(t, elsewhere, "secret")
		write(t, filepath.Join(source, "file"), "content")
		for name, target := range map[string]string{"out": elsewhere, "up": "../../elsewhere", "in": "file"} {
			if err := os.Symlink(target, filepath.Join(source, name)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := sync(t.Context(), source, destination, remote.SyncOptions{}); err == nil {
			t.Error("nobody told that links were left out")
		}
		hasOnly(t, destination, "file", "in")
		holds(t, filepath.Join(destination, "in"), "content")
		if info, err := os.Lstat(filepath.Join(destination, "in")); err != nil || !info.Mode().IsRegular() {
			t.Errorf("it is %v, error %v", info, err)
		}
	})
}

// TestALinkInTheDestinationIsReplaced, and what it leads to is left alone.
func TestALinkInTheDestinationIsReplaced(t *testing.T) {
	bothWays(t, func(t *testing.T, source, destination string, sync synchronise) {
		write(t, filepath.Join(source, "file"), "new")
		if err := os.MkdirAll(filepath.Join(source, "dir"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(source, "dir", "file"), "new")
		kept := filepath.Join(filepath.Dir(destination), "kept")
		if err := os.MkdirAll(filepath.Join(kept, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(kept, "file"), "old")
		if err := os.Mkdir(destination, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, target := range map[string]string{"file": "../kept/file", "dir": "../kept/sub", "gone": "../kept"} {
			if err := os.Symlink(target, filepath.Join(destination, name)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := sync(t.Context(), source, destination, mirror()); err != nil {
			t.Fatal(err)
		}
		sameTrees(t, source, destination)
		hasOnly(t, kept, "file", "sub")
		hasOnly(t, filepath.Join(kept, "sub"))
		holds(t, filepath.Join(kept, "file"), "old")
	})
}
