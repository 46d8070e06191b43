package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol"
	. "github.com/remofile/remofile/protocol/remofile2"
)

func commitRequest(h Handle, flags Flags) Request {
	return Request{Operation: OpCommit, Handle: h, Flags: flags}
}

// TestACommitIsOneStep: before, readers see the old content or none; afterwards the new one,
// and the handle goes on.
func TestACommitIsOneStep(t *testing.T) {
	s := serve(t, Options{})
	s.write("old", "old content")
	if err := os.Chmod(filepath.Join(s.jail, "old"), 0o640); err != nil {
		t.Fatal(err)
	}
	before := tree(t, s.jail)
	c := s.dial2()
	modified := Time(1_234_567_890)
	for name, replaced := range map[string]bool{"old": true, "new": false} {
		c.want(CodeDone, stageRequest(1, "/"+name, StageReplace|StageRead))
		c.want(CodeDone, writeRequest(1, 0), []byte("new content")...)
		if got := c.want(CodeDone, readRequest(1, 4, 100)); string(got.payload) != "content" {
			t.Errorf("read %q", got.payload)
		}
		if got := visible(t, s.jail); got != before {
			t.Errorf("before COMMIT the jail holds\n%s", got)
		}
		if got := s.dial2().names("/", 1000); strings.Contains(strings.Join(got, " "), stagingPrefix) {
			t.Errorf("listed are %q", got)
		}
		r := commitRequest(1, CommitSync)
		r.Changes.Modified = &modified
		want := Attr{Mode: 0o666 &^ umask(t), Size: 11, Modified: modified}
		if replaced {
			want.Mode = 0o640
		}
		for _, a := range []Attr{c.want(CodeDone, r).Attr, c.want(CodeDone, pathRequest(OpStat, "/"+name)).Attr} {
			if a.Mode != want.Mode || a.Size != want.Size || a.Modified != modified || a.Links != 1 {
				t.Errorf("%s: attributes %+v", name, a)
			}
		}
		c.want(CodeBadHandle, commitRequest(1, 0))
		c.want(CodeDone, writeRequest(1, 0), []byte("NEW")...)
		c.want(CodeDone, closeRequest(1))
		if got := s.read(name); got != "NEW content" {
			t.Errorf("%s holds %q", name, got)
		}
		requireNoStaging(t, s.jail)
		before = tree(t, s.jail)
	}
}

// visible is tree without what is staged.
func visible(t *testing.T, jail string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(tree(t, jail)) {
		if !strings.HasPrefix(line, stagingPrefix) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// umask returns what a new file lacks of the mode that was asked for.
func umask(t *testing.T) uint16 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o777); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(0o777 &^ info.Mode())
}

func TestACommitSetsTheModeThatItNames(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "")
	c := s.dial2()
	c.want(CodeDone, stageRequest(1, "/f", StageReplace))
	r := commitRequest(1, 0)
	r.Changes = Changes{Mode: new(uint16(0o751)), Size: new(int64(3))}
	if a := c.want(CodeDone, r).Attr; a.Mode != 0o751 || a.Size != 3 {
		t.Errorf("attributes %+v", a)
	}
}

// TestStagedNamesThatAreTaken: at STAGE, or meanwhile. What can't be committed can be
// committed elsewhere in time: when the name is free.
func TestStagedNamesThatAreTaken(t *testing.T) {
	s := serve(t, Options{})
	s.uploads.signTime = 0
	s.write("f", "old")
	s.mkdir("d")
	s.link("f", "link")
	s.link("no", "dangling")
	c, other := s.dial2(), s.dial2()
	c.wantAll(
		changed{stageRequest(1, "/f", 0), CodeExists},
		changed{stageRequest(1, "/d", StageReplace), CodeExists},
		changed{stageRequest(1, "/link", StageReplace), CodeExists},
		changed{stageRequest(1, "/dangling", StageReplace|StageFollow), CodeExists},
		changed{stageRequest(1, "/", StageReplace), CodeExists},
		changed{stageRequest(1, "/no/f", 0), CodeNotFound},
		changed{stageRequest(1, "/f/f", 0), CodeNotADirectory},
		changed{stageRequest(1, "/g", 0), CodeDone},
		changed{stageRequest(1, "/h", 0), CodeBadHandle},
		changed{stageRequest(2, "/g", StageReplace), CodeInUse},
	)
	if got := other.want(CodeInUse, stageRequest(1, "/g", 0)); !strings.Contains(got.Message, "in use by 127.0.0.1:") {
		t.Errorf("message %q", got.Message)
	}
	other.want(CodeDone, openRequest(1, "/g", OpenWrite|OpenCreate))
	c.want(CodeExists, commitRequest(1, 0))
	other.want(CodeDone, removeRequest("/g", 0))
	c.want(CodeDone, writeRequest(1, 0), []byte("staged")...)
	c.want(CodeDone, commitRequest(1, 0))
	if got := s.read("g"); got != "staged" {
		t.Errorf("the file holds %q", got)
	}

	c.want(CodeDone, stageRequest(2, "/k", StageReplace))
	s.write("k", "another's")
	c.want(CodeExists, commitRequest(2, CommitKeep))
	c.want(CodeDone, commitRequest(2, 0))
	if got := s.read("k"); got != "" {
		t.Errorf("the file holds %q", got)
	}

	c.want(CodeDone, stageRequest(3, "/link", StageReplace|StageFollow))
	c.want(CodeDone, writeRequest(3, 0), []byte("through the link")...)
	c.want(CodeDone, commitRequest(3, 0))
	if text, err := os.Readlink(filepath.Join(s.jail, "link")); err != nil || text != "f" || s.read("f") != "through the link" {
		t.Errorf("the link leads to %q (%v), and holds %q", text, err, s.read("f"))
	}
}

