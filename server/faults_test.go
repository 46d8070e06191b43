package server

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol"
)

// TestUploadsStayInTheJail has somebody move the directory of an upload out of the
// jail before its end.
func TestUploadsStayInTheJail(t *testing.T) {
	s := serve(t, Options{})
	outside := t.TempDir()
	s.mkdir("dir")
	c := s.dial()
	r := uploadRequest("file")
	r.Directory = "/dir"
	c.want(protocol.TransferAccepted, r)
	c.want(protocol.ChunkReceived, chunkRequest(pattern(512)))
	if err := os.Rename(filepath.Join(s.jail, "dir"), filepath.Join(outside, "dir")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "dir"), filepath.Join(s.jail, "dir")); err != nil {
		t.Fatal(err)
	}
	c.want(protocol.NotADirectory, chunkRequest(pattern(kilo)[512:]))
	if got := tree(t, outside); strings.Contains(got, "file") {
		t.Errorf("outside the jail are\n%s", got)
	}
}

// TestRemovedStagingIsMadeAgain has somebody tidy up in the jail during an upload.
func TestRemovedStagingIsMadeAgain(t *testing.T) {
	s := serve(t, Options{})
	first, second := s.dial(), s.dial()
	first.want(protocol.TransferAccepted, uploadRequest("first"))
	for _, dir := range stagingsIn(t, s.jail) {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	second.upload("/", "second", pattern(kilo), 512, false)
	if got := s.read("second"); got != string(pattern(kilo)) {
		t.Errorf("the second upload has %d bytes", len(got))
	}
	first.want(protocol.ChunkReceived, chunkRequest(pattern(512)))
	if r := first.want(protocol.UnknownError, chunkRequest(pattern(kilo)[512:])); r.Message != string(errStagingGone) {
		t.Errorf("message %q, want %q", r.Message, errStagingGone)
	}
}

// TestLeftoversAreHidden looks at what a killed server has left, through one that
// must not sweep it.
func TestLeftoversAreHidden(t *testing.T) {
	jail := t.TempDir()
	leftover := filepath.Join(jail, stagingPrefix+strings.Repeat("A", stagingRandom))
	if err := os.Mkdir(leftover, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(leftover, "part-1"), pattern(10), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(leftover)
	s := serve(t, Options{Jail: jail, ReadOnly: true})
	c := s.dial()
	if got := c.names("/"); got != "" {
		t.Errorf("the listing holds %q", got)
	}
	r := downloadRequest("part-1")
	r.Directory = "/" + filepath.Base(leftover)
	c.want(protocol.NotADirectory, r)
}

// TestWhatIsNoRequestEndsAnUpload sends pickles that the codec refuses where a chunk
// should be.
func TestWhatIsNoRequestEndsAnUpload(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial()
	for _, body := range []string{
		"garbage", "\x80\x05K\x05\x96\x0a\x00\x00\x00\x00\x00\x00\x000123456789\x86.", "\x80\x04K\x05\x8a\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x86.",
	} {
		c.want(protocol.TransferAccepted, uploadRequest("file"))
		if r := c.send(nil, []byte(body)); r.Reason != protocol.BadRequest {
			t.Errorf("%q: answer %v", body, r.Reason)
		}
		c.want(protocol.BadRequest, protocol.Request{Type: protocol.CancelTransfer})
	}
}

// TestLongListingsTakeTurns has more sessions than there are places ask for a long
// listing and not read it, and then others for a short one.
func TestLongListingsTakeTurns(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("long")
	s.mkdir("short")
	for i := range 2*longListing/255 + 1 {
		s.write(filepath.Join("long", fmt.Sprintf("%0240d", i)), "")
	}
	var unread []*client
	for range maxLongListings + 2 {
		c := s.dial()
		unread = append(unread, c)
		r := protocol.Request{Type: protocol.ListFiles, Directory: "/long"}
		if err := c.conn.WriteMessage(nil, protocol.AppendRequest(nil, &r)); err != nil {
			t.Fatal(err)
		}
	}
	s.dial().want(protocol.FilesListed, protocol.Request{Type: protocol.ListFiles, Directory: "/short"})
	if n := len(s.longListings); n > maxLongListings {
		t.Errorf("%d long listings at a time", n)
	}
	var first []byte
	for _, c := range unread {
		frames, err := c.conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = bytes.Clone(frames[1])
		}
		if len(frames[1]) <= longListing || !bytes.Equal(frames[1], first) {
			t.Errorf("a listing of %d bytes, another one of %d", len(frames[1]), len(first))
		}
	}
}

// TestAFaultEndsItsSessionOnly has a server that lost a part of itself.
func TestAFaultEndsItsSessionOnly(t *testing.T) {
	s := serve(t, Options{})
	s.uploads = nil
	faulty, other := s.dial(), s.dial()
	r := uploadRequest("file")
	if err := faulty.conn.WriteMessage(nil, protocol.AppendRequest(nil, &r)); err != nil {
		t.Fatal(err)
	}
	if _, err := faulty.conn.ReadMessage(); err == nil {
		t.Error("the faulty session goes on")
	}
	other.want(protocol.FilesListed, protocol.Request{Type: protocol.ListFiles, Directory: "/"})
}
