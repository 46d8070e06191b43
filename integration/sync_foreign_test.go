package integration

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/remofile/remofile/remote"
)

// TestSynchronisationWithAPythonServer: it carries neither times nor permission bits and replaces nothing, but
// what is the same size and not older is not sent again.
func TestSynchronisationWithAPythonServer(t *testing.T) {
	jail, source, back := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "back")
	c := dial(t, remote.Options{Address: startPythonServer(t, jail, token), Plain: true})
	if err := os.MkdirAll(filepath.Join(source, "dir", "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(source, "dir", "file"), string(random(20_000)))
	write(t, filepath.Join(source, "nothing"), "")
	for n, want := range []int64{2, 0} {
		sum, err := c.SynchronizeUpload(t.Context(), source, "/d", remote.SyncOptions{})
		if err != nil || sum.Files != want {
			t.Errorf("up %d: %+v, error %v", n, sum, err)
		}
		run(t, "diff", "-r", source, filepath.Join(jail, "d"))
		sum, err = c.SynchronizeDownload(t.Context(), "/d", back, remote.SyncOptions{Delete: true})
		if err != nil || sum.Files != want {
			t.Errorf("down %d: %+v, error %v", n, sum, err)
		}
		run(t, "diff", "-r", source, back)
	}
	write(t, filepath.Join(source, "nothing"), "more")
	if _, err := c.SynchronizeUpload(t.Context(), source, "/d", remote.SyncOptions{}); !errors.Is(err, remote.Unsupported) {
		t.Errorf("a file to be replaced: error %v", err)
	}
	if _, err := c.SynchronizeUpload(t.Context(), source, "/d", remote.SyncOptions{Checksum: true}); !errors.Is(err, remote.Unsupported) {
		t.Errorf("by checksum: error %v", err)
	}
}
