package server

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// changed is a request and how it must end.
type changed struct {
	request Request
	want    Code
}

// wantAll makes requests of which each must end so.
func (c *client2) wantAll(all ...changed) {
	c.t.Helper()
	for _, test := range all {
		if got := c.do(test.request); got.Code != test.want {
			c.t.Errorf("%s with flags %b: %v %s, want %v", describe2(&test.request), test.request.Flags, got.Code, got.Message, test.want)
		}
	}
}

func TestMakingDirectoriesAndLinks(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "content")
	c := s.dial2()
	symlink := func(path, target string) Request {
		return Request{Operation: OpSymlink, Path: path, Target: target}
	}
	link := func(from, to string) Request { return Request{Operation: OpLink, Path: from, ToPath: to} }
	c.wantAll(
		changed{pathRequest(OpMkdir, "/d"), CodeDone},
		changed{pathRequest(OpMkdir, "/d"), CodeExists},
		changed{pathRequest(OpMkdir, "/f"), CodeExists},
		changed{pathRequest(OpMkdir, "/"), CodeExists},
		changed{pathRequest(OpMkdir, "/no/d"), CodeNotFound},
		changed{pathRequest(OpMkdir, "/f/d"), CodeNotADirectory},
		changed{pathRequest(OpMkdir, "/any\x01name:*?\xff"), CodeDone},
		changed{pathRequest(OpMkdir, "/"+strings.Repeat("x", 255)), CodeDone},
		changed{symlink("/s", "../anywhere"), CodeDone},
		changed{symlink("/s", "again"), CodeExists},
		changed{symlink("/d/self", "../d"), CodeDone},
		changed{pathRequest(OpMkdir, "/d/self/self/e"), CodeDone},
		changed{pathRequest(OpMkdir, "/s/x"), CodeForbidden},
		changed{link("/f", "/d/f"), CodeDone},
		changed{link("/f", "/d/f"), CodeExists},
		changed{link("/s", "/s2"), CodeDone},
		changed{link("/d", "/d2"), CodeForbidden},
		changed{link("/no", "/no2"), CodeNotFound},
		changed{link("/f", "/no/f"), CodeNotFound},
		changed{pathRequest(OpReadlink, "/f"), CodeUnsupported},
		changed{pathRequest(OpReadlink, "/no"), CodeNotFound},
	)
	for path, want := range map[string]string{"/s": "../anywhere", "/s2": "../anywhere", "/d/self": "../d"} {
		if got := c.want(CodeDone, pathRequest(OpReadlink, path)).Target; got != want {
			t.Errorf("%s leads to %q, want %q", path, got, want)
		}
	}
	if a := c.want(CodeDone, pathRequest(OpStat, "/d/f")).Attr; a.Links != 2 || a.Size != 7 || a.Kind != KindFile {
		t.Errorf("attributes %+v", a)
	}
	if _, err := os.Stat(filepath.Join(s.jail, "d/e")); err != nil {
		t.Error(err)
	}
}

func TestStatTellsTheSystemsAttributes(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "content")
	s.mkdir("d")
	s.link("f", "link")
	s.link("..", "out")
	path := filepath.Join(s.jail, "f")
	then := time.Date(1955, 11, 5, 6, 15, 0, 123456789, time.UTC)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	want := Attr{Kind: KindFile, Mode: 0o644, Size: 7, Modified: Time(then.UnixNano()), Changed: Time(st.Ctim.Nano()),
		Links: 1, Device: st.Dev, Inode: st.Ino}
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead))
	for _, r := range []Request{pathRequest(OpStat, "/f"), {Operation: OpStat, Path: "/link", Flags: StatFollow}, {Operation: OpStat, Handle: 1}} {
		got := c.want(CodeDone, r).Attr
		want.Born = got.Born
		if got != want {
			t.Errorf("%s: attributes %+v, want %+v", describe2(&r), got, want)
		}
	}
	for path, want := range map[string]Kind{"/": KindDirectory, "/d": KindDirectory, "/link": KindSymlink} {
		if got := c.want(CodeDone, pathRequest(OpStat, path)).Attr.Kind; got != want {
			t.Errorf("%s is of kind %d", path, got)
		}
	}
	c.want(CodeForbidden, Request{Operation: OpStat, Path: "/out", Flags: StatFollow})
	c.want(CodeNotFound, pathRequest(OpStat, "/no"))
	c.want(CodeBadHandle, Request{Operation: OpStat, Handle: 7})
}

