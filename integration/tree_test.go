package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

func TestTreesOfFiles(t *testing.T) {
	c, jail := client(t)
	ctx := t.Context()
	source := filepath.Join(t.TempDir(), "source")
	makeTree(t, source, 10, 100)
	then := time.Unix(1e9, 123456789)
	write(t, filepath.Join(source, "old"), "old")
	if err := os.Chtimes(filepath.Join(source, "old"), then, then); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(source, "old"), 0o741); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UploadFiles(ctx, []string{source}, "/", remote.TreeOptions{Recursive: true}); err != nil {
		t.Fatal(err)
	}
	back := t.TempDir()
	if _, err := c.DownloadFiles(ctx, []string{"/source"}, back, remote.TreeOptions{Recursive: true}); err != nil {
		t.Fatal(err)
	}
	run(t, "diff", "-r", source, filepath.Join(back, "source"))
	if _, err := c.SynchronizeUpload(ctx, source, "/source", remote.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SynchronizeDownload(ctx, "/source", filepath.Join(back, "source"), remote.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(jail, "source"), filepath.Join(back, "source")} {
		info, err := os.Stat(filepath.Join(dir, "old"))
		if err != nil {
			t.Fatal(err)
		}
		if !info.ModTime().Equal(then) || info.Mode().Perm() != 0o741 {
			t.Errorf("%v %v", info.ModTime(), info.Mode())
		}
	}
	if (&remote.Filter{}).Excludes("a", false) {
		t.Error("an empty filter excludes something")
	}
}
