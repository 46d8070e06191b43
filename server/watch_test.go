package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// watch makes a client watch directories. From now on it waits for what it reads no longer
// than any notice may take.
func (c *client2) watch(dirs ...string) {
	c.t.Helper()
	c.conn.SetReadTimeout(30 * time.Second)
	for _, dir := range dirs {
		c.want(CodeDone, pathRequest(OpWatch, dir))
	}
}

// notice returns the next one.
func (c *client2) notice() Notice {
	c.t.Helper()
	for len(c.told) == 0 {
		frames, err := c.conn.ReadMessage()
		if err != nil {
			c.t.Fatal(err)
		}
		if id, err := PeekID(frames[0]); err == nil && id != 0 && c.attach.Resumed {
			continue // an answer that is on its way a second time
		}
		n, err := DecodeNotice(frames[0])
		if err != nil {
			c.t.Fatal(err)
		}
		c.told = append(c.told, n)
	}
	n := c.told[0]
	c.told = c.told[1:]
	return n
}

// toldUntil returns what is told until so holds, as paths, sorted: an entry's, "path/*" of any
// entry, "path gone".
func (c *client2) toldUntil(so func(told []string) bool) (told []string) {
	c.t.Helper()
	for !so(told) {
		n := c.notice()
		at := strings.TrimSuffix(n.Directory, "/")
		switch {
		case n.Event == EventGone:
			told = append(told, n.Directory+" gone")
		case len(n.Names) == 0:
			told = append(told, at+"/*")
		}
		for _, name := range n.Names {
			told = append(told, at+"/"+name)
		}
		slices.Sort(told)
		told = slices.Compact(told)
	}
	return told
}

// toldBefore returns what clients are told before fences in some directories of the jail,
// which they watch: files that are made now, and called like no other.
func (s *served) toldBefore(dirs []string, clients ...*client2) (all [][]string) {
	s.t.Helper()
	fence := fmt.Sprint(fencePrefix, time.Now().UnixNano())
	var fences []string
	for _, dir := range dirs {
		path := strings.TrimSuffix(dir, "/") + "/" + fence
		s.write(path, "")
		fences = append(fences, path)
	}
	for _, c := range clients {
		told := c.toldUntil(func(told []string) bool {
			return !slices.ContainsFunc(fences, func(f string) bool { return !slices.Contains(told, f) })
		})
		all = append(all, slices.DeleteFunc(told, func(p string) bool { return strings.Contains(p, fencePrefix) }))
	}
	return all
}

const fencePrefix = "fence-"

func requireTold(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: told are %q, want %q", what, got, want)
	}
}

