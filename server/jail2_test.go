package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// namings are requests that name a path in each way there is.
func namings(path string) []Request {
	return []Request{
		{Operation: OpList, Path: path, Length: 1000},
		pathRequest(OpStat, path),
		{Operation: OpStat, Path: path, Flags: StatFollow},
		{Operation: OpSet, Path: path, Changes: Changes{Mode: new(uint16(0o777))}},
		{Operation: OpSet, Path: path, Flags: SetFollow, Changes: Changes{Size: new(int64(0))}},
		pathRequest(OpMkdir, path),
		removeRequest(path, RemoveAny),
		removeRequest(path, RemoveRecursive),
		renameRequest(path, "/renamed", 0),
		renameRequest("/mine", path, 0),
		renameRequest("/mine", path, RenameKeep),
		renameRequest("/mine", path, RenameExchange),
		renameRequest(path, "/mine", RenameExchange),
		{Operation: OpLink, Path: path, ToPath: "/linked"},
		{Operation: OpLink, Path: "/mine", ToPath: path},
		{Operation: OpSymlink, Path: path, Target: "x"},
		pathRequest(OpReadlink, path),
		pathRequest(OpSpace, path),
		openRequest(1, path, OpenRead),
		openRequest(1, path, OpenRead|OpenWrite|OpenTruncate|OpenFollow),
		openRequest(1, path, OpenRead|OpenWrite|OpenCreate),
		stageRequest(1, path, StageReplace),
		stageRequest(1, path, StageReplace|StageFollow),
		{Operation: OpSync, Path: path},
	}
}

