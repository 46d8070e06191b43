package server

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/remofile/remofile/protocol"
	. "github.com/remofile/remofile/protocol/remofile2"
)

// TestWhoOpensAReservedNameToWriteHasItPublished, complete so far, and its holder goes on.
func TestWhoOpensAReservedNameToWriteHasItPublished(t *testing.T) {
	for _, flags := range []Flags{OpenWrite, OpenWrite | OpenRead, OpenWrite | OpenCreate, OpenWrite | OpenCreate | OpenTruncate} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			s := serve(t, Options{})
			c, other := s.dial2(), s.dial2()
			c.want(CodeDone, stageRequest(1, "/f", StageReserve|StageRead))
			c.want(CodeDone, writeRequest(1, 0), []byte("first")...)
			other.wantAll(
				changed{openRequest(1, "/f", OpenRead), CodeNotFound},
				changed{openRequest(1, "/f", OpenRead|OpenCreate), CodeExists},
				changed{openRequest(1, "/f", flags|OpenCreate|OpenExclusive), CodeExists},
				changed{openRequest(1, "/f", flags), CodeDone},
			)
			requireNoStaging(t, s.jail)
			want := "first"
			if flags&OpenTruncate != 0 {
				want = ""
			}
			if got := s.read("f"); got != want {
				t.Errorf("the file holds %q", got)
			}
			c.want(CodeDone, writeRequest(1, 0), []byte("second")...)
			other.want(CodeDone, writeRequest(1, 6), []byte(", third")...)
			if got := c.want(CodeDone, readRequest(1, 0, 100)); string(got.payload) != "second, third" {
				t.Errorf("the holder reads %q", got.payload)
			}
			modified := Time(1e9)
			commit := commitRequest(1, CommitSync|CommitKeep)
			commit.Changes.Modified = &modified
			if a := c.want(CodeDone, commit).Attr; a.Size != 13 || a.Modified != modified {
				t.Errorf("attributes %+v", a)
			}
			c.want(CodeBadHandle, commit)
			c.want(CodeDone, writeRequest(1, 0), []byte("S")...)
			c.want(CodeDone, closeRequest(1))
			if got := s.read("f"); got != "Second, third" {
				t.Errorf("the file holds %q", got)
			}
		})
	}
}

// TestAPublishedFileStaysWithoutCommit, and one that nobody has published goes with its
// session.
func TestAPublishedFileStaysWithoutCommit(t *testing.T) {
	s := serve(t, Options{})
	c, other := s.dial2(), s.dial2()
	c.burst(stageRequest(1, "/f", StageReserve), stageRequest(2, "/g", StageReserve))
	other.want(CodeDone, openRequest(1, "/f", OpenWrite))
	c.want(CodeDone, Request{Operation: OpGoodbye})
	requireNoStaging(t, s.jail)
	if got := tree(t, s.jail); got != ". d---------\nf \"\"\n" {
		t.Errorf("the jail holds\n%s", got)
	}
	other.want(CodeDone, pathRequest(OpMkdir, "/g"))
	other.want(CodeDone, removeRequest("/f", 0))
	other.want(CodeDone, pathRequest(OpMkdir, "/f"))
}

// TestWhatIsNotWholeIsNotPublished: a change of it has failed.
func TestWhatIsNotWholeIsNotPublished(t *testing.T) {
	s := serve(t, Options{StagingLimit: 10})
	c, other := s.dial2(), s.dial2()
	c.want(CodeDone, stageRequest(1, "/f", StageReserve))
	c.want(CodeNoSpace, writeRequest(1, 0), make([]byte, 11)...)
	c.want(CodeDone, writeRequest(1, 0), make([]byte, 10)...)
	other.want(CodeNoSpace, openRequest(1, "/f", OpenWrite|OpenCreate))
	other.want(CodeNotFound, pathRequest(OpStat, "/f"))
	c.want(CodeNoSpace, commitRequest(1, 0))
	c.want(CodeDone, closeRequest(1))
	other.want(CodeNotFound, openRequest(1, "/f", OpenWrite))
	other.want(CodeDone, openRequest(1, "/f", OpenWrite|OpenCreate))
}

// TestAFailedChangeOfAPublishedFileFailsItsCommit: that was promised before.
func TestAFailedChangeOfAPublishedFileFailsItsCommit(t *testing.T) {
	s := serve(t, Options{FileSizeLimit: 10})
	c, other := s.dial2(), s.dial2()
	c.want(CodeDone, stageRequest(1, "/f", StageReserve))
	other.want(CodeDone, openRequest(1, "/f", OpenWrite))
	c.want(CodeTooLarge, writeRequest(1, 0), make([]byte, 11)...)
	c.want(CodeTooLarge, commitRequest(1, 0))
}