// ownChanges are changes in the directories / and /dir of a jail with the files /f and /dir/f, as
// requests of one session, and of which names others are told.
var ownChanges = []struct {
	name     string
	requests []Request
	want     []string
}{
	{"MKDIR", []Request{pathRequest(OpMkdir, "/new")}, []string{"/new"}},
	{"REMOVE", []Request{removeRequest("/new", RemoveDirectory)}, []string{"/new"}},
	{"SYMLINK", []Request{{Operation: OpSymlink, Path: "/dir/link", Target: "f"}}, []string{"/dir/link"}},
	{"LINK", []Request{{Operation: OpLink, Path: "/f", ToPath: "/dir/hard"}}, []string{"/dir/hard", "/f"}},
	{"SET of a mode", []Request{{Operation: OpSet, Path: "/f", Changes: Changes{Mode: new(uint16(0o600))}}}, []string{"/f"}},
	{"SET of a time", []Request{{Operation: OpSet, Path: "/f", Changes: Changes{Modified: new(Time(1))}}}, []string{"/f"}},
	{"SET of a size", []Request{{Operation: OpSet, Path: "/f", Changes: Changes{Size: new(int64(5))}}}, []string{"/f"}},
	{"OPEN with TRUNCATE", []Request{openRequest(1, "/dir/f", OpenRead|OpenWrite|OpenTruncate)}, []string{"/dir/f"}},
	{"WRITE", []Request{writeRequest(1, 0)}, []string{"/dir/f"}},
	{"APPEND", []Request{{Operation: OpAppend, Handle: 1}}, []string{"/dir/f"}},
	{"ALLOCATE", []Request{{Operation: OpAllocate, Handle: 1, Length: 100}}, []string{"/dir/f"}},
	{"SET of a handle", []Request{{Operation: OpSet, Handle: 1, Changes: Changes{Size: new(int64(9)), Mode: new(uint16(0o640)), Modified: new(Time(2))}}}, []string{"/dir/f"}},
	{"COPY", []Request{openRequest(2, "/copy", OpenWrite|OpenCreate), {Operation: OpCopy, Handle: 1, ToHandle: 2, Length: 9}}, []string{"/copy"}},
	{"RENAME of an open file, and WRITE", []Request{renameRequest("/dir/f", "/f", 0), writeRequest(1, 0)}, []string{"/dir/f", "/f"}},
	{"RENAME with EXCHANGE, and WRITE", []Request{renameRequest("/f", "/dir/hard", RenameExchange), writeRequest(1, 0)}, []string{"/dir/hard", "/f"}},
	{"CLOSE", []Request{closeRequest(1), closeRequest(2)}, []string{"/copy", "/dir/hard"}},
	{"COMMIT", []Request{stageRequest(3, "/staged", StageReserve), writeRequest(3, 0), {Operation: OpCommit, Handle: 3}, writeRequest(3, 0), closeRequest(3)}, []string{"/staged"}},
	{"COMMIT with REPLACE", []Request{stageRequest(3, "/staged", StageReplace), {Operation: OpCommit, Handle: 3}, closeRequest(3)}, []string{"/staged"}},
	{"RENAME of a directory", []Request{pathRequest(OpMkdir, "/a"), renameRequest("/a", "/b", RenameKeep)}, []string{"/a", "/b"}},
	{"recursive REMOVE", []Request{pathRequest(OpMkdir, "/b/c"), removeRequest("/b", RemoveRecursive)}, []string{"/b"}},
}

// TestOthersAreToldOfChanges, and those who made them are not.
func TestOthersAreToldOfChanges(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("dir")
	s.write("f", "content")
	s.write("dir/f", "content")
	author, other, idle := s.dial2(), s.dial2(), s.dial2()
	author.watch("/", "/dir")
	other.watch("/dir", "/")
	for _, change := range ownChanges {
		for _, r := range change.requests {
			author.want(CodeDone, r, []byte("content")...)
		}
		told := s.toldBefore([]string{"/", "/dir"}, other, author)
		requireTold(t, change.name, told[0], change.want...)
		requireTold(t, change.name+" by itself", told[1])
	}
	idle.want(CodeDone, Request{Operation: OpStatus})
	if len(idle.told) > 0 {
		t.Errorf("who watches nothing is told %+v", idle.told)
	}
}

// TestSessionsAreToldWhatProcessesDo.
func TestSessionsAreToldWhatProcessesDo(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("dir")
	c := s.dial2()
	c.watch("/", "/dir")
	path := func(name string) string { return filepath.Join(s.jail, name) }
	var log *os.File
	for _, change := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"create", func() error { return os.WriteFile(path("f"), []byte("x"), 0o644) }, []string{"/f"}},
		{"open to append", func() (err error) {
			log, err = os.OpenFile(path("dir/log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
			return err
		}, []string{"/dir/log"}},
		{"append", func() error { _, err := log.WriteString("x"); return err }, []string{"/dir/log"}},
		{"close", func() error { return log.Close() }, []string{"/dir/log"}},
		{"chmod", func() error { return os.Chmod(path("f"), 0o600) }, []string{"/f"}},
		{"rename", func() error { return os.Rename(path("f"), path("dir/g")) }, []string{"/dir/g", "/f"}},
		{"mkdir", func() error { return os.Mkdir(path("new"), 0o755) }, []string{"/new"}},
		{"remove", func() error { return errors.Join(os.Remove(path("new")), os.Remove(path("dir/g"))) }, []string{"/dir/g", "/new"}},
		{"a directory named like a staging one", func() error { return os.Mkdir(path(stagingPrefix+strings.Repeat("x", stagingRandom)), 0o755) },
			[]string{"/" + stagingPrefix + strings.Repeat("x", stagingRandom)}},
		{"the mode of a directory", func() error { return os.Chmod(path("dir"), 0o700) }, []string{"/dir"}},
	} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		requireTold(t, change.name, s.toldBefore([]string{"/", "/dir"}, c)[0], change.want...)
	}
	if err := os.Remove(path(stagingPrefix + strings.Repeat("x", stagingRandom))); err != nil {
		t.Fatal(err)
	}
}