func TestSetChangesWhatItSays(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "content")
	s.mkdir("d")
	s.link("f", "link")
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite))
	set := func(path string, flags Flags, changes Changes) Request {
		return Request{Operation: OpSet, Path: path, Flags: flags, Changes: changes}
	}
	past := Time(-1_500_000_000)
	for _, test := range []struct {
		request Request
		want    Attr
	}{
		{set("/f", 0, Changes{}), Attr{Size: 7, Mode: 0o644}},
		{set("/f", 0, Changes{Size: new(int64(3)), Mode: new(uint16(0o640)), Modified: &past}), Attr{Size: 3, Mode: 0o640, Modified: past}},
		{set("/link", SetFollow, Changes{Size: new(int64(5))}), Attr{Size: 5, Mode: 0o640}},
		{set("/link", 0, Changes{Modified: &past, Accessed: new(Time(0))}), Attr{Kind: KindSymlink, Size: 1, Mode: 0o777, Modified: past}},
		{set("", 0, Changes{Mode: new(uint16(0o600)), Modified: new(Time(math.MaxInt64 / 4))}), Attr{Size: 5, Mode: 0o600, Modified: math.MaxInt64 / 4}},
		{set("/d", 0, Changes{Mode: new(uint16(0o700))}), Attr{Kind: KindDirectory, Mode: 0o700}},
		{set("/", 0, Changes{Mode: new(uint16(0o755))}), Attr{Kind: KindDirectory, Mode: 0o755}},
	} {
		if test.request.Path == "" {
			test.request.Handle = 1
		}
		got := c.want(CodeDone, test.request).Attr
		if got.Kind != test.want.Kind || got.Mode != test.want.Mode || got.Kind == KindFile && got.Size != test.want.Size ||
			test.want.Modified != 0 && got.Modified != test.want.Modified {
			t.Errorf("%s: attributes %+v, want %+v", describe2(&test.request), got, test.want)
		}
	}
	c.wantAll(
		changed{set("/d", 0, Changes{Size: new(int64(0))}), CodeNotAFile},
		changed{set("/link", 0, Changes{Size: new(int64(0))}), CodeNotAFile},
		changed{set("/link", 0, Changes{Mode: new(uint16(0o600))}), CodeUnsupported},
		changed{set("/f", 0, Changes{Mode: new(uint16(0o4755))}), CodeBadRequest},
		changed{set("/f", 0, Changes{Size: new(int64(-1))}), CodeBadRequest},
		changed{set("/no", 0, Changes{}), CodeNotFound},
	)
}

// TestChmodWithoutItsSystemCall is what kernels before 6.6 need.
func TestChmodWithoutItsSystemCall(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "")
	s.link("f", "link")
	fd := s.Server.jail.top.fd()
	if err := chmodOpened(fd, "f", 0o600); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(s.jail, "f")); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if err := chmodOpened(fd, "link", 0o644); err != syscall.EOPNOTSUPP {
		t.Errorf("a link: %v", err)
	}
}

