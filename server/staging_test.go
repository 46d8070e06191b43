package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol"
)

func TestStagingIsHidden(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("sub")
	up, c := s.dial(), s.dial()
	up.want(protocol.TransferAccepted, uploadRequest("f"))
	up.want(protocol.ChunkReceived, chunkRequest(pattern(512)))
	found := stagingsIn(t, s.jail)
	if len(found) != 1 {
		t.Fatalf("staging directories: %q", found)
	}
	name := filepath.Base(found[0])
	s.link(name, "link")
	s.link(name+"/part-1", "partlink")
	// Directories and files of the same name elsewhere, and of a similar one
	// here, are ordinary.
	similar := stagingPrefix + strings.Repeat("A", stagingRandom)
	s.mkdir("sub/" + name)
	s.mkdir(similar)
	s.write(similar+"/part-1", "users")

	if got := c.names("/"); got != similar+" link partlink sub" {
		t.Errorf("the listing holds %q", got)
	}
	if got := c.names("/sub"); got != name {
		t.Errorf("the listing of a directory with one of the same name holds %q", got)
	}
	for _, link := range []string{"link", "partlink"} {
		if e := c.list("/")[link]; e.Directory || e.Size != 0 {
			t.Errorf("a link into it is listed as %+v", e)
		}
		c.want(protocol.FileNotFound, downloadRequest(link))
		r := uploadRequest(link)
		r.Replace = true
		c.want(protocol.FileAlreadyExists, r)
	}
	for _, dir := range []string{"/" + name, "/link", "/sub/../" + name, "/" + name + "/."} {
		c.want(protocol.FileNotFound, protocol.Request{Type: protocol.ListFiles, Directory: dir})
		c.want(protocol.FileNotFound, protocol.Request{Type: protocol.CreateFile, Name: "n", Directory: dir})
		c.want(protocol.FileNotFound, protocol.Request{Type: protocol.MakeDirectory, Name: "n", Directory: dir})
		c.want(protocol.FileNotFound, protocol.Request{Type: protocol.RemoveFile, Name: "part-1", Directory: dir})
		r := downloadRequest("part-1")
		r.Directory = dir
		c.want(protocol.NotADirectory, r)
		r.Type, r.Size = protocol.UploadFile, 1
		c.want(protocol.NotADirectory, r)
	}
	c.want(protocol.FileNotFound, downloadRequest(name))
	c.want(protocol.FileNotFound, protocol.Request{Type: protocol.RemoveFile, Name: name, Directory: "/"})
	if got := string(c.download("/"+similar, "part-1", 512)); got != "users" {
		t.Errorf("the file in the similar directory is %q", got)
	}
	up.want(protocol.TransferCompleted, chunkRequest(pattern(kilo)[512:]))
	if got := stagingsIn(t, s.jail); !slices.Equal(got, []string{filepath.Join(s.jail, similar), filepath.Join(s.jail, "sub", name)}) {
		t.Errorf("after the upload there are %q", got)
	}
	for _, dir := range []string{similar, "sub"} {
		if err := os.RemoveAll(filepath.Join(s.jail, dir)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStagingIsShared: one directory for all uploads to a file system.
func TestStagingIsShared(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("a/b")
	var clients []*client
	for _, dir := range []string{"/", "/a", "/a/b"} {
		c := s.dial()
		r := uploadRequest("f")
		r.Directory = dir
		c.want(protocol.TransferAccepted, r)
		if got := stagingsIn(t, s.jail); len(got) != 1 || filepath.Dir(got[0]) != s.jail {
			t.Errorf("staging directories: %q", got)
		}
		clients = append(clients, c)
	}
	for _, c := range clients {
		if len(stagingsIn(t, s.jail)) != 1 {
			t.Error("the staging directory went before the last upload")
		}
		c.want(protocol.TransferCancelled, protocol.Request{Type: protocol.CancelTransfer})
	}
	requireNoStaging(t, s.jail)
}

// TestListingsNeverShowStaging while uploads come and go.
func TestListingsNeverShowStaging(t *testing.T) {
	s := serve(t, Options{})
	up, c := s.dial(), s.dial()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			if r := up.upload("/", "f", []byte("content"), 512, true); r.Reason != protocol.TransferCompleted {
				t.Errorf("answer %s", describe(r))
				return
			}
		}
	}()
	for {
		if got := c.names("/"); got != "" && got != "f" {
			t.Errorf("the listing holds %q", got)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestLeftoversAreSwept(t *testing.T) {
	jail := t.TempDir()
	leftover := func(letter string, mode os.FileMode, files ...string) string {
		dir := filepath.Join(jail, stagingPrefix+strings.Repeat(letter, stagingRandom))
		if err := os.Mkdir(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
		for _, file := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte("half"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	full := leftover("A", 0o700, "part-1", "part-23")
	empty := leftover("B", 0o700)
	users := leftover("C", 0o700, "part-1", "part-", "part-x", "letter")
	open := leftover("D", 0o755, "part-1")
	locked := leftover("E", 0o700, "part-1")
	file := filepath.Join(jail, stagingPrefix+strings.Repeat("F", stagingRandom))
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(jail, stagingPrefix+strings.Repeat("G", stagingRandom))
	if err := os.Symlink(open, link); err != nil {
		t.Fatal(err)
	}
	server, err := os.Open(locked)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := unix.Flock(int(server.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}

	before := tree(t, jail)
	readOnly, err := New(Options{Jail: jail, Token: token, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	readOnly.Close()
	if after := tree(t, jail); after != before {
		t.Errorf("a read-only server swept: before\n%safter\n%s", before, after)
	}
	s, err := New(Options{Jail: jail, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, path := range []string{full, empty, filepath.Join(users, "part-1")} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s was not swept", path)
		}
	}
	for _, path := range []string{filepath.Join(users, "part-"), filepath.Join(users, "part-x"),
		filepath.Join(users, "letter"), filepath.Join(open, "part-1"), filepath.Join(locked, "part-1"), file, link} {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s was swept: %v", path, err)
		}
	}
}

// TestServersOfOneJailLeaveOneAnotherAlone: an upload to one is neither swept nor
// seen by another.
func TestServersOfOneJailLeaveOneAnotherAlone(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial()
	c.want(protocol.TransferAccepted, uploadRequest("f"))
	c.want(protocol.ChunkReceived, chunkRequest(pattern(512)))
	name := filepath.Base(stagingsIn(t, s.jail)[0])

	other := serve(t, Options{Jail: s.jail}).dial()
	if got := other.names("/"); got != "" {
		t.Errorf("the listing holds %q", got)
	}
	other.want(protocol.FileNotFound, protocol.Request{Type: protocol.ListFiles, Directory: "/" + name})
	other.want(protocol.FileNotFound, protocol.Request{Type: protocol.RemoveFile, Name: name, Directory: "/"})
	download := downloadRequest("part-1")
	download.Directory = "/" + name
	other.want(protocol.NotADirectory, download)
	c.want(protocol.TransferCompleted, chunkRequest(pattern(kilo)[512:]))
	if got := other.names("/"); got != "f" {
		t.Errorf("after the upload the listing holds %q", got)
	}
}

func TestMountsBelow(t *testing.T) {
	const mountinfo = `22 27 0:21 / / rw,relatime - ext4 /dev/a rw
23 27 0:22 / /jail rw - tmpfs none rw
24 27 0:22 / /jail/a rw - tmpfs none rw
25 27 0:22 / /jailed/b rw - tmpfs none rw
26 27 0:22 /sub /jail/a/with\040space\134 rw shared:1 - tmpfs none rw
short
`
	for path, want := range map[string][]string{
		"/jail":   {"/a", `/a/with space\`},
		"/jail/a": {`/with space\`},
		"/":       {"/jail", "/jail/a", "/jailed/b", `/jail/a/with space\`},
	} {
		got, err := mountsBelow(strings.NewReader(mountinfo), path)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, error %v, want %q", path, got, err, want)
		}
	}
}