// TestAWatchedDirectoryEnds by whatever ends its path.
func TestAWatchedDirectoryEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(s *served, c *client2)
		want []string
	}{
		"removed by a process": {func(s *served, _ *client2) {
			os.RemoveAll(filepath.Join(s.jail, "a"))
		}, []string{"/a gone", "/a/b gone"}},
		"removed by the session": {func(_ *served, c *client2) {
			c.want(CodeDone, removeRequest("/a", RemoveRecursive))
		}, []string{"/a gone", "/a/b gone"}},
		"renamed by a process": {func(s *served, _ *client2) {
			os.Rename(filepath.Join(s.jail, "a"), filepath.Join(s.jail, "z"))
		}, []string{"/a gone", "/a/b gone"}},
		"renamed by the session": {func(_ *served, c *client2) {
			c.want(CodeDone, renameRequest("/a", "/z", 0))
		}, []string{"/a gone", "/a/b gone"}},
		"moved out of the jail": {func(s *served, _ *client2) {
			os.Rename(filepath.Join(s.jail, "a/b"), filepath.Join(s.t.TempDir(), "b"))
		}, []string{"/a/b gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Options{})
			s.mkdir("a/b")
			s.mkdir("ab")
			c := s.dial2()
			c.watch("/a", "/a/b", "/ab")
			test.end(s, c)
			told := c.toldUntil(func(told []string) bool {
				return len(slices.DeleteFunc(slices.Clone(told), func(p string) bool { return !strings.HasSuffix(p, " gone") })) == len(test.want)
			})
			for _, want := range test.want {
				if !slices.Contains(told, want) {
					t.Errorf("told are %q, want %q", told, test.want)
				}
			}
			s.mkdir("a/b")
			s.write("a/b/f", "")
			if told := s.toldBefore([]string{"/ab"}, c)[0]; slices.Contains(told, "/a/b/f") {
				t.Errorf("what is in its place is told: %q", told)
			}
			c.watch("/a/b")
			s.write("a/b/f", "again")
			if told := s.toldBefore([]string{"/a/b"}, c)[0]; !slices.Contains(told, "/a/b/f") {
				t.Errorf("what is watched again is not told: %q", told)
			}
		})
	}
}

func TestAnUnmountedDirectoryIsGone(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("mnt")
	dir := filepath.Join(s.jail, "mnt")
	mount(t, "none", dir, "tmpfs", 0, "")
	c := s.dial2()
	c.watch("/mnt")
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	requireTold(t, "unmount", c.toldUntil(func(told []string) bool { return len(told) > 0 }), "/mnt gone")
	if err := syscall.Mount("none", dir, "tmpfs", 0, ""); err != nil { // for the end of the test
		t.Fatal(err)
	}
}

