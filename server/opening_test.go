package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOpeningsAgree has openat2 and os.Root open the same directories, and refuse the same.
func TestOpeningsAgree(t *testing.T) {
	outside := t.TempDir()
	for _, dir := range []string{"jail/a/b", "jail/closed", "dir/sub"} {
		if err := os.MkdirAll(filepath.Join(outside, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, Options{Jail: filepath.Join(outside, "jail")})
	s.write("file", "")
	for name, text := range map[string]string{
		"in": "a", "deep": "a/b", "back": "a/b/../..", "a/up": "..", "a/top": "../../jail", "root": "/",
		"out": "..", "far": "../dir", "absolute": filepath.Join(outside, "dir"), "here": filepath.Join(outside, "jail/a"),
		"twice": "far", "loop": "loop", "nowhere": "missing", "proc": "/proc/self/cwd", "link": "file",
	} {
		s.link(text, name)
	}
	if err := unix.Mkfifo(filepath.Join(s.jail, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	paths := []string{
		".", "a", "a/b", "a//b", "a/./b", "a/..", "a/b/../..", "..", "../jail", "a/../../jail", "a/../../dir", "missing", "missing/..",
		"in", "in/b", "in/..", "deep", "deep/..", "back", "back/a", "a/up", "a/up/a", "a/top", "a/top/a", "root", "out", "out/jail", "far",
		"far/sub", "absolute", "absolute/sub", "here", "twice", "twice/sub", "loop", "loop/a", "nowhere", "proc", "link", "file", "file/..",
		"file/a", "fifo", "fifo/a", "a\x00b", strings.Repeat("n", 300),
	}
	j := s.Server.jail
	identity := func(fd int, err error) (fileID, error) {
		if err != nil {
			return fileID{}, directoryError(err)
		}
		defer unix.Close(fd)
		_, id, err := identify(fd)
		return id, err
	}
	opened := 0
	for _, path := range paths {
		want, wantErr := identity(j.openByRoot(path))
		got, err := identity(j.openDirectory(path))
		if got != want || !errors.Is(err, wantErr) {
			t.Errorf("%.50q: %v, %v, want %v, %v", path, got, err, want, wantErr)
		}
		// What openat2 opens is never another one.
		if got, err := identity(openBeneath(j.top.fd(), path, toOpen)); err == nil {
			if opened++; got != want {
				t.Errorf("%.50q: openat2 opens %v, want %v, %v", path, got, want, wantErr)
			}
		}
	}
	if opened == 0 {
		t.Log("openat2 opens nothing here")
	}
}

// TestPathsAsLongAsTheyLike are more than the system takes at a time.
func TestPathsAsLongAsTheyLike(t *testing.T) {
	s := serve(t, Options{})
	fd := s.Server.jail.top.fd()
	name := strings.Repeat("n", 200)
	path := ""
	defer os.RemoveAll(filepath.Join(s.jail, name))
	for range unix.PathMax/len(name) + 1 {
		if err := mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := openAt(fd, name, toOpen, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(next)
		fd, path = next, path+"/"+name
	}
	_, want, err := identify(fd)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Server.jail.open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if d.id != want {
		t.Errorf("another directory was opened")
	}
}

// TestOpeningsMeetRenames has somebody exchange a directory of the jail for a link that leads out of it, while it is
// opened: what is opened is in the jail.
func TestOpeningsMeetRenames(t *testing.T) {
	s := serve(t, Options{})
	outside := t.TempDir()
	s.mkdir("dir")
	s.mkdir("dir/sub")
	if err := os.Mkdir(filepath.Join(outside, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.link(outside, "away")
	j := s.Server.jail
	inside, err := j.open("/dir/sub")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.close()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // ends with the test
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := renameat2(j.top.fd(), "dir", j.top.fd(), "away", unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	opened, refused := 0, 0
	for (opened < 100 || refused < 100) && opened+refused < 1_000_000 {
		d, err := j.open([]string{"/dir/sub", "/dir/../dir/sub", "/away/sub"}[(opened+refused)%3])
		if err != nil {
			refused++
			continue
		}
		opened++
		if d.id != inside.id {
			t.Error("a directory outside the jail was opened")
		}
		d.close()
	}
	close(stop)
	<-done
	if opened == 0 || refused == 0 {
		t.Errorf("%d opened, %d refused: nothing was met", opened, refused)
	}
}
