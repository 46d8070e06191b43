package server

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol"
)

// tree returns what is in a directory, one line a file, links not followed.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch d.Type() {
		case 0:
			content, err := os.ReadFile(path)
			fmt.Fprintf(&b, "%s %q\n", name, content)
			return err
		case fs.ModeSymlink:
			text, err := os.Readlink(path)
			fmt.Fprintf(&b, "%s -> %s\n", name, text)
			return err
		default:
			fmt.Fprintf(&b, "%s %v\n", name, d.Type())
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLinksNeverLeaveTheJail(t *testing.T) {
	outside := t.TempDir()
	for _, dir := range []string{"jail", "dir"} {
		if err := os.Mkdir(filepath.Join(outside, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"secret", "dir/secret"} {
		if err := os.WriteFile(filepath.Join(outside, file), []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, Options{Jail: filepath.Join(outside, "jail")})
	s.mkdir("sub")
	files := map[string]string{
		"up":        "../secret",
		"absolute":  filepath.Join(outside, "secret"),
		"again":     "sub/up",
		"roundtrip": "../jail/target", // out and in again
		"root":      "/",
		"nowhere":   "missing",
		"loop":      "loop",
		"proc":      "/proc/self/environ",
		"outdir":    "..",
		"outdir2":   "sub/../../dir",
		"absdir":    filepath.Join(outside, "dir"),
		"abshere":   filepath.Join(outside, "jail", "target"), // absolute is outside
	}
	for name, text := range files {
		s.link(text, name)
	}
	s.link("../../secret", "sub/up")
	s.write("target", "inside")
	before := tree(t, outside)
	c := s.dial()
	for name := range files {
		if e, ok := c.list("/")[name]; !ok || e.Directory || e.Size != 0 {
			t.Errorf("%s is listed as %+v", name, e)
		}
		c.want(protocol.FileNotFound, downloadRequest(name))
		c.want(protocol.FileAlreadyExists, protocol.Request{Type: protocol.CreateFile, Name: name, Directory: "/"})
		c.want(protocol.FileAlreadyExists, protocol.Request{Type: protocol.MakeDirectory, Name: name, Directory: "/"})
		for _, replace := range []bool{false, true} {
			r := uploadRequest(name)
			r.Replace = replace
			c.want(protocol.FileAlreadyExists, r)
		}
	}
	for _, dir := range []string{"/..", "/outdir", "/outdir2", "/absdir", "/outdir/dir", "/outdir/jail", "/root",
		"/loop", "/sub/../../dir", "/sub/../../jail"} {
		c.want(protocol.FileNotFound, protocol.Request{Type: protocol.ListFiles, Directory: dir})
		c.want(protocol.FileNotFound, protocol.Request{Type: protocol.CreateFile, Name: "n", Directory: dir})
		c.want(protocol.FileNotFound, protocol.Request{Type: protocol.MakeDirectory, Name: "n", Directory: dir})
		c.want(protocol.FileNotFound, protocol.Request{Type: protocol.RemoveFile, Name: "secret", Directory: dir})
		download := downloadRequest("secret")
		download.Directory = dir
		c.want(protocol.NotADirectory, download)
		upload := uploadRequest("secret")
		upload.Directory, upload.Replace = dir, true
		c.want(protocol.NotADirectory, upload)
	}
	if after := tree(t, outside); after != before {
		t.Errorf("something changed: before\n%safter\n%s", before, after)
	}
	for name := range files {
		c.want(protocol.FileRemoved, protocol.Request{Type: protocol.RemoveFile, Name: name, Directory: "/"})
	}
	if _, err := os.Stat(filepath.Join(outside, "secret")); err != nil {
		t.Errorf("removing a link removed its target: %v", err)
	}
}

func TestLinksInsideTheJailAreFollowed(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("a/b")
	s.write("a/b/file", "content")
	s.link("a/b/file", "direct")
	s.link("a/b", "dir")
	s.link("dir/file", "through")
	s.link("dir/../b/./file", "dots")
	s.link("dir/../../direct", "back")
	s.link("a/b/", "slash")
	s.link("../b/file", "a/b/self")
	previous := "direct"
	for i := 1; i <= maxLinks; i++ {
		s.link(previous, fmt.Sprint("chain", i))
		previous = fmt.Sprint("chain", i)
	}
	c := s.dial()
	last := fmt.Sprint("chain", maxLinks-1)
	for _, name := range []string{"direct", "through", "dots", "back", last} {
		if got := c.download("/", name, 512); string(got) != "content" {
			t.Errorf("%s: content %q", name, got)
		}
		if e := c.list("/")[name]; e.Directory || e.Size != 7 {
			t.Errorf("%s is listed as %+v", name, e)
		}
	}
	for _, dir := range []string{"/dir", "/slash", "/dir/../b", "/a/../dir/../../dir"} {
		if got := c.download(dir, "self", 512); string(got) != "content" {
			t.Errorf("self in %s: content %q", dir, got)
		}
	}
	for _, name := range []string{"dir", "slash"} {
		if e := c.list("/")[name]; !e.Directory || e.Size != 0 {
			t.Errorf("%s is listed as %+v", name, e)
		}
		c.want(protocol.NotAFile, downloadRequest(name))
	}
	tooLong := fmt.Sprint("chain", maxLinks)
	c.want(protocol.FileNotFound, downloadRequest(tooLong))
	if e := c.list("/")[tooLong]; e.Directory || e.Size != 0 {
		t.Errorf("a chain of too many links is listed as %+v", e)
	}
}

// TestDotDotStaysPhysical: behind a link, ".." is the parent of where it leads.
func TestDotDotStaysPhysical(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("a/b")
	s.link("a/b", "link")
	s.write("a/here", "")
	s.write("top", "")
	if got := s.dial().names("/link/.."); got != "b here" {
		t.Errorf("/link/.. holds %q, want that of /a", got)
	}
}

func TestReplacingALinkReplacesItsTarget(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("a")
	s.write("a/file", "old")
	s.link("a/file", "one")
	s.link("one", "two")
	s.link("a", "dir")
	c := s.dial()
	if r := c.upload("/", "two", []byte("new"), 512, false); r.Reason != protocol.FileAlreadyExists {
		t.Errorf("without replacing: answer %s", describe(r))
	}
	if r := c.upload("/", "two", []byte("new"), 512, true); r.Reason != protocol.TransferCompleted {
		t.Errorf("replacing: answer %s", describe(r))
	}
	want := "a d---------\na/file \"new\"\ndir -> a\none -> a/file\ntwo -> one\n"
	if got := strings.TrimPrefix(tree(t, s.jail), ". d---------\n"); got != want {
		t.Errorf("the jail is\n%swant\n%s", got, want)
	}
	if r := c.upload("/", "dir", []byte("new"), 512, true); r.Reason != protocol.FileAlreadyExists {
		t.Errorf("a link to a directory: answer %s", describe(r))
	}
	requireNoStaging(t, s.jail)
}

// TestNothingIsRemovedThroughLinks is what saves the target of a link from a
// client that takes the link for a directory and removes all that is in it.
func TestNothingIsRemovedThroughLinks(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("photos/2026")
	s.write("photos/2026/one", "precious")
	s.link("photos", "link")
	c := s.dial()
	for _, dir := range []string{"/link/2026", "/photos/../link/2026", "/link/../link/2026"} {
		r := c.want(protocol.UnknownError, protocol.Request{Type: protocol.RemoveFile, Name: "one", Directory: dir})
		if r.Message != protocol.MessageThroughLink {
			t.Errorf("in %s: message %q, want %q", dir, r.Message, protocol.MessageThroughLink)
		}
	}
	if got := s.read("photos/2026/one"); got != "precious" {
		t.Errorf("the file holds %q", got)
	}
	c.want(protocol.FileRemoved, protocol.Request{Type: protocol.RemoveFile, Name: "link", Directory: "/"})
	c.want(protocol.FileRemoved, protocol.Request{Type: protocol.RemoveFile, Name: "one", Directory: "/photos/../photos/2026"})
}