// TestWhatIsClosedUncommittedIsGone, and its name is free.
func TestWhatIsClosedUncommittedIsGone(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	for range 2 {
		got := c.burst(stageRequest(1, "/f", StageReserve), closeRequest(1))
		if got[0].Code != CodeDone || got[1].Code != CodeDone {
			t.Errorf("answers %v %v", got[0].Code, got[1].Code)
		}
		requireNoStaging(t, s.jail)
	}
	if got := tree(t, s.jail); got != ". d---------\n" {
		t.Errorf("the jail holds\n%s", got)
	}
}

// TestAReservedNameIsTakenButNotThere: for whoever would make it, for whoever looks.
func TestAReservedNameIsTakenButNotThere(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "")
	c, other := s.dial2(), s.dial2()
	c.want(CodeDone, stageRequest(1, "/r", StageReserve))
	other.wantAll(
		changed{stageRequest(1, "/r", StageReserve), CodeExists},
		changed{stageRequest(1, "/r", StageReplace), CodeExists},
		changed{pathRequest(OpMkdir, "/r"), CodeExists},
		changed{Request{Operation: OpSymlink, Path: "/r", Target: "f"}, CodeExists},
		changed{Request{Operation: OpLink, Path: "/f", ToPath: "/r"}, CodeExists},
		changed{renameRequest("/f", "/r", 0), CodeExists},
		changed{renameRequest("/f", "/r", RenameKeep), CodeExists},
		changed{renameRequest("/f", "/r", RenameExchange), CodeNotFound},
		changed{openRequest(1, "/r", OpenWrite|OpenCreate|OpenExclusive), CodeExists},
		changed{openRequest(1, "/r", OpenRead|OpenCreate), CodeExists},
		changed{openRequest(1, "/r", OpenRead), CodeNotFound},
		changed{pathRequest(OpStat, "/r"), CodeNotFound},
		changed{removeRequest("/r", 0), CodeNotFound},
	)
	c.want(CodeDone, commitRequest(1, 0))
	other.want(CodeDone, openRequest(1, "/r", OpenRead))
	other.want(CodeExists, pathRequest(OpMkdir, "/r"))
}

// TestOneOfManyMakesAName: reserving it and making it exclude each other.
func TestOneOfManyMakesAName(t *testing.T) {
	s := serve(t, Options{})
	var clients []*client2
	for range 8 {
		clients = append(clients, s.dial2())
	}
	for round := range 30 {
		path := fmt.Sprintf("/%d", round)
		for i, c := range clients {
			switch i % 3 {
			case 0:
				c.send(stageRequest(1, path, StageReserve))
			case 1:
				c.send(openRequest(1, path, OpenWrite|OpenCreate|OpenExclusive))
			case 2:
				c.send(pathRequest(OpMkdir, path))
			}
		}
		made := 0
		for _, c := range clients {
			switch got := c.receive(); got.Code {
			case CodeDone:
				made++
			case CodeExists, CodeInUse:
			default:
				t.Errorf("answer %v %s", got.Code, got.Message)
			}
		}
		if made != 1 {
			t.Fatalf("%d of %d have made the name", made, len(clients))
		}
		for _, c := range clients {
			c.do(closeRequest(1))
		}
	}
}