func TestRenameWithEachFlag(t *testing.T) {
	s := serve(t, Options{})
	for _, dir := range []string{"d/sub", "empty", "full"} {
		s.mkdir(dir)
	}
	for _, name := range []string{"a", "b", "full/x"} {
		s.write(name, name)
	}
	s.link("a", "link")
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/a", OpenRead|OpenWrite))
	c.wantAll(
		changed{renameRequest("/a", "/b", RenameKeep), CodeExists},
		changed{renameRequest("/a", "/b", RenameKeep|RenameExchange), CodeBadRequest},
		changed{renameRequest("/a", "/d", 0), CodeNotAFile},
		changed{renameRequest("/d", "/a", 0), CodeNotADirectory},
		changed{renameRequest("/empty", "/full", 0), CodeNotEmpty},
		changed{renameRequest("/d", "/d/sub/d", 0), CodeBadRequest},
		changed{renameRequest("/d", "/d/sub", RenameExchange), CodeBadRequest},
		changed{renameRequest("/d/sub", "/d", RenameExchange), CodeBadRequest},
		changed{renameRequest("/d/sub", "/d", 0), CodeNotEmpty},
		changed{renameRequest("/", "/x", 0), CodeInUse},
		changed{renameRequest("/a", "/", 0), CodeInUse},
		changed{renameRequest("/a", "/", RenameExchange), CodeInUse},
		changed{renameRequest("/no", "/x", 0), CodeNotFound},
		changed{renameRequest("/a", "/no/x", 0), CodeNotFound},
		changed{renameRequest("/a", "/x", RenameExchange), CodeNotFound},
		changed{renameRequest("/full", "/empty", 0), CodeDone},
		changed{renameRequest("/a", "/b", RenameExchange), CodeDone},
		changed{renameRequest("/a", "/d/sub/b", 0), CodeDone},
		changed{renameRequest("/link", "/d/link", RenameKeep), CodeDone},
		changed{renameRequest("/d", "/moved", 0), CodeDone},
	)
	c.want(CodeDone, writeRequest(1, 0), []byte("through the handle")...)
	if got, want := tree(t, s.jail), `. d---------
b "through the handle"
empty d---------
empty/x "full/x"
moved d---------
moved/link -> a
moved/sub d---------
moved/sub/b "b"
`; got != want {
		t.Errorf("the jail holds\n%s", got)
	}
}

func TestRemoveWithEachFlag(t *testing.T) {
	s := serve(t, Options{})
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"empty", "empty2", "full/a/b/c", "full/z"} {
		s.mkdir(dir)
	}
	for _, name := range []string{"f", "g", "full/f", "full/a/b/c/f", "full/z/f"} {
		s.write(name, "")
	}
	s.link(outside, "full/out")
	s.link("full", "link")
	c := s.dial2()
	c.wantAll(
		changed{removeRequest("/", RemoveRecursive), CodeInUse},
		changed{removeRequest("/no", RemoveRecursive), CodeNotFound},
		changed{removeRequest("/f", RemoveRecursive|RemoveAny), CodeBadRequest},
		changed{removeRequest("/f", RemoveDirectory), CodeNotADirectory},
		changed{removeRequest("/empty", 0), CodeNotAFile},
		changed{removeRequest("/full", RemoveDirectory), CodeNotEmpty},
		changed{removeRequest("/full", RemoveAny), CodeNotEmpty},
		changed{removeRequest("/link/a/b/c/f", RemoveDirect), CodeForbidden},
		changed{removeRequest("/link/a/b/c/f", 0), CodeDone},
		changed{removeRequest("/link", RemoveDirectory), CodeNotADirectory},
		changed{removeRequest("/link", RemoveRecursive|RemoveDirect), CodeDone},
		changed{removeRequest("/f", 0), CodeDone},
		changed{removeRequest("/f", 0), CodeNotFound},
		changed{removeRequest("/empty", RemoveDirectory), CodeDone},
		changed{removeRequest("/empty2", RemoveAny), CodeDone},
	)
	if got := c.want(CodeDone, removeRequest("/g", RemoveRecursive)).Removed; got != 1 {
		t.Errorf("%d were removed of a file", got)
	}
	if got := c.want(CodeDone, removeRequest("/full", RemoveRecursive)).Removed; got != 8 {
		t.Errorf("%d were removed, want 8", got)
	}
	if got := tree(t, s.jail); got != ". d---------\n" {
		t.Errorf("the jail holds\n%s", got)
	}
	if _, err := os.Stat(filepath.Join(outside, "f")); err != nil {
		t.Error(err)
	}
}