// TestUploadsAreNotToldBeforeTheirCommit: neither the staging directory nor a reserved name.
func TestUploadsAreNotToldBeforeTheirCommit(t *testing.T) {
	s := serve(t, Options{})
	c, other, foreign := s.dial2(), s.dial2(), s.dial()
	c.watch("/")
	for range 3 {
		other.want(CodeDone, stageRequest(1, "/f", StageReserve|StageReplace))
		other.want(CodeDone, writeRequest(1, 0), 1, 2, 3)
		requireTold(t, "before", s.toldBefore([]string{"/"}, c)[0])
		other.want(CodeDone, Request{Operation: OpCommit, Handle: 1})
		other.want(CodeDone, closeRequest(1))
		requireTold(t, "COMMIT", s.toldBefore([]string{"/"}, c)[0], "/f")
		if got := foreign.upload("/", "g", pattern(2000), 1000, true); got.Type != 1 {
			t.Fatal(describe(got))
		}
		requireTold(t, "an upload", s.toldBefore([]string{"/"}, c)[0], "/g")
		other.want(CodeDone, removeRequest("/f", 0))
		requireTold(t, "REMOVE", s.toldBefore([]string{"/"}, c)[0], "/f")
	}
}

// TestWatchesByTwoPaths: a directory is told by each path by which it is watched.
func TestWatchesByTwoPaths(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("dir")
	s.link("dir", "link")
	c, other := s.dial2(), s.dial2()
	c.watch("/dir", "/link", "/link")
	other.watch("/dir")
	s.write("dir/f", "")
	requireTold(t, "by two paths", s.toldBefore([]string{"/dir", "/link"}, c)[0], "/dir/f", "/link/f")
	if got := len(s.watcher.byWD); got != 1 {
		t.Errorf("%d watch descriptors", got)
	}
	c.want(CodeDone, pathRequest(OpUnwatch, "/dir"))
	c.want(CodeDone, pathRequest(OpUnwatch, "/never"))
	requireTold(t, "UNWATCH", s.toldBefore([]string{"/link"}, c)[0])
	other.want(CodeDone, Request{Operation: OpGoodbye})
	c.want(CodeDone, pathRequest(OpUnwatch, "/link"))
	await(t, "the end of all watches", func() bool {
		s.watcher.mu.Lock()
		defer s.watcher.mu.Unlock()
		return len(s.watcher.byWD) == 0 && len(s.watcher.byID) == 0
	})
	c.want(CodeNotFound, pathRequest(OpWatch, "/missing"))
	s.write("f", "")
	c.want(CodeNotADirectory, pathRequest(OpWatch, "/f"))
}

// TestTakeOverKeepsWatches, and tells that anything may have changed meanwhile.
func TestTakeOverKeepsWatches(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("dir")
	c := s.dial2()
	c.watch("/dir")
	for range 3 {
		c.conn.Close()
		s.write("dir/meanwhile", "")
		c = s.resume(c)
		c.conn.SetReadTimeout(30 * time.Second)
		c.toldUntil(func(told []string) bool { return slices.Contains(told, "/*") })
		s.write("dir/after", "")
		c.toldUntil(func(told []string) bool { return slices.Contains(told, "/dir/after") })
	}
	if got := s.status().Sessions[0].Watches; got != 1 {
		t.Errorf("the session has %d watches", got)
	}
}

// TestTooManyWatchesAreRefused.
func TestTooManyWatchesAreRefused(t *testing.T) {
	s := serve(t, Options{})
	for i := range 8 {
		s.link(".", fmt.Sprint(i))
	}
	c, other := s.dial2(), s.dial2()
	var watches []Request
	for n := range MaxWatches {
		path := strings.Join(strings.Split(fmt.Sprintf("%04o", n), ""), "/")
		watches = append(watches, pathRequest(OpWatch, "/"+path))
	}
	for some := range slices.Chunk(watches, MaxRequests) {
		for _, got := range c.burst(some...) {
			if got.Code != CodeDone {
				t.Fatal(got.Code)
			}
		}
	}
	c.want(CodeDone, watches[0])
	c.want(CodeTooMany, pathRequest(OpWatch, "/"))
	other.want(CodeDone, pathRequest(OpWatch, "/"))
	c.want(CodeDone, pathRequest(OpUnwatch, watches[0].Path))
	c.want(CodeDone, pathRequest(OpWatch, "/"))
	if got := s.status().Sessions; got[0].Watches+got[1].Watches != MaxWatches+1 {
		t.Errorf("the status is %+v", got)
	}
	third := s.dial2()
	deep := strings.Repeat("/"+strings.Repeat("x", 250), 14)
	for n := range MaxWatchedPaths/len(deep) + 1 {
		path := fmt.Sprintf("%s/%03d", deep, n)
		s.mkdir(path)
		want := CodeDone
		if (n+1)*len(path) > MaxWatchedPaths {
			want = CodeTooMany
		}
		third.want(want, pathRequest(OpWatch, path))
	}
}