// TestStagingLimit: in Remofile 2 it counts the bytes as they come, with those of Remofile 1.
func TestStagingLimit(t *testing.T) {
	s := serve(t, Options{StagingLimit: kilo + 3072})
	c, one := s.dial2(), s.dial()
	one.want(protocol.TransferAccepted, uploadRequest("one"))
	c.burst(stageRequest(1, "/a", 0), stageRequest(2, "/b", 0))
	c.wantAll(
		changed{writeRequest(1, 0), CodeDone},
		changed{Request{Operation: OpSet, Handle: 1, Changes: Changes{Size: new(int64(2048))}}, CodeDone},
		changed{Request{Operation: OpSet, Handle: 2, Changes: Changes{Size: new(int64(1025))}}, CodeNoSpace},
		changed{Request{Operation: OpSet, Handle: 2, Changes: Changes{Size: new(int64(1024))}}, CodeDone},
	)
	c.want(CodeNoSpace, writeRequest(2, 1024), 1)
	c.want(CodeNoSpace, Request{Operation: OpAppend, Handle: 2}, 1)
	c.want(CodeDone, writeRequest(1, 1024), make([]byte, 1024)...)
	if got := c.want(CodeDone, Request{Operation: OpStatus}).Status.Staged; got != kilo+3072 {
		t.Errorf("%d bytes are staged", got)
	}
	c.want(CodeDone, commitRequest(1, 0))
	c.want(CodeDone, writeRequest(1, 0), make([]byte, 100_000)...)
	c.want(CodeDone, writeRequest(2, 1024), make([]byte, 2048)...)
	one.conn.Close()
	c.want(CodeDone, closeRequest(2))
	await(t, "the end of what is staged", func() bool { return s.uploads.total() == 0 })
}

// TestACommitFailsWhereAWriteBeforeItFailed: all of them can leave together, and a file that
// is not whole does not appear.
func TestACommitFailsWhereAWriteBeforeItFailed(t *testing.T) {
	s := serve(t, Options{StagingLimit: 1000})
	c := s.dial2()
	c.send(stageRequest(1, "/f", 0))
	c.send(writeRequest(1, 0), make([]byte, 500)...)
	c.send(writeRequest(1, 500), make([]byte, 501)...)
	c.send(writeRequest(1, 500), make([]byte, 500)...)
	commit := c.send(commitRequest(1, 0))
	c.send(closeRequest(1))
	if got := c.receiveAll()[commit]; got.Code != CodeNoSpace {
		t.Errorf("answer %v", got.Code)
	}
	if got := tree(t, s.jail); got != ". d---------\n" {
		t.Errorf("the jail holds\n%s", got)
	}
}

// TestACommitNeedsNoStorageThatWasRefused: a program that is refused an allocation goes on without.
func TestACommitNeedsNoStorageThatWasRefused(t *testing.T) {
	s := serve(t, Options{FileSizeLimit: 1000})
	c := s.dial2()
	c.want(CodeDone, stageRequest(1, "/f", 0))
	c.want(CodeTooLarge, Request{Operation: OpAllocate, Handle: 1, Length: 1001})
	c.want(CodeDone, commitRequest(1, 0))
}

// TestACommitStaysInTheJail has somebody move the directory out of it meanwhile.
func TestACommitStaysInTheJail(t *testing.T) {
	s := serve(t, Options{})
	outside := t.TempDir()
	s.mkdir("d")
	c := s.dial2()
	c.want(CodeDone, stageRequest(1, "/d/f", 0))
	if err := os.Rename(filepath.Join(s.jail, "d"), filepath.Join(outside, "d")); err != nil {
		t.Fatal(err)
	}
	s.link(filepath.Join(outside, "d"), "d")
	c.want(CodeForbidden, commitRequest(1, 0))
	if got := tree(t, outside); strings.Contains(got, "f") {
		t.Errorf("outside there are\n%s", got)
	}
}

// TestACommitFollowsTheDirectory when that is renamed, and not when it is removed.
func TestACommitFollowsTheDirectory(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("d")
	c := s.dial2()
	s.mkdir("e")
	c.want(CodeDone, stageRequest(1, "/d/f", 0))
	c.want(CodeDone, stageRequest(2, "/d/r", StageReserve))
	c.want(CodeDone, renameRequest("/d", "/e/d", 0))
	s.mkdir("d")
	c.want(CodeExists, pathRequest(OpMkdir, "/e/d/r"))
	c.want(CodeDone, pathRequest(OpMkdir, "/d/r"))
	c.want(CodeDone, commitRequest(1, CommitSync))
	if got := s.read("e/d/f"); got != "" {
		t.Errorf("the file holds %q", got)
	}
	c.want(CodeDone, stageRequest(3, "/e/d/g", StageReserve))
	c.want(CodeDone, removeRequest("/e", RemoveRecursive))
	c.want(CodeNotFound, commitRequest(2, 0))
	c.want(CodeNotFound, commitRequest(3, 0))
	c.want(CodeDone, pathRequest(OpMkdir, "/e"))
	c.want(CodeDone, pathRequest(OpMkdir, "/e/d"))
	c.want(CodeDone, pathRequest(OpMkdir, "/e/d/g"))
}
