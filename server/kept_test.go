package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// partRequest stages a file with a part that can be resumed.
func partRequest(h Handle, path, part string, flags Flags) Request {
	r := stageRequest(h, path, flags|StageRead)
	r.Part = part
	return r
}

// leave stages a file with some content and leaves it without a COMMIT.
func (c *client2) leave(path, part, content string) {
	c.t.Helper()
	c.want(CodeDone, partRequest(9, path, part, 0))
	c.want(CodeDone, writeRequest(9, 0), []byte(content)...)
	c.want(CodeDone, closeRequest(9))
}

// wantPart resumes a part and requires its content, and leaves it as it was.
func (c *client2) wantPart(path, part, content string) {
	c.t.Helper()
	if got := c.want(CodeDone, partRequest(9, path, part, StageResume)).Attr.Size; got != int64(len(content)) {
		c.t.Errorf("the part %s of %s has %d bytes, want %d", part, path, got, len(content))
	}
	if got := c.want(CodeDone, readRequest(9, 0, MaxPayload)); string(got.payload) != content {
		c.t.Errorf("the part %s of %s holds %q, want %q", part, path, got.payload, content)
	}
	c.want(CodeDone, closeRequest(9))
}

// TestAPartIsResumed after its handle was closed, or its session ended, and nothing of it
// stays when it is committed.
func TestAPartIsResumed(t *testing.T) {
	for name, end := range map[string]func(*client2){
		"CLOSE":            func(c *client2) { c.want(CodeDone, closeRequest(1)) },
		"GOODBYE":          func(c *client2) { c.want(CodeDone, Request{Operation: OpGoodbye}) },
		"a failed COMMIT":  func(c *client2) { c.want(CodeExists, commitRequest(1, 0)); c.want(CodeDone, closeRequest(1)) },
		"the end of Grace": func(c *client2) { c.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Options{Grace: time.Millisecond})
			s.mkdir("d")
			c := s.dial2()
			c.want(CodeDone, partRequest(1, "/d/f", "p", 0))
			c.want(CodeDone, writeRequest(1, 0), []byte("half")...)
			s.write("d/f", "another's")
			end(c)
			again := s.dial2()
			await(t, "the end of the first", func() bool {
				return again.want(CodeDone, Request{Operation: OpStatus}).Status.Sessions[0].Handles == 0
			})
			if got := s.uploads.total(); got != 4 {
				t.Errorf("%d bytes are staged", got)
			}
			if got := again.want(CodeDone, partRequest(1, "/d/f", "p", StageResume|StageReplace)).Attr.Size; got != 4 {
				t.Errorf("the part has %d bytes", got)
			}
			again.want(CodeDone, writeRequest(1, 4), []byte(" and half")...)
			again.want(CodeDone, commitRequest(1, 0))
			if got := s.read("d/f"); got != "half and half" {
				t.Errorf("the file holds %q", got)
			}
			requireNoStaging(t, s.jail)
			if got := s.uploads.total(); got != 0 {
				t.Errorf("%d bytes are staged", got)
			}
		})
	}
}

// TestPartsAreTheirOwn: of another path, or with another name, it is another part. Without
// RESUME it is begun anew, and what was discarded or is empty is not kept.
func TestPartsAreTheirOwn(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("d")
	c := s.dial2()
	c.leave("/f", "p", "f of p")
	c.leave("/f", "q", "f of q")
	c.leave("/g", "p", "g of p")
	c.leave("/d/f", "p", "d/f of p")
	c.leave("/f", "", "without a name")
	c.leave("/f", "empty", "")
	c.wantPart("/f", "p", "f of p")
	c.wantPart("/f", "q", "f of q")
	c.wantPart("/g", "p", "g of p")
	c.wantPart("/d/f", "p", "d/f of p")
	c.wantPart("/f", "", "")
	c.wantPart("/f", "empty", "")
	c.want(CodeDone, renameRequest("/d", "/e", 0))
	c.wantPart("/e/f", "p", "d/f of p")

	c.leave("/f", "p", "new")
	c.wantPart("/f", "p", "new")
	s.write("g", "")
	c.want(CodeExists, partRequest(1, "/g", "p", 0))
	c.want(CodeDone, removeRequest("/g", 0))
	c.wantPart("/g", "p", "g of p")
	if got, want := s.uploads.total(), int64(len("new"+"f of q"+"g of p"+"d/f of p")); got != want {
		t.Errorf("%d bytes are staged, want %d", got, want)
	}
	for _, path := range []string{"/f", "/g", "/e/f"} {
		for _, part := range []string{"p", "q"} {
			c.want(CodeDone, partRequest(1, path, part, StageResume))
			c.want(CodeDone, Request{Operation: OpClose, Handle: 1, Flags: CloseDiscard})
		}
	}
	requireNoStaging(t, s.jail)
}

