package server

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remofile/remofile/protocol"
)

// TestFifoIsNeverOpened: to open one can wait for ever.
func TestFifoIsNeverOpened(t *testing.T) {
	s := serve(t, Options{})
	fifo := filepath.Join(s.jail, "fifo")
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	s.link("fifo", "link")
	c := s.dial()
	for _, name := range []string{"fifo", "link"} {
		if e, ok := c.list("/")[name]; !ok || e.Directory || e.Size != 0 {
			t.Errorf("%s is listed as %+v", name, e)
		}
		c.want(protocol.NotAFile, downloadRequest(name))
		c.want(protocol.NotADirectory, protocol.Request{Type: protocol.ListFiles, Directory: "/" + name})
		r := uploadRequest(name)
		r.Replace = true
		c.want(protocol.FileAlreadyExists, r)
	}
	c.want(protocol.FileRemoved, protocol.Request{Type: protocol.RemoveFile, Name: "fifo", Directory: "/"})
	if _, err := New(Options{Jail: fifo, Token: token}); err == nil {
		t.Error("a jail that does not exist is served")
	}
}

func TestListingTellsKindSizeAndTime(t *testing.T) {
	s := serve(t, Options{})
	s.write("file", "12345")
	s.mkdir("dir")
	s.write("dir/inside", "")
	when := time.Date(2001, 2, 3, 4, 5, 6, 789_000_000, time.UTC)
	early := time.Date(1969, 12, 31, 23, 59, 58, 500_000_000, time.UTC)
	for name, mtime := range map[string]time.Time{"file": when, "dir": early} {
		if err := os.Chtimes(filepath.Join(s.jail, name), mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	entries := s.dial().list("/")
	if len(entries) != 2 {
		t.Errorf("%d entries, want 2", len(entries))
	}
	for _, want := range []protocol.Entry{{Name: "file", Size: 5, Modified: when}, {Name: "dir", Directory: true, Modified: early}} {
		got := entries[want.Name]
		if got.Directory != want.Directory || got.Size != want.Size || got.Modified.Sub(want.Modified).Abs() > time.Microsecond {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// TestListingHoldsEveryName: also those that no request can name.
func TestListingHoldsEveryName(t *testing.T) {
	s := serve(t, Options{})
	names := []string{"a:b", `back\slash`, "not \xff UTF-8", "new\nline", "...", strings.Repeat("n", 255)}
	for _, name := range names {
		s.write(name, name)
	}
	entries := s.dial().list("/")
	for _, name := range names {
		if e, ok := entries[name]; !ok || e.Size != int64(len(name)) {
			t.Errorf("%q is listed as %+v", name, e)
		}
	}
}

func TestTooLongListingIsAnError(t *testing.T) {
	s := serve(t, Options{})
	s.write(strings.Repeat("n", 200), "")
	s.write(strings.Repeat("m", 200), "")
	j := s.Server.jail
	listing, err := j.appendListing(nil, "/", 1000, admitAll)
	if r, decodeErr := protocol.DecodeResponse(listing); err != nil || decodeErr != nil || len(r.Entries) != 2 {
		t.Errorf("%d entries, errors %v, %v", len(r.Entries), err, decodeErr)
	}
	_, err = j.appendListing(nil, "/", 300, admitAll)
	if r := responseTo(err); r.Reason != protocol.UnknownError || !strings.Contains(r.Message, "longer than 300 bytes") {
		t.Errorf("answer %s", describe(r))
	}
}

func TestRemove(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("full")
	s.write("full/file", "")
	s.mkdir("empty")
	s.write("file", "")
	s.link("full", "link")
	c := s.dial()
	remove := func(dir, name string) protocol.Request {
		return protocol.Request{Type: protocol.RemoveFile, Name: name, Directory: dir}
	}
	if r := c.want(protocol.DirectoryNotEmpty, remove("/", "full")); r.Type != protocol.Refused {
		t.Errorf("a full directory: %v", r.Type)
	}
	if r := c.want(protocol.FileRemoved, remove("/", "link")); r.Type != protocol.Accepted {
		t.Errorf("a link: %v", r.Type)
	}
	c.want(protocol.FileRemoved, remove("/", "empty"))
	c.want(protocol.FileRemoved, remove("/", "file"))
	c.want(protocol.FileNotFound, remove("/", "file"))
	c.want(protocol.FileNotFound, remove("/missing", "file"))
	c.want(protocol.FileRemoved, remove("/full", "file"))
	c.want(protocol.FileRemoved, remove("/", "full"))
	if got := c.names("/"); got != "" {
		t.Errorf("the jail holds %q", got)
	}
}

// TestNewFilesHaveTheModeOfTheUmask, and a replaced one keeps its own.
func TestNewFilesHaveTheModeOfTheUmask(t *testing.T) {
	s := serve(t, Options{})
	reference := t.TempDir()
	if err := os.WriteFile(filepath.Join(reference, "file"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(reference, "dir"), 0o777); err != nil {
		t.Fatal(err)
	}
	s.write("replaced", "old")
	if err := os.Chmod(filepath.Join(s.jail, "replaced"), 0o640|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	c := s.dial()
	c.want(protocol.FileCreated, protocol.Request{Type: protocol.CreateFile, Name: "created", Directory: "/"})
	c.want(protocol.DirectoryCreated, protocol.Request{Type: protocol.MakeDirectory, Name: "made", Directory: "/"})
	c.upload("/", "uploaded", []byte("new"), 512, false)
	c.upload("/", "replaced", []byte("new"), 512, true)
	mode := func(dir, name string) os.FileMode {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	for name, want := range map[string]os.FileMode{
		"created": mode(reference, "file"), "uploaded": mode(reference, "file"),
		"made": mode(reference, "dir"), "replaced": 0o640,
	} {
		if got := mode(s.jail, name); got != want {
			t.Errorf("%s has mode %v, want %v", name, got, want)
		}
	}
}

// TestShorterFileEndsTheDownload: what was promised can't be sent.
func TestShorterFileEndsTheDownload(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", string(pattern(kilo)))
	c := s.dial()
	receive := protocol.Request{Type: protocol.ReceiveChunk}
	c.want(protocol.TransferAccepted, downloadRequest("f"))
	c.want(protocol.ChunkSent, receive)
	if err := os.Truncate(filepath.Join(s.jail, "f"), 600); err != nil {
		t.Fatal(err)
	}
	if r := c.want(protocol.UnknownError, receive); !strings.Contains(r.Message, "shorter") {
		t.Errorf("message %q", r.Message)
	}
	c.want(protocol.BadRequest, receive)
	if got := c.download("/", "f", 512); len(got) != 600 {
		t.Errorf("%d bytes, want 600", len(got))
	}
}

func TestDownloadOfEverySize(t *testing.T) {
	s := serve(t, Options{MaxChunkSize: 1 << 20})
	c := s.dial()
	for _, size := range []int{0, 1, 511, 512, 513, 1023, 1024, 3 << 20, 3<<20 + 1} {
		content := string(pattern(size))
		s.write("f", content)
		for _, chunk := range []int{512, 8192, 1 << 20} {
			if got := c.download("/", "f", chunk); string(got) != content {
				t.Errorf("%d bytes in chunks of %d: another content", size, chunk)
			}
		}
	}
}

// admitAll lets every listing go on.
func admitAll(int) error { return nil }
