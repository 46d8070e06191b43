package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol"
)

func TestNothingHalfWrittenIsVisible(t *testing.T) {
	s := serve(t, Options{})
	s.write("old", "old content")
	up, other := s.dial(), s.dial()
	content := pattern(kilo)
	for _, name := range []string{"new", "old"} {
		before := tree(t, s.jail)
		r := uploadRequest(name)
		r.Replace = true
		up.want(protocol.TransferAccepted, r)
		visible := other.list("/")
		up.want(protocol.ChunkReceived, chunkRequest(content[:512]))
		if e, ok := other.list("/")[name]; ok != (name == "old") || e != visible[name] {
			t.Errorf("%s is listed as %+v during the upload", name, e)
		}
		if got := other.names("/"); strings.Contains(got, stagingPrefix) {
			t.Errorf("the listing holds %q", got)
		}
		if name == "old" && string(other.download("/", "old", 512)) != "old content" {
			t.Error("the old content is not there during the upload")
		}
		up.want(protocol.TransferCancelled, protocol.Request{Type: protocol.CancelTransfer})
		if after := tree(t, s.jail); after != before {
			t.Errorf("a cancelled upload left\n%sof\n%s", after, before)
		}
		if r := up.upload("/", name, content, 512, true); r.Reason != protocol.TransferCompleted {
			t.Fatalf("answer %s", describe(r))
		}
		requireNoStaging(t, s.jail)
		if s.read(name) != string(content) {
			t.Errorf("%s has another content than was sent", name)
		}
	}
}

func TestUploadOfEverySize(t *testing.T) {
	s := serve(t, Options{MaxChunkSize: 1 << 20})
	c := s.dial()
	for _, size := range []int{0, 1, 511, 512, 513, 1023, 1024, 3 << 20, 3<<20 + 1} {
		content := pattern(size)
		for _, chunk := range []int{512, 8192, 1 << 20} {
			if r := c.upload("/", "f", content, chunk, true); r.Reason != protocol.TransferCompleted {
				t.Fatalf("%d bytes in chunks of %d: answer %s", size, chunk, describe(r))
			}
			if s.read("f") != string(content) {
				t.Errorf("%d bytes in chunks of %d: another content", size, chunk)
			}
		}
	}
}

// TestRequestsSentAhead: a client need not wait for the answer to a chunk. After one
// that ends the upload, those behind it find none.
func TestRequestsSentAhead(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial()
	content := pattern(3 * 512)
	for _, lengths := range [][]int{{512, 512, 512}, {512, 511, 512}} {
		r := protocol.Request{Type: protocol.UploadFile, Name: "f", Directory: "/", Size: 3 * 512, ChunkSize: 512,
			Replace: true}
		c.want(protocol.TransferAccepted, r)
		for _, n := range lengths {
			chunk := chunkRequest(content[:n])
			if err := c.conn.WriteMessage(nil, protocol.AppendRequest(nil, &chunk)); err != nil {
				t.Fatal(err)
			}
		}
		want := []protocol.Reason{protocol.ChunkReceived, protocol.ChunkReceived, protocol.TransferCompleted}
		if lengths[1] != 512 {
			want = []protocol.Reason{protocol.ChunkReceived, protocol.BadRequest, protocol.BadRequest}
		}
		for i := range want {
			if r := c.receive(); r.Reason != want[i] {
				t.Errorf("chunks of %v: answer %d is %s, want %v", lengths, i+1, describe(r), want[i])
			}
		}
	}
}

func TestUploadRefusesExistingNames(t *testing.T) {
	s := serve(t, Options{})
	s.write("file", "old")
	s.mkdir("dir")
	s.link("missing", "dangling")
	c := s.dial()
	for name, replaceable := range map[string]bool{"file": true, "dir": false, "dangling": false} {
		c.want(protocol.FileAlreadyExists, uploadRequest(name))
		r := uploadRequest(name)
		r.Replace = true
		if !replaceable {
			c.want(protocol.FileAlreadyExists, r)
		}
	}
}

// TestNameTakenDuringAnUpload: the end of an upload decides once more.
func TestNameTakenDuringAnUpload(t *testing.T) {
	for name, test := range map[string]struct {
		take    func(s *served)
		replace bool
		want    protocol.Reason
		content string
	}{
		"by a file":               {func(s *served) { s.write("f", "other") }, false, protocol.FileAlreadyExists, "other"},
		"by a file, replacing":    {func(s *served) { s.write("f", "other") }, true, protocol.TransferCompleted, "ours"},
		"by a directory":          {func(s *served) { s.mkdir("f") }, false, protocol.FileAlreadyExists, ""},
		"by a directory replaced": {func(s *served) { s.mkdir("f") }, true, protocol.FileAlreadyExists, ""},
		"by a link":               {func(s *served) { s.link("missing", "f") }, false, protocol.FileAlreadyExists, ""},
		"by a link, replacing":    {func(s *served) { s.link("missing", "f") }, true, protocol.FileAlreadyExists, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Options{})
			c := s.dial()
			r := protocol.Request{Type: protocol.UploadFile, Name: "f", Directory: "/", Size: 4, ChunkSize: 512,
				Replace: test.replace}
			c.want(protocol.TransferAccepted, r)
			test.take(s)
			c.want(test.want, chunkRequest([]byte("ours")))
			requireNoStaging(t, s.jail)
			if test.content != "" && s.read("f") != test.content {
				t.Errorf("content %q, want %q", s.read("f"), test.content)
			}
			c.want(protocol.BadRequest, protocol.Request{Type: protocol.CancelTransfer})
		})
	}
}