// TestDeepTreesAreRemovedToTheLimit: one level more is refused, whole.
func TestDeepTreesAreRemovedToTheLimit(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("fits" + strings.Repeat("/d", MaxRemovalDepth-1))
	s.mkdir("deep" + strings.Repeat("/d", MaxRemovalDepth))
	c := s.dial2()
	if got := c.want(CodeDone, removeRequest("/fits", RemoveRecursive)).Removed; got != MaxRemovalDepth {
		t.Errorf("%d were removed", got)
	}
	c.want(CodeNameTooLong, removeRequest("/deep", RemoveRecursive))
	if _, err := os.Stat(filepath.Join(s.jail, "deep"+strings.Repeat("/d", MaxRemovalDepth))); err != nil {
		t.Error(err)
	}
}

// TestListingsInPages: what is there all the time is listed once, whatever comes and goes.
func TestListingsInPages(t *testing.T) {
	s := serve(t, Options{})
	var want []string
	for i := range 500 {
		name := fmt.Sprintf("%04d", i*7919%5000)
		s.write(name, "")
		want = append(want, name)
	}
	slices.Sort(want)
	c := s.dial2()
	for _, most := range []int64{0, 1, 1000, 10_000, math.MaxInt64} {
		var got []string
		r := Request{Operation: OpList, Path: "/", Length: most}
		for page := 0; ; page++ {
			a := c.want(CodeDone, r)
			if len(a.Entries) == 0 {
				t.Fatal("an empty page")
			}
			for _, e := range a.Entries {
				if !strings.Contains(e.Name, "-") {
					got = append(got, e.Name)
				}
			}
			if r.Cursor = a.Cursor; a.Cursor == "" {
				break
			}
			if page%10 == 0 { // before the cursor, and behind it
				s.write(fmt.Sprintf("0000-%d-%d", most, page), "")
				s.write(fmt.Sprintf("9999-%d-%d", most, page), "")
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d bytes: %d names, want %d", most, len(got), len(want))
		}
	}
	c.want(CodeNotFound, Request{Operation: OpList, Path: "/no"})
	c.want(CodeNotADirectory, Request{Operation: OpList, Path: "/0000"})
}

func TestListingsTellAttributes(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("d")
	s.write("f", "content")
	s.link("f", "link")
	if err := syscall.Mkfifo(filepath.Join(s.jail, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := s.dial2()
	entries := c.want(CodeDone, Request{Operation: OpList, Path: "/", Length: 1 << 20}).Entries
	if len(entries) != 4 {
		t.Fatalf("entries %+v", entries)
	}
	for _, e := range entries {
		if want := c.want(CodeDone, pathRequest(OpStat, "/"+e.Name)).Attr; e.Attr != want {
			t.Errorf("%s: %+v, STAT tells %+v", e.Name, e.Attr, want)
		}
	}
}

// TestLongListingsTakeNoMoreMemory: a page is one, however many names there are.
func TestLongListingsTakeNoMoreMemory(t *testing.T) {
	s := serve(t, Options{})
	files := 20_000
	if os.Getenv("REMOFILE_TEST_FULL") == "1" {
		files = 100_000
	}
	c := s.dial2()
	s.makeFiles(files)
	sess := s.sessions[c.attach.Session]
	page := &task{session: sess, ctx: t.Context(), Request: Request{Operation: OpList, Path: "/", Length: math.MaxInt64}}
	if err := page.list(); err != nil {
		t.Fatal(err)
	}
	size := len(AppendAnswer(nil, OpList, &page.answer))
	if n := len(page.answer.Entries); size > MaxAnswer || n < 10_000 || n > MaxPage/EntryOverhead {
		t.Errorf("a page has %d entries in %d bytes", n, size)
	}
	names := c.names("/", math.MaxInt64)
	if len(names) != files || !slices.IsSorted(names) {
		t.Errorf("%d names", len(names))
	}
}

func TestSpace(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("d")
	c := s.dial2()
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.jail, &st); err != nil {
		t.Fatal(err)
	}
	got := c.want(CodeDone, pathRequest(OpSpace, "/d")).Space
	if got.Total != int64(st.Blocks)*st.Frsize || got.Free < got.Available || got.Available > got.Total || got.Files != st.Files {
		t.Errorf("space %+v", got)
	}
	c.want(CodeNotFound, pathRequest(OpSpace, "/no"))
}