// TestAReservationIsForItsSessionToo: it knows the file by its handle.
func TestAReservationIsForItsSessionToo(t *testing.T) {
	s := serve(t, Options{})
	s.write("old", "")
	c := s.dial2()
	c.wantAll(
		changed{stageRequest(1, "/old", StageReserve|StageReplace), CodeExists},
		changed{stageRequest(1, "/f", StageReserve), CodeDone},
		changed{pathRequest(OpStat, "/f"), CodeNotFound},
		changed{pathRequest(OpMkdir, "/f"), CodeExists},
		changed{renameRequest("/old", "/f", 0), CodeExists},
		changed{renameRequest("/f", "/g", 0), CodeNotFound},
		changed{stageRequest(2, "/f", StageShared), CodeExists},
		changed{openRequest(2, "/f", OpenWrite), CodeDone},
		changed{renameRequest("/f", "/g", 0), CodeDone},
		changed{commitRequest(1, 0), CodeDone},
	)
}

// TestReservationsHoldAgainstRemofile1.
func TestReservationsHoldAgainstRemofile1(t *testing.T) {
	s := serve(t, Options{})
	s.dial2().want(CodeDone, stageRequest(1, "/f", StageReserve))
	one := s.dial()
	replace := uploadRequest("f")
	replace.Replace = true
	for _, r := range []protocol.Request{
		{Type: protocol.CreateFile, Name: "f", Directory: "/"},
		{Type: protocol.MakeDirectory, Name: "f", Directory: "/"},
		uploadRequest("f"), replace,
	} {
		one.want(protocol.FileAlreadyExists, r)
	}
	one.want(protocol.FileNotFound, downloadRequest("f"))
	if got := one.names("/"); got != "" {
		t.Errorf("the listing holds %q", got)
	}
}

// TestWritesGoOnWhileOthersPublish: none is lost, whatever comes first.
func TestWritesGoOnWhileOthersPublish(t *testing.T) {
	s := serve(t, Options{})
	c, others := s.dial2(), []*client2{s.dial2(), s.dial2()}
	const pieces, piece = 20, 1000
	for round := range 50 {
		path := fmt.Sprintf("/%d", round)
		c.want(CodeDone, stageRequest(1, path, StageReserve))
		for i := range int64(pieces) {
			if i == pieces/2 {
				for _, other := range others {
					other.send(openRequest(1, path, OpenWrite))
				}
			}
			c.send(writeRequest(1, i*piece), bytes.Repeat([]byte{byte(i)}, piece)...)
		}
		c.send(commitRequest(1, 0))
		c.send(closeRequest(1))
		for id, got := range c.receiveAll() {
			if got.Code != CodeDone {
				t.Fatalf("request %d: %v %s", id, got.Code, got.Message)
			}
		}
		for _, other := range others {
			if got := other.receive(); got.Code != CodeDone {
				t.Fatalf("OPEN: %v %s", got.Code, got.Message)
			}
			other.want(CodeDone, closeRequest(1))
		}
		for i, b := range []byte(s.read(path)) {
			if int(b) != i/piece {
				t.Fatalf("byte %d of %s is of piece %d", i, path, b)
			}
		}
	}
}

// TestSharedNamesAreNotInUse: the last COMMIT counts.
func TestSharedNamesAreNotInUse(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "old")
	c, other := s.dial2(), s.dial2()
	const flags = StageShared | StageReplace
	c.wantAll(
		changed{partRequest(1, "/f", "p", flags), CodeBadRequest},
		changed{stageRequest(1, "/f", flags), CodeDone},
		changed{stageRequest(2, "/f", flags), CodeDone},
	)
	other.wantAll(
		changed{stageRequest(1, "/f", StageReplace), CodeDone},
		changed{stageRequest(2, "/f", flags), CodeDone},
	)
	for i, staged := range []struct {
		of     *client2
		handle Handle
	}{{c, 2}, {other, 1}, {other, 2}, {c, 1}} {
		content := fmt.Sprint("content ", i)
		staged.of.want(CodeDone, writeRequest(staged.handle, 0), []byte(content)...)
		staged.of.want(CodeDone, commitRequest(staged.handle, 0))
		if got := s.read("f"); got != content {
			t.Errorf("the file holds %q, want %q", got, content)
		}
	}
	requireNoStaging(t, s.jail)

	// One of them reserves the name, and is the only one that can.
	c.want(CodeDone, stageRequest(3, "/g", StageShared|StageReplace))
	other.want(CodeDone, stageRequest(3, "/g", StageReplace))
	c.want(CodeDone, stageRequest(4, "/g", StageShared|StageReserve))
	c.want(CodeExists, commitRequest(3, 0))
	other.want(CodeExists, commitRequest(3, 0))
	c.want(CodeDone, commitRequest(4, 0))
	other.want(CodeDone, commitRequest(3, 0))
	c.want(CodeDone, commitRequest(3, 0))
}
