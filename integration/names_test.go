package integration

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

func TestRenameTreatsAnExistingNameAsAskedFor(t *testing.T) {
	for _, test := range []struct {
		mode     remote.RenameMode
		want     error
		from, to string // what the names hold then
	}{
		{remote.RenameReplace, nil, "", "from"},
		{remote.RenameKeep, fs.ErrExist, "from", "to"},
		{remote.RenameExchange, nil, "to", "from"},
	} {
		c, jail := client(t)
		from, to := filepath.Join(jail, "from"), filepath.Join(jail, "to")
		write(t, from, "from")
		write(t, to, "to")
		if err := c.Rename(t.Context(), "/from", "/to", test.mode); !errors.Is(err, test.want) {
			t.Errorf("mode %d: error %v, want %v", test.mode, err, test.want)
		}
		holds(t, to, test.to)
		if test.from != "" {
			holds(t, from, test.from)
		} else {
			hasOnly(t, jail, "to")
		}
	}
}

func TestLinksAreWhatTheyAreOnTheServer(t *testing.T) {
	c, jail := client(t)
	ctx := t.Context()
	write(t, filepath.Join(jail, "f"), "content")
	linked, err := c.Link(ctx, "/f", "/hard")
	if err != nil || linked.Links != 2 {
		t.Fatalf("%d links, error %v", linked.Links, err)
	}
	if _, err := c.Symlink(ctx, "f", "/soft"); err != nil {
		t.Fatal(err)
	}
	if target, err := c.Readlink(ctx, "/soft"); err != nil || target != "f" {
		t.Errorf("target %q, error %v", target, err)
	}
	f, err := c.Lstat(ctx, "/f")
	if err != nil {
		t.Fatal(err)
	}
	followed, err := c.Stat(ctx, "/soft")
	if err != nil || !followed.Same(&f.Attr) || !linked.Same(&f.Attr) {
		t.Errorf("error %v; %+v, %+v and %+v should be one file", err, followed.Attr, linked, f.Attr)
	}
	link, err := c.Lstat(ctx, "/soft")
	if err != nil || !link.Link || link.Mode.Type() != fs.ModeSymlink || link.Size != 1 || link.Same(&f.Attr) {
		t.Errorf("error %v; %+v", err, link)
	}
	entries, next, err := c.ReadDir(ctx, "/", "")
	if err != nil || next != "" || len(entries) != 3 || entries[2].Mode.Type() != fs.ModeSymlink {
		t.Errorf("error %v, next %q, %+v", err, next, entries)
	}
	if entries, _, err = c.ReadDir(ctx, "/", "f"); err != nil || len(entries) != 2 || entries[0].Name != "hard" {
		t.Errorf("error %v, behind f: %+v", err, entries)
	}
}

func TestAttributesAreSet(t *testing.T) {
	c, jail := client(t)
	ctx := t.Context()
	name := filepath.Join(jail, "f")
	write(t, name, "content")
	run(t, "ln", "-s", "f", filepath.Join(jail, "link"))
	modified, accessed := time.Unix(1_000_000_000, 123_456_789), time.Unix(2_000_000_000, 5)
	err := errors.Join(
		c.Chmod(ctx, "/link", 0o751),
		c.Truncate(ctx, "/link", 3),
		c.Chtimes(ctx, "/link", accessed, modified),
	)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode() != 0o751 || !info.ModTime().Equal(modified) {
		t.Errorf("error %v, mode %v, modified %v", err, info.Mode(), info.ModTime())
	}
	holds(t, name, "con")

	mode := fs.FileMode(0o600)
	a, err := c.Set(ctx, "/f", remote.Changes{Mode: &mode, Modified: &accessed})
	if err != nil || a.Mode != mode || !a.Modified.Equal(accessed) || a.Size != 3 {
		t.Errorf("error %v, %+v", err, a)
	}
	far := time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := c.Chtimes(ctx, "/f", far, modified); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a time that has no number: error %v", err)
	}
	if _, err := c.Set(ctx, "/link", remote.Changes{Modified: &modified}); err != nil {
		t.Fatal(err)
	}
	link, err := os.Lstat(filepath.Join(jail, "link"))
	if err != nil || !link.ModTime().Equal(modified) {
		t.Errorf("error %v; the link has %v", err, link.ModTime())
	}
	if err := c.Chmod(ctx, "/f", 0o4755|fs.ModeSetuid); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("set-uid: error %v", err)
	}
	made, err := c.Mkdir(ctx, "/d", 0o700)
	if err != nil || made.Mode != fs.ModeDir|0o700 {
		t.Errorf("error %v, mode %v", err, made.Mode)
	}
	if err := c.Sync(ctx, "/d"); err != nil {
		t.Error(err)
	}
	if space, err := c.Space(ctx, "/d"); err != nil || space.Total < space.Free || space.Available <= 0 {
		t.Errorf("error %v, %+v", err, space)
	}
}

