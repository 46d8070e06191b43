package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// TestLongListingsTakeTurns has all places taken when a listing becomes long.
func TestLongListingsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &Server{log: slog.New(slog.DiscardHandler), longListings: make(chan struct{}, maxLongListings)}
		nc, peer := net.Pipe()
		defer peer.Close()
		defer nc.Close()
		s := &session1{link: newLink(server, nc, 1)}
		for range maxLongListings {
			server.longListings <- struct{}{}
		}
		if err := s.admitListing(longListing); err != nil {
			t.Errorf("a short listing: %v", err)
		}
		start := time.Now()
		var told failure
		if err := s.admitListing(longListing + 1); !errors.As(err, &told) || time.Since(start) != listingTime {
			t.Errorf("a long listing: error %v after %v", err, time.Since(start))
		}
		go func() {
			time.Sleep(time.Second)
			<-server.longListings
		}()
		if err := s.admitListing(longListing + 1); err != nil {
			t.Errorf("when a place is free: %v", err)
		}
		s.freeListing()
		if n := len(server.longListings); n != maxLongListings-1 {
			t.Errorf("%d places are taken at the end, want %d", n, maxLongListings-1)
		}
		s.cut()
		if err := s.admitListing(1); err == nil {
			t.Error("a listing goes on when its session has been cut")
		}
	})
}

// TestLongListingsAreWhole asks for a listing that needs a place, more often than there
// are places.
func TestLongListingsAreWhole(t *testing.T) {
	s := serve(t, Options{})
	const files = 2*longListing/255 + 1
	s.mkdir("long")
	for i := range files {
		s.write(filepath.Join("long", fmt.Sprintf("%0240d", i)), "")
	}
	c := s.dial()
	for range maxLongListings + 1 {
		if n := len(c.list("/long")); n != files {
			t.Errorf("%d entries, want %d", n, files)
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