// TestKeptPartsAreHidden: from both protocols.
func TestKeptPartsAreHidden(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	c.leave("/f", "p", "half")
	dir := "/" + filepath.Base(stagingsIn(t, s.jail)[0])
	part := dir + "/" + keptName(place{s.jailID(), "f"}, "p")
	if _, err := os.Lstat(filepath.Join(s.jail, part)); err != nil {
		t.Fatal(err)
	}
	if got := s.dial().names("/"); got != "" {
		t.Errorf("the listing holds %q", got)
	}
	if got := c.names("/", 1000); len(got) != 0 {
		t.Errorf("the listing holds %q", got)
	}
	for _, path := range []string{dir, part} {
		c.wantAll(
			changed{pathRequest(OpStat, path), CodeNotFound},
			changed{openRequest(1, path, OpenRead), CodeNotFound},
			changed{removeRequest(path, RemoveRecursive), CodeNotFound},
			changed{renameRequest(path, "/x", 0), CodeNotFound},
			changed{Request{Operation: OpLink, Path: path, ToPath: "/x"}, CodeNotFound},
		)
	}
	c.leave("/f", "p", "")
}

func (s *served) jailID() fileID { return s.Server.jail.top.id }

// TestKeptPartsGoAfterADay, and before where the server keeps too many.
func TestKeptPartsGoAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		c := pipe2(t, s, attachRequest("", ""))
		c.leave("/f", "p", "half")
		time.Sleep(KeepTime)
		c.wantPart("/f", "p", "half")
		time.Sleep(KeepTime - time.Minute)
		c.leave("/g", "p", "half")
		time.Sleep(2 * sweepPeriod)
		synctest.Wait()
		c.wantPart("/f", "p", "")
		c.wantPart("/g", "p", "half")
		time.Sleep(KeepTime + sweepPeriod)
		synctest.Wait()
		requireNoStaging(t, s.options.Jail)
		if got := s.uploads.total(); got != 0 {
			t.Errorf("%d bytes are staged", got)
		}
		for i := range MaxKept + 2 {
			c.leave(fmt.Sprintf("/%d", i), "p", "x")
			time.Sleep(time.Second)
		}
		c.wantPart("/1", "p", "")
		c.wantPart("/2", "p", "x")
		if got := s.uploads.total(); got != MaxKept {
			t.Errorf("%d bytes are staged", got)
		}
	})
}

// TestKeptPartsMakeRoom: where the staging limit is reached the oldest go, and none for what
// can't be.
func TestKeptPartsMakeRoom(t *testing.T) {
	s := serve(t, Options{StagingLimit: 100})
	c := s.dial2()
	for _, name := range []string{"/a", "/b", "/c"} {
		c.leave(name, "p", strings.Repeat("x", 30))
	}
	size := func(n int64) Request {
		return Request{Operation: OpSet, Handle: 1, Changes: Changes{Size: &n}}
	}
	c.want(CodeDone, stageRequest(1, "/f", 0))
	c.want(CodeNoSpace, size(101))
	c.wantPart("/a", "p", strings.Repeat("x", 30)) // which makes it the youngest
	c.want(CodeDone, size(10))
	c.want(CodeDone, size(11))
	if got := s.uploads.total(); got != 71 {
		t.Errorf("%d bytes are staged", got)
	}
	c.wantPart("/b", "p", "")
	c.want(CodeDone, size(100))
	requireParts(t, s.jail, 1)
	c.want(CodeDone, closeRequest(1))
	requireNoStaging(t, s.jail)
}

// requireParts requires that so many files are in the staging directories of a jail.
func requireParts(t *testing.T, jail string, want int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(jail, stagingPrefix+"*", "*"))
	if err != nil || len(found) != want {
		t.Errorf("%d parts are staged, want %d: %q %v", len(found), want, found, err)
	}
}