// TestLostEvents: after an overflow of the queue anything may have changed, what is watched
// still is, and what ended is gone.
func TestLostEvents(t *testing.T) {
	s := serve(t, Options{})
	for _, dir := range []string{"a", "b", "c"} {
		s.mkdir(dir)
	}
	c := s.dial2()
	c.watch("/a", "/b", "/c")
	s.watcher.mu.Lock()
	for n := range queueLength(t) + 10 {
		s.write(fmt.Sprint("a/", n%10), "")
	}
	os.Remove(filepath.Join(s.jail, "b"))
	os.Rename(filepath.Join(s.jail, "c"), filepath.Join(s.jail, "d"))
	s.mkdir("c")
	s.watcher.mu.Unlock()
	c.toldUntil(func(told []string) bool { return slices.Contains(told, "/*") && slices.Contains(told, "/b gone") })
	c.want(CodeDone, openRequest(1, "/a/0", OpenWrite))
	s.toldBefore([]string{"/a", "/c"}, c)
	c.want(CodeDone, writeRequest(1, 0), 1)
	s.write("c/new", "")
	requireTold(t, "after that", s.toldBefore([]string{"/a", "/c"}, c)[0], "/c/new")
}

// queueLength returns how many events a queue of inotify holds.
func queueLength(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err == nil {
		_, err = fmt.Sscan(string(text), &n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNoticesAreBounded however little a session reads.
func TestNoticesAreBounded(t *testing.T) {
	var n notices
	for i := range MaxToldNames + 1 {
		n.add("/dir", fmt.Sprint(i))
	}
	n.add("/other", "f")
	if names, told := n.changed["/dir"]; !told || names != nil || n.size != 1 || n.all {
		t.Errorf("one name more: %+v", n)
	}
	for i := range MaxToldBytes / MaxName {
		n.add(fmt.Sprint("/", i), strings.Repeat("x", MaxName))
	}
	if n.all {
		t.Errorf("the limit of bytes is met")
	}
	n.addGone("/gone")
	n.add("/dir2", strings.Repeat("x", MaxName))
	if !n.all || len(n.changed) != 0 || n.size != 0 || len(n.gone) != 1 {
		t.Errorf("one byte more: %+v", n)
	}
	var got []Notice
	for header := range n.messages {
		notice, err := DecodeNotice(header)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, notice)
	}
	if want := "[{GONE /gone []} {CHANGED / []}]"; fmt.Sprint(got) != want {
		t.Errorf("the notices are %v, want %s", got, want)
	}
}

// TestASystemWithoutRoomForWatchesIsBusy, or has none to offer.
func TestASystemWithoutRoomForWatchesIsBusy(t *testing.T) {
	for errno, want := range map[unix.Errno]Code{unix.ENOSPC: CodeBusy, unix.EMFILE: CodeBusy, unix.ENOENT: CodeUnsupported,
		unix.ENOSYS: CodeUnsupported, unix.EACCES: CodeForbidden} {
		if got, _ := codeOf(watchError(errno)); got != want {
			t.Errorf("%v: %v, want %v", errno, got, want)
		}
	}
}

// TestCloseAfterCloseSucceeds where something was watched. The second one is that of serve.
func TestCloseAfterCloseSucceeds(t *testing.T) {
	s := serve(t, Options{})
	s.dial2().watch("/")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