func TestDirectoryRemovedDuringAnUpload(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("dir")
	c := s.dial()
	c.want(protocol.TransferAccepted, protocol.Request{Type: protocol.UploadFile, Name: "f", Directory: "/dir", Size: 4,
		ChunkSize: 512})
	if err := os.Remove(filepath.Join(s.jail, "dir")); err != nil {
		t.Fatal(err)
	}
	c.want(protocol.NotADirectory, chunkRequest([]byte("ours")))
	requireNoStaging(t, s.jail)
}

// TestCommitByLink: the way of file systems without RENAME_NOREPLACE.
func TestCommitByLink(t *testing.T) {
	s := serve(t, Options{})
	start := func(name string) *upload {
		r := protocol.Request{Name: name, Directory: "/", Size: 3, ChunkSize: 512}
		u, err := s.uploads.start(t.Context(), &r, s.session(t).link)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.write([]byte("new")); err != nil {
			t.Fatal(err)
		}
		return u
	}
	free, taken := start("free"), start("taken")
	s.write("taken", "old")
	if err := free.link(); err != nil {
		t.Errorf("a free name: %v", err)
	}
	if err := taken.link(); responseTo(err).Reason != protocol.FileAlreadyExists {
		t.Errorf("a taken name: %v", err)
	}
	free.close(true)
	taken.close(true)
	want := ". d---------\nfree \"new\"\ntaken \"old\"\n"
	if got := tree(t, s.jail); got != want {
		t.Errorf("the jail is\n%swant\n%s", got, want)
	}
}

func TestSecondUploadOfANameIsRefused(t *testing.T) {
	s := serve(t, Options{})
	s.uploads.signTime = 0
	s.mkdir("dir")
	s.link("dir", "link")
	s.write("dir/existing", "old")
	s.link("dir/existing", "file")
	first, second := s.dial(), s.dial()
	request := func(dir, name string) protocol.Request {
		return protocol.Request{Type: protocol.UploadFile, Name: name, Directory: dir, Size: kilo, ChunkSize: 512,
			Replace: true}
	}
	refused := func(dir, name string) {
		t.Helper()
		r := second.want(protocol.UnknownError, request(dir, name))
		if r.Type != protocol.Errored || !strings.HasPrefix(r.Message, "in use by 127.0.0.1:") ||
			!strings.Contains(r.Message, ", which uploads it since 2") {
			t.Errorf("answer %s", describe(r))
		}
	}
	cancel := protocol.Request{Type: protocol.CancelTransfer}

	first.want(protocol.TransferAccepted, request("/dir", "f"))
	for _, dir := range []string{"/dir", "/link", "/dir/../dir"} {
		refused(dir, "f")
	}
	second.want(protocol.TransferAccepted, request("/", "f"))
	second.want(protocol.TransferCancelled, cancel)
	first.want(protocol.TransferCancelled, cancel)
	second.want(protocol.TransferAccepted, request("/link", "f"))
	second.want(protocol.TransferCancelled, cancel)

	first.want(protocol.TransferAccepted, request("/", "file"))
	refused("/dir", "existing")
	first.want(protocol.BadRequest, chunkRequest(nil))
	second.want(protocol.TransferAccepted, request("/dir", "existing"))
}

func TestSessionEndFreesItsUpload(t *testing.T) {
	s := serve(t, Options{StagingLimit: kilo})
	for range 3 {
		c := s.dial()
		r := c.request(uploadRequest("f"))
		for r.Reason == protocol.UnknownError { // until the server has seen the end of the session before
			r = c.request(uploadRequest("f"))
		}
		if r.Reason != protocol.TransferAccepted {
			t.Fatalf("answer %s", describe(r))
		}
		c.want(protocol.ChunkReceived, chunkRequest(pattern(512)))
		c.conn.Close()
	}
}

func TestStagingLimitBoundsTheUploadsUnderWay(t *testing.T) {
	s := serve(t, Options{StagingLimit: 2*kilo + 1})
	c, d, e := s.dial(), s.dial(), s.dial()
	cancel := protocol.Request{Type: protocol.CancelTransfer}
	c.want(protocol.TransferAccepted, uploadRequest("c"))
	d.want(protocol.TransferAccepted, uploadRequest("d"))
	for range 2 {
		if r := e.want(protocol.UnknownError, uploadRequest("e")); !strings.Contains(r.Message, "staging limit") {
			t.Errorf("message %q", r.Message)
		}
	}
	c.want(protocol.TransferCancelled, cancel)
	e.want(protocol.TransferAccepted, uploadRequest("e"))
	d.want(protocol.TransferCancelled, cancel)
	e.want(protocol.TransferCancelled, cancel)
	huge := uploadRequest("h")
	huge.Size = protocol.DefaultFileSizeLimit - 1
	c.want(protocol.UnknownError, huge)
}