// TestNoOperationLeavesTheJail tries every operation on what lies outside, by each kind of
// link.
func TestNoOperationLeavesTheJail(t *testing.T) {
	outside := t.TempDir()
	for _, dir := range []string{"jail", "dir"} {
		if err := os.Mkdir(filepath.Join(outside, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(outside, "dir", "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{Jail: filepath.Join(outside, "jail")})
	s.write("mine", "mine")
	s.link("../dir", "relative")
	s.link(filepath.Join(outside, "dir"), "absolute")
	s.link("relative", "twice")
	before := tree(t, outside)
	c := s.dial2()
	for _, link := range []string{"relative", "absolute", "twice"} {
		for _, r := range append(namings("/"+link+"/secret"), namings("/"+link+"/new")...) {
			if got := c.do(r); got.Code != CodeForbidden {
				t.Errorf("%s: %v %s", describe2(&r), got.Code, got.Message)
			}
		}
		for _, r := range []Request{
			{Operation: OpStat, Path: "/" + link, Flags: StatFollow},
			{Operation: OpSet, Path: "/" + link, Flags: SetFollow},
			{Operation: OpList, Path: "/" + link},
			pathRequest(OpSpace, "/"+link),
		} {
			c.wantAll(changed{r, CodeForbidden})
		}
	}
	if after := tree(t, outside); after != before {
		t.Errorf("something changed: before\n%safter\n%s", before, after)
	}
	c.want(CodeBadRequest, pathRequest(OpStat, "/.."))
	c.want(CodeBadRequest, pathRequest(OpStat, "/a/../b"))
}

// TestStagingIsHiddenFromEveryOperation: its own directory, and that of a killed server.
func TestStagingIsHiddenFromEveryOperation(t *testing.T) {
	jail := t.TempDir()
	leftover := filepath.Join(jail, stagingPrefix+strings.Repeat("A", stagingRandom))
	s := serve(t, Options{Jail: jail})
	if err := os.Mkdir(leftover, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(leftover)
	if err := os.WriteFile(filepath.Join(leftover, "part-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.write("mine", "mine")
	c, owner := s.dial2(), s.dial2()
	owner.want(CodeDone, stageRequest(1, "/staged", StageReserve))
	before := tree(t, jail)
	hidden := stagingsIn(t, jail)
	if len(hidden) != 2 {
		t.Fatalf("staging directories: %q", hidden)
	}
	for _, dir := range hidden {
		name := "/" + filepath.Base(dir)
		for _, r := range append(namings(name), namings(name+"/part-1")...) {
			if got := c.do(r); got.Code != CodeNotFound && got.Code != CodeInvalidName {
				t.Errorf("%s: %v %s", describe2(&r), got.Code, got.Message)
			}
		}
	}
	if got := c.names("/", 1000); len(got) != 1 {
		t.Errorf("listed are %q", got)
	}
	if after := tree(t, jail); after != before {
		t.Errorf("something changed: before\n%safter\n%s", before, after)
	}
	owner.want(CodeDone, commitRequest(1, 0))
}

// TestNamesLikeStagingOnesAreOthers: a user's directory of such a name is shown.
func TestNamesLikeStagingOnesAreOthers(t *testing.T) {
	s := serve(t, Options{})
	name := stagingPrefix + strings.Repeat("A", stagingRandom)
	s.mkdir(name)
	s.write(name+"/f", "content")
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/"+name+"/f", OpenRead))
	if got := c.names("/", 1000); len(got) != 1 {
		t.Errorf("listed are %q", got)
	}
	c.want(CodeDone, removeRequest("/"+name, RemoveRecursive))
}

// TestADirectoryWithStagedFilesStays: what is removed recursively is not what others upload.
func TestADirectoryWithStagedFilesStays(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("a/mnt")
	mount(t, "none", filepath.Join(s.jail, "a/mnt"), "tmpfs", 0, "")
	c, owner := s.dial2(), s.dial2()
	owner.want(CodeDone, stageRequest(1, "/a/mnt/f", 0))
	c.want(CodeInUse, removeRequest("/a", RemoveRecursive))
	owner.want(CodeDone, writeRequest(1, 0), 1)
	owner.want(CodeDone, commitRequest(1, 0))
	if got := s.read("a/mnt/f"); got != "\x01" {
		t.Errorf("the file holds %q", got)
	}
	c.want(CodeCrossDevice, renameRequest("/a/mnt/f", "/f", 0))
}

func TestReadOnlyRefusesEveryChange(t *testing.T) {
	s := serve(t, Options{ReadOnly: true})
	s.write("mine", "mine")
	s.mkdir("d")
	before := tree(t, s.jail)
	c := s.dial2()
	if !c.attach.Info.ReadOnly {
		t.Error("the server does not tell that it is read-only")
	}
	for _, path := range []string{"/mine", "/d", "/new"} {
		for _, r := range namings(path) {
			switch got := c.do(r); {
			case r.Operation == OpOpen && r.Flags == OpenRead && path == "/mine":
				c.want(CodeReadOnly, writeRequest(1, 0), 1)
				c.want(CodeReadOnly, Request{Operation: OpAppend, Handle: 1}, 1)
				c.want(CodeReadOnly, Request{Operation: OpSet, Handle: 1})
				c.want(CodeReadOnly, Request{Operation: OpAllocate, Handle: 1, Length: 1})
				c.want(CodeReadOnly, Request{Operation: OpCopy, Handle: 1, ToHandle: 1, Length: 1})
				c.want(CodeReadOnly, commitRequest(1, 0))
				c.want(CodeDone, readRequest(1, 0, 1))
				c.want(CodeDone, closeRequest(1))
			case operations[r.Operation].changes || r.Operation == OpOpen && r.Flags != OpenRead:
				if got.Code != CodeReadOnly {
					t.Errorf("%s with flags %b: %v %s", describe2(&r), r.Flags, got.Code, got.Message)
				}
			case got.Code == CodeReadOnly:
				t.Errorf("%s is refused", describe2(&r))
			}
		}
	}
	if after := tree(t, s.jail); after != before {
		t.Errorf("something changed: before\n%safter\n%s", before, after)
	}
	if n := s.handles.Load(); n != 0 {
		t.Errorf("%d handles are open", n)
	}
}

func TestPortableNames(t *testing.T) {
	s := serve(t, Options{PortableNames: true})
	s.write("mine", "")
	s.write("a:b", "")
	c := s.dial2()
	if !c.attach.Info.PortableNames {
		t.Error("the server does not tell that it takes portable names only")
	}
	for _, path := range []string{"/c:d", "/x*", "/\"", "/a|b", "/que?"} {
		c.wantAll(
			changed{pathRequest(OpMkdir, path), CodeInvalidName},
			changed{openRequest(1, path, OpenWrite|OpenCreate), CodeInvalidName},
			changed{stageRequest(1, path, 0), CodeInvalidName},
			changed{Request{Operation: OpSymlink, Path: path, Target: "a:b"}, CodeInvalidName},
			changed{Request{Operation: OpLink, Path: "/mine", ToPath: path}, CodeInvalidName},
			changed{renameRequest("/mine", path, 0), CodeInvalidName},
		)
	}
	c.wantAll(
		changed{openRequest(1, "/a:b", OpenRead), CodeDone},
		changed{renameRequest("/a:b", "/fine", 0), CodeDone},
	)
}

// TestRequestsLeaveNothingOpen, whatever becomes of them.
func TestRequestsLeaveNothingOpen(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	before := descriptors(t)
	for range 3 {
		for _, path := range []string{"/mine", "/d", "/link", "/new", "/no/f", "/mine/f", "/", "/" + stagingPrefix + strings.Repeat("A", stagingRandom)} {
			for _, name := range c.names("/", 1000) {
				c.want(CodeDone, removeRequest("/"+name, RemoveRecursive))
			}
			s.write("mine", "mine")
			s.mkdir("d")
			s.link("mine", "link")
			for _, r := range namings(path) {
				c.do(r)
				c.do(closeRequest(1))
			}
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
}