// TestAKilledServersPartsAreResumed: by the next one, and the rest that it left is gone.
func TestAKilledServersPartsAreResumed(t *testing.T) {
	killed, kill := serveKillable(t)
	killed.write("old", "old content")
	c := killed.dial2()
	c.leave("/closed", "p", "half")
	c.leave("/closed", "p2", "half")
	c.want(CodeDone, partRequest(1, "/old", "p", StageReplace))
	c.want(CodeDone, partRequest(2, "/empty", "p", 0))
	c.want(CodeDone, stageRequest(3, "/nameless", 0))
	for _, h := range []Handle{1, 3} {
		c.want(CodeDone, writeRequest(h, 0), []byte("half")...)
	}
	kill()
	readOnly := serve(t, Options{Jail: killed.jail, ReadOnly: true})
	if got := strings.Join(readOnly.dial2().names("/", 1000), " "); got != "old" {
		t.Errorf("the jail holds %q", got)
	}
	readOnly.Close()
	requireParts(t, killed.jail, 5)

	s := serve(t, Options{Jail: killed.jail})
	requireParts(t, s.jail, 3)
	if got := s.uploads.total(); got < 3*4 {
		t.Errorf("%d bytes are staged", got)
	}
	other := serve(t, Options{Jail: s.jail}).dial2()
	if got := strings.Join(other.names("/", 1000), " "); got != "old" {
		t.Errorf("the jail holds %q", got)
	}
	other.wantPart("/closed", "p", "")
	c = s.dial2()
	if got := strings.Join(c.names("/", 1000), " "); got != "old" {
		t.Errorf("the jail holds %q", got)
	}
	c.wantPart("/closed", "p", "half")
	c.want(CodeDone, partRequest(1, "/old", "p", StageReplace|StageResume))
	c.want(CodeDone, writeRequest(1, 4), []byte(" and half")...)
	c.want(CodeDone, commitRequest(1, 0))
	if got := s.read("old"); got != "half and half" {
		t.Errorf("the file holds %q", got)
	}
	s.uploads.removeBefore(time.Now().Add(time.Second))
	requireNoStaging(t, s.jail)
	if got := s.uploads.total(); got != 0 {
		t.Errorf("%d bytes are staged", got)
	}
}

// TestAServerFindsWhatItKept when it ends and begins again, also what several left, but for
// what is too old.
func TestAServerFindsWhatItKept(t *testing.T) {
	jail := t.TempDir()
	var ended []*Server
	for i := range 3 { // at a time: each has a directory of its own
		s, err := New(Options{Jail: jail, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		ended = append(ended, s)
		d, err := s.jail.open("/")
		if err != nil {
			t.Fatal(err)
		}
		u, err := s.uploads.stage(t.Context(), d, "f", &intent{part: fmt.Sprint(i / 2), mode: 0o600})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.part.WriteString("half"); err != nil {
			t.Fatal(err)
		}
		if err := u.close(false); err != nil {
			t.Error(err)
		}
	}
	for _, s := range ended {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := stagingsIn(t, jail); len(got) != 3 {
		t.Errorf("staging directories %q", got)
	}
	s := serve(t, Options{Jail: jail})
	if got := stagingsIn(t, jail); len(got) != 1 {
		t.Errorf("staging directories %q", got)
	}
	requireParts(t, jail, 2)
	s.uploads.removeBefore(time.Now().Add(-KeepTime))
	requireParts(t, jail, 2)
	s.uploads.removeBefore(time.Now().Add(time.Second))
	requireNoStaging(t, jail)
}

func TestKeptNames(t *testing.T) {
	p := place{fileID{1, 2}, "f"}
	name := keptName(p, "p")
	if !isKeptName(name) || isPartName(name) {
		t.Errorf("%q is none", name)
	}
	for _, other := range []string{keptName(place{fileID{1, 3}, "f"}, "p"), keptName(place{fileID{1, 2}, "fp"}, ""), keptName(p, "q")} {
		if other == name {
			t.Errorf("%q is the name of two", name)
		}
	}
	if keptName(place{fileID{7, 2}, "f"}, "p") != name {
		t.Error("the name depends on the number of the device")
	}
	for _, name := range []string{"", "keep-", "part-1", name[1:], name + "0", name[:len(name)-1] + "g", strings.ToUpper(name), "keep-" + strings.Repeat("A", 32)} {
		if isKeptName(name) {
			t.Errorf("%q is one", name)
		}
	}
}
