package server

import (
	"bytes"
	"crypto/sha256"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// TestOpenReadCloseLeaveTogether: a small file costs one round trip, in either direction.
func TestOpenReadCloseLeaveTogether(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "content")
	c := s.dial2()
	for range 100 {
		got := c.burst(openRequest(1, "/f", OpenRead), readRequest(1, 0, 100), closeRequest(1),
			openRequest(1, "/missing", OpenRead), readRequest(1, 0, 100), closeRequest(1))
		if string(got[1].payload) != "content" || got[0].Attr.Size != 7 || got[2].Code != CodeDone {
			t.Fatalf("answers %v", got)
		}
		if got[3].Code != CodeNotFound || got[4].Code != CodeBadHandle {
			t.Fatalf("answers for a file that is missing: %v %v", got[3].Code, got[4].Code)
		}
	}
	if n := s.handles.Load(); n != 0 {
		t.Errorf("%d handles are open at the end", n)
	}
}

// TestRequestsOnAHandleKeepTheirOrder sends writes over each other in one burst.
func TestRequestsOnAHandleKeepTheirOrder(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	c.send(openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
	for i := range 100 {
		c.send(writeRequest(1, 0), bytes.Repeat([]byte{byte(i)}, 5000)...)
	}
	last := c.send(readRequest(1, 0, 1))
	c.send(closeRequest(1))
	all := c.receiveAll()
	for id, r := range all {
		if r.Code != CodeDone {
			t.Errorf("request %d: %v %s", id, r.Code, r.Message)
		}
	}
	if got := all[last].payload; !bytes.Equal(got, []byte{99}) {
		t.Errorf("read %v at the end", got)
	}
}

// TestRequestsOnDifferentHandlesDoNotWait has a digest under way that takes long: of a hole
// of 1 TiB.
func TestRequestsOnDifferentHandlesDoNotWait(t *testing.T) {
	s := serve(t, Options{})
	s.write("slow", "")
	s.write("fast", "x")
	if err := os.Truncate(filepath.Join(s.jail, "slow"), 1<<40); err != nil {
		t.Fatal(err)
	}
	c := s.dial2()
	c.burst(openRequest(1, "/slow", OpenRead), openRequest(2, "/fast", OpenRead))
	slow := c.send(Request{Operation: OpDigest, Handle: 1, Length: 1 << 40, Block: 1 << 40})
	if got := c.receiveOnly(c.send(readRequest(2, 0, 1))); string(got.payload) != "x" {
		t.Errorf("answer %v", got)
	}
	if got := c.cancel(slow)[slow].Code; got != CodeCancelled {
		t.Errorf("the cancelled digest: %v", got)
	}
}

// receiveOnly returns the next answer, which must be that to the request of this id.
func (c *client2) receiveOnly(id uint64) reply {
	c.t.Helper()
	r := c.receive()
	if r.ID != id {
		c.t.Fatalf("an answer to request %d, want one to %d", r.ID, id)
	}
	return r
}

func TestOpenOpensRegularFilesOnly(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("dir")
	s.write("f", "0123456789")
	s.link("f", "link")
	s.link("gone", "dangling")
	s.link("../outside", "out")
	s.link("loop", "loop")
	if err := syscall.Mkfifo(filepath.Join(s.jail, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	c := s.dial2()
	for _, test := range []struct {
		path  string
		flags Flags
		want  Code
	}{
		{"/f", 0, CodeBadRequest},
		{"/f", OpenFollow, CodeBadRequest},
		{"/f", OpenRead | OpenTruncate, CodeBadRequest},
		{"/f", OpenRead | OpenExclusive, CodeBadRequest},
		{"/f", OpenRead, CodeDone},
		{"/f", OpenRead | OpenWrite, CodeDone},
		{"/f", OpenWrite | OpenCreate, CodeDone},
		{"/f", OpenWrite | OpenCreate | OpenExclusive, CodeExists},
		{"/link", OpenRead, CodeNotAFile},
		{"/link", OpenRead | OpenFollow, CodeDone},
		{"/link", OpenWrite | OpenCreate, CodeNotAFile},
		{"/link", OpenWrite | OpenCreate | OpenExclusive | OpenFollow, CodeExists},
		{"/dangling", OpenRead | OpenFollow, CodeNotFound},
		{"/dangling", OpenWrite | OpenCreate | OpenExclusive | OpenFollow, CodeExists},
		{"/out", OpenRead | OpenFollow, CodeForbidden},
		{"/loop", OpenRead | OpenFollow, CodeLoop},
		{"/dir", OpenRead, CodeNotAFile},
		{"/", OpenRead, CodeNotAFile},
		{"/", OpenWrite | OpenCreate, CodeNotAFile},
		{"/pipe", OpenRead, CodeNotAFile},
		{"/pipe", OpenWrite, CodeNotAFile},
		{"/pipe", OpenWrite | OpenCreate | OpenTruncate, CodeNotAFile},
		{"/missing", OpenWrite, CodeNotFound},
		{"/missing/f", OpenWrite | OpenCreate, CodeNotFound},
		{"/f/f", OpenWrite | OpenCreate, CodeNotADirectory},
		{"/new", OpenRead | OpenCreate | OpenExclusive, CodeDone},
		{"/new2", OpenWrite | OpenCreate | OpenTruncate, CodeDone},
	} {
		if got := c.do(openRequest(1, test.path, test.flags)); got.Code != test.want {
			t.Errorf("%s with flags %b: %v %s, want %v", test.path, test.flags, got.Code, got.Message, test.want)
		} else if got.Code == CodeDone {
			c.want(CodeBadHandle, openRequest(1, "/f", OpenRead))
			c.want(CodeDone, closeRequest(1))
		}
		c.want(CodeBadHandle, closeRequest(1))
	}
	c.want(CodeDone, openRequest(1, "/f", OpenWrite|OpenTruncate))
	if got := s.read("f"); got != "" {
		t.Errorf("after TRUNCATE the file holds %q", got)
	}
}

func TestReadsAndWrites(t *testing.T) {
	s := serve(t, Options{})
	s.write("ro", "0123456789")
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
	content := pattern(3*MaxPayload - 17)
	for at := 0; at < len(content); at += MaxPayload {
		c.want(CodeDone, writeRequest(1, int64(at)), content[at:min(at+MaxPayload, len(content))]...)
	}
	if s.read("f") != string(content) {
		t.Error("another content is in the file")
	}
	var got []byte
	for at := int64(0); ; at += MaxPayload {
		r := c.want(CodeDone, readRequest(1, at, MaxPayload))
		if got = append(got, r.payload...); len(r.payload) < MaxPayload {
			break
		}
	}
	if !bytes.Equal(got, content) {
		t.Error("another content was read")
	}
	for _, at := range []int64{int64(len(content)), 1 << 50, math.MaxInt64} {
		if r := c.want(CodeDone, readRequest(1, at, 0)); len(r.payload) != 0 {
			t.Errorf("%d bytes at %d", len(r.payload), at)
		}
	}
	c.want(CodeBadRequest, readRequest(1, 0, MaxPayload+1))
	c.want(CodeBadRequest, writeRequest(1, 0), make([]byte, MaxPayload+1)...)
	c.want(CodeBadRequest, writeRequest(1, math.MaxInt64), 1)
	c.want(CodeBadHandle, writeRequest(2, 0), 1)
	c.want(CodeDone, openRequest(2, "/ro", OpenRead))
	c.want(CodeBadHandle, writeRequest(2, 0), 1)
	c.want(CodeBadHandle, Request{Operation: OpAppend, Handle: 2}, 1)
	c.want(CodeBadHandle, Request{Operation: OpSet, Handle: 2, Changes: Changes{Size: new(int64(1))}})
	c.want(CodeDone, openRequest(3, "/ro", OpenWrite))
	c.want(CodeBadHandle, readRequest(3, 0, 1))
	if got := s.read("ro"); got != "0123456789" {
		t.Errorf("the other file holds %q", got)
	}
}

// TestAppendsOfManyDoNotMeet: each append is whole, and its offset is where it is.
func TestAppendsOfManyDoNotMeet(t *testing.T) {
	s := serve(t, Options{})
	var clients []*client2
	for range 4 {
		c := s.dial2()
		c.want(CodeDone, openRequest(1, "/log", OpenWrite|OpenCreate))
		clients = append(clients, c)
	}
	for i, c := range clients {
		for n := range 30 {
			c.send(Request{Operation: OpAppend, Handle: 1}, bytes.Repeat([]byte{byte(i)}, 10*(n+1))...)
		}
	}
	var ends []int64
	offsets := make(map[int64]byte)
	for i, c := range clients {
		for _, r := range c.receiveAll() {
			if r.Code != CodeDone {
				t.Fatalf("answer %v %s", r.Code, r.Message)
			}
			offsets[r.Offset] = byte(i)
		}
		empty := c.want(CodeDone, Request{Operation: OpAppend, Handle: 1})
		ends = append(ends, empty.Offset)
	}
	content := s.read("log")
	if len(offsets) != 120 || slices.Max(ends) != int64(len(content)) || len(content) != 4*10*30*31/2 {
		t.Fatalf("%d offsets, the end %v of %d bytes", len(offsets), ends, len(content))
	}
	for at, i := range offsets {
		if content[at] != i || at > 0 && offsetsInside(content, at, offsets) {
			t.Errorf("at %d there is %d, want %d", at, content[at], i)
		}
	}
}

// offsetsInside reports whether an append begins amidst bytes of its own client that no other
// append began.
func offsetsInside(content string, at int64, offsets map[int64]byte) bool {
	_, begins := offsets[at]
	return !begins && content[at-1] == content[at]
}

func TestSyncOfFilesAndDirectories(t *testing.T) {
	s := serve(t, Options{})
	s.mkdir("dir")
	s.write("f", "x")
	s.link("f", "link")
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite))
	c.want(CodeDone, Request{Operation: OpSync, Handle: 1})
	c.want(CodeDone, Request{Operation: OpSync, Handle: 1, Flags: SyncData})
	for path, want := range map[string]Code{"/dir": CodeDone, "/": CodeDone, "/f": CodeDone, "/link": CodeUnsupported, "/none": CodeNotFound} {
		c.want(want, Request{Operation: OpSync, Path: path})
	}
	c.want(CodeBadHandle, Request{Operation: OpSync, Handle: 2})
}

// TestAFailedSyncStaysFailed: the system tells it once, the handle for good.
func TestAFailedSyncStaysFailed(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := &handle{file: f, syncErr: unix.EIO}
	for range 2 {
		if err := h.sync(true); err != unix.EIO {
			t.Errorf("error %v", err)
		}
	}
}

func TestSeekFindsDataAndHoles(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
	c.want(CodeDone, writeRequest(1, 1<<20), make([]byte, 4096)...)
	c.want(CodeDone, Request{Operation: OpSet, Handle: 1, Changes: Changes{Size: new(int64(4 << 20))}})
	for _, test := range []struct {
		from  int64
		flags Flags
		want  int64
	}{{0, 0, 1 << 20}, {0, SeekHole, 0}, {1 << 20, SeekHole, 1<<20 + 4096}, {1<<20 + 5, 0, 1<<20 + 5}} {
		if got := c.want(CodeDone, Request{Operation: OpSeek, Handle: 1, Offset: test.from, Flags: test.flags}); got.Offset != test.want {
			t.Errorf("from %d with flags %d: %d, want %d", test.from, test.flags, got.Offset, test.want)
		}
	}
	for _, from := range []int64{2 << 20, 4 << 20, math.MaxInt64} {
		c.want(CodeNoData, Request{Operation: OpSeek, Handle: 1, Offset: from})
	}
}

func TestAllocate(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
	c.want(CodeDone, writeRequest(1, 0), pattern(16384)...)
	for _, test := range []struct {
		flags          Flags
		offset, length int64
		want           Code
		size           int64
	}{
		{0, 0, 0, CodeBadRequest, 16384},
		{AllocatePunch | AllocateZero, 0, 1, CodeBadRequest, 16384},
		{0, 8192, 16384, CodeDone, 24576},
		{AllocateKeepSize, 0, 1 << 20, CodeDone, 24576},
		{AllocatePunch, 4096, 4096, CodeDone, 24576},
		{AllocatePunch | AllocateKeepSize, 8192, 100, CodeDone, 24576},
		{AllocateZero | AllocateKeepSize, 12288, 1 << 20, CodeDone, 24576},
		{AllocateZero, 12288, 1 << 20, CodeDone, 12288 + 1<<20},
	} {
		r := c.do(Request{Operation: OpAllocate, Handle: 1, Offset: test.offset, Length: test.length, Flags: test.flags})
		if r.Code == CodeUnsupported {
			continue // by the file system of the temporary directory
		}
		if attr := c.want(CodeDone, Request{Operation: OpStat, Handle: 1}).Attr; r.Code != test.want || attr.Size != test.size {
			t.Errorf("%+v: %v, %d bytes", test, r.Code, attr.Size)
		}
	}
	if got := c.want(CodeDone, readRequest(1, 4096, 4096)).payload; !bytes.Equal(got, make([]byte, 4096)) {
		t.Error("what was punched is not zero")
	}
}

func TestCopyWithinTheServer(t *testing.T) {
	s := serve(t, Options{})
	content := pattern(10 << 20)
	s.write("from", string(content))
	c := s.dial2()
	c.burst(openRequest(1, "/from", OpenRead), openRequest(2, "/to", OpenRead|OpenWrite|OpenCreate), openRequest(3, "/from", OpenRead|OpenWrite))
	copies := func(from, to Handle, offset, toOffset, length int64) Request {
		return Request{Operation: OpCopy, Handle: from, ToHandle: to, Offset: offset, ToOffset: toOffset, Length: length}
	}
	if got := c.want(CodeDone, copies(1, 2, 100, 7, math.MaxInt64-1000)); got.Length != 10<<20-100 {
		t.Errorf("%d bytes were copied", got.Length)
	}
	if got := s.read("to")[7:]; got != string(content[100:]) {
		t.Error("another content was copied")
	}
	if got := c.want(CodeDone, copies(1, 2, 20<<20, 0, 1)); got.Length != 0 {
		t.Errorf("%d bytes behind the end were copied", got.Length)
	}
	c.want(CodeBadRequest, copies(3, 3, 0, 100, 200))
	c.want(CodeBadRequest, copies(1, 3, 100, 0, 200))
	c.want(CodeDone, copies(3, 3, 0, 10<<20, 1000))
	if got := s.read("from"); got[10<<20:] != string(content[:1000]) {
		t.Error("another content was copied within a file")
	}
	c.want(CodeBadHandle, copies(1, 9, 0, 0, 1))
	c.want(CodeBadHandle, copies(9, 1, 0, 0, 1))
	c.want(CodeBadHandle, copies(2, 1, 0, 0, 1))
	c.want(CodeDone, closeRequest(1)) // nothing waits for the one that was refused
}

func TestDigests(t *testing.T) {
	s := serve(t, Options{})
	content := pattern(1<<20 + 17)
	s.write("f", string(content))
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead))
	digests := func(offset, length, block int64) Request {
		return Request{Operation: OpDigest, Handle: 1, Offset: offset, Length: length, Block: block}
	}
	var want []byte
	for at := 5; at < len(content); at += 100_000 {
		sum := sha256.Sum256(content[at:min(at+100_000, len(content))])
		want = append(want, sum[:]...)
	}
	if got := c.want(CodeDone, digests(5, 3<<20, 100_000)).payload; !bytes.Equal(got, want) {
		t.Error("other digests")
	}
	if got := c.want(CodeDone, digests(5, math.MaxInt64-5, math.MaxInt64)).payload; len(got) != 32 {
		t.Errorf("%d bytes for one block", len(got))
	}
	for _, r := range []Request{digests(0, 0, 1), digests(2<<20, 1000, 10)} {
		if got := c.want(CodeDone, r).payload; len(got) != 0 {
			t.Errorf("%d bytes for nothing", len(got))
		}
	}
	c.want(CodeBadRequest, digests(0, math.MaxInt64, 1))
	c.want(CodeBadRequest, digests(0, 1<<20, 0))
}