// TestAStagedFileAppearsAtItsCommit also looks at what is reserved, replaced and dropped.
func TestAStagedFileAppearsAtItsCommit(t *testing.T) {
	c, jail := client(t)
	ctx := t.Context()
	f, err := c.Stage(ctx, "/f", 0o600, remote.StageOptions{Reserve: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lstat(ctx, "/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a look: error %v", err)
	}
	if _, err := c.Mkdir(ctx, "/f", 0o777); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another one of that name: error %v", err)
	}
	modified := time.Unix(1e9, 0)
	a, err := f.Commit(ctx, remote.CommitOptions{Sync: true, Changes: remote.Changes{Modified: &modified}})
	if err != nil || a.Size != 7 || a.Mode != 0o600 || !a.Modified.Equal(modified) {
		t.Fatalf("error %v, %+v", err, a)
	}
	holds(t, filepath.Join(jail, "f"), "content")
	if _, err := f.Write([]byte(" and more")); err != nil {
		t.Fatal(err)
	}
	if err := f.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	holds(t, filepath.Join(jail, "f"), "content and more")

	if _, err := c.Stage(ctx, "/f", 0o600, remote.StageOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("not replacing: error %v", err)
	}
	second, err := c.Stage(ctx, "/f", 0o600, remote.StageOptions{Replace: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stage(ctx, "/f", 0o600, remote.StageOptions{Replace: true}); !errors.Is(err, remote.Busy) {
		t.Errorf("a third one: error %v", err)
	}
	if _, err := second.Commit(ctx, remote.CommitOptions{Keep: true}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("keeping what is there: error %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	holds(t, filepath.Join(jail, "f"), "content and more")
	hasOnly(t, jail, "f")
}

func TestRangesOfFiles(t *testing.T) {
	c, jail := client(t)
	ctx := t.Context()
	const end = 1 << 20
	f, err := c.Create(ctx, "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("data"), end-4); err != nil {
		t.Fatal(err)
	}
	content := append(make([]byte, end-4), "data"...)
	digests, err := f.Digest(ctx, 0, 1<<40, 1<<39)
	if want := sha256.Sum256(content); err != nil || !slices.Equal(digests, [][sha256.Size]byte{want}) {
		t.Errorf("error %v, digests %x, want %x", err, digests, want)
	}

	// Where the file system knows no holes, all is data.
	data, err := f.SeekData(ctx, 0)
	if err != nil || data > end-4 {
		t.Errorf("data at %d, error %v", data, err)
	}
	if hole, err := f.SeekHole(ctx, end-2); err != nil || hole != end {
		t.Errorf("a hole at %d, error %v", hole, err)
	}
	if _, err := f.SeekData(ctx, end); !errors.Is(err, remote.NoData) {
		t.Errorf("data behind the end: error %v", err)
	}

	if err := f.Allocate(ctx, end-4, 2, remote.AllocatePunch); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	} else if err == nil {
		copy(content[end-4:], []byte{0, 0})
	}
	n, err := f.CopyTo(ctx, end-4, f, 0, 100)
	if err != nil || n != 4 {
		t.Errorf("copied %d bytes, error %v", n, err)
	}
	copy(content, content[end-4:])
	if err := f.Allocate(ctx, 0, end+1, remote.AllocateStorage); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	} else if err == nil {
		content = append(content, 0)
	}
	holds(t, filepath.Join(jail, "f"), string(content))
}

// TestOnlyRemofile2HasFiles: the original's protocol knows whole files only.
func TestOnlyRemofile2HasFiles(t *testing.T) {
	jail := t.TempDir()
	c := dial(t, remote.Options{Address: startPythonServer(t, jail, token), Plain: true})
	write(t, filepath.Join(jail, "f"), "content")
	_, err := c.Open(t.Context(), "/f")
	_, staged := c.Stage(t.Context(), "/g", 0o666, remote.StageOptions{})
	for _, err := range []error{err, staged, c.Rename(t.Context(), "/f", "/g", remote.RenameReplace)} {
		var e *remote.Error
		if !errors.Is(err, errors.ErrUnsupported) || !errors.As(err, &e) || !strings.HasPrefix(e.Path, "/") {
			t.Errorf("error %v", err)
		}
	}
}
