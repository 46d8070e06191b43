package server

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/remofile/remofile/protocol"
	. "github.com/remofile/remofile/protocol/remofile2"
)

// faultCodes are the faults of a storage, and what clients are told of them.
var faultCodes = []struct {
	errno syscall.Errno
	code  Code
}{
	{syscall.ENOSPC, CodeNoSpace},
	{syscall.EDQUOT, CodeQuota},
	{syscall.EIO, CodeInputOutput},
}

// uploadFaults are the calls of an upload of three writes.
var uploadFaults = []struct {
	name, call string
	skip       int
	replacing  bool // only then
	only2      bool // in Remofile 2
}{
	{name: "making the hidden directory", call: "mkdir"},
	{name: "making the part", call: "create"},
	{name: "the first write", call: "write"},
	{name: "the second write", call: "write", skip: 1},
	{name: "the last write", call: "write", skip: 2},
	{name: "taking over the mode", call: "setattr", replacing: true},
	{name: "closing the part", call: "flush"},
	{name: "setting the time", call: "setattr", skip: 1, replacing: true, only2: true},
	{name: "putting it on stable storage", call: "fsync", only2: true},
	{name: "giving it its name", call: "rename"},
}

// newContent has three writes of 512 bytes.
var newContent = pattern(3 * 512)

const oldContent = "old content"

// storageUpload uploads in Remofile 2, on stable storage, and returns the first answer that
// is no success, or the last.
func (c *client2) storageUpload(name string) (last reply) {
	c.t.Helper()
	last = c.do(stageRequest(1, "/"+name, StageReplace))
	if last.Code != CodeDone {
		return last
	}
	defer c.want(CodeDone, closeRequest(1))
	for at := 0; at < len(newContent); at += 512 {
		if last = c.do(writeRequest(1, int64(at)), newContent[at:at+512]...); last.Code != CodeDone {
			return last
		}
	}
	commit := commitRequest(1, CommitSync)
	modified := Time(1e18)
	commit.Changes.Modified = &modified
	return c.do(commit)
}

// TestStorageFailsUploads has each call of an upload fail once, in both protocols: the
// client is told what it was, the old content stays, nothing else does, and the same
// upload succeeds afterwards.
func TestStorageFailsUploads(t *testing.T) {
	storage := mountStorage(t)
	s := serve(t, Options{Jail: storage.jail})
	first, second := s.dial(), s.dial2()
	for _, fault := range uploadFaults {
		for _, f := range faultCodes {
			for _, old := range []string{"", oldContent} {
				if fault.replacing && old == "" {
					continue
				}
				name := fmt.Sprintf("%s, %v, replacing %v", fault.name, f.errno, old != "")
				t.Run("Remofile 2/"+name, func(t *testing.T) {
					storage.begin(t, old)
					storage.fail(fault.call, fault.skip, f.errno)
					if got := second.storageUpload("file"); got.Code != f.code {
						t.Errorf("answer %v, want %v", got.Code, f.code)
					}
					storage.end(old)
					if got := second.storageUpload("file"); got.Code != CodeDone {
						t.Errorf("without the fault: answer %v", got.Code)
					}
					storage.holds("file", string(newContent))
				})
				if fault.only2 {
					continue
				}
				t.Run("Remofile 1/"+name, func(t *testing.T) {
					storage.begin(t, old)
					storage.fail(fault.call, fault.skip, f.errno)
					r := first.upload("/", "file", newContent, 512, true)
					if r.Reason != protocol.UnknownError || r.Message != f.errno.Error() {
						t.Errorf("answer %s, want %q", describe(r), f.errno)
					}
					storage.end(old)
					if r := first.upload("/", "file", newContent, 512, true); r.Reason != protocol.TransferCompleted {
						t.Errorf("without the fault: answer %s", describe(r))
					}
					storage.holds("file", string(newContent))
				})
			}
		}
	}
}

// begin makes the file in the jail what it was before; "" is none.
func (s *storage) begin(t *testing.T, old string) {
	t.Helper()
	s.t = t
	path := filepath.Join(s.backing, "file")
	os.Remove(path)
	if old == "" {
		return
	}
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
}

// end requires that the fault was met, and the old content.
func (s *storage) end(old string) {
	s.t.Helper()
	if !s.met() {
		s.t.Error("there was no such call")
	}
	s.release()
	s.holds("file", old)
}

// TestStorageFailsOperations has the call of each operation fail once. It has changed
// nothing then, and succeeds afterwards.
func TestStorageFailsOperations(t *testing.T) {
	storage := mountStorage(t)
	s := serve(t, Options{Jail: storage.jail})
	s.write("file", string(newContent))
	s.write("other", "other")
	s.mkdir("dir")
	c := s.dial2()
	const file, other = 1, 2
	c.want(CodeDone, openRequest(file, "/file", OpenRead|OpenWrite))
	c.want(CodeDone, openRequest(other, "/other", OpenRead|OpenWrite))
	mode := uint16(0o600)
	for _, op := range []struct {
		call    string
		request Request
	}{
		{"mkdir", pathRequest(OpMkdir, "/made")},
		{"symlink", Request{Operation: OpSymlink, Path: "/symlink", Target: "file"}},
		{"link", Request{Operation: OpLink, Path: "/file", ToPath: "/linked"}},
		{"rename", renameRequest("/linked", "/renamed", 0)},
		{"rename", renameRequest("/renamed", "/again", RenameKeep)},
		{"unlink", removeRequest("/again", RemoveAny)},
		{"rmdir", removeRequest("/made", RemoveDirectory)},
		{"rmdir", removeRequest("/dir", RemoveRecursive)},
		{"create", openRequest(3, "/created", OpenWrite|OpenCreate)},
		{"open", openRequest(4, "/file", OpenRead)},
		{"setattr", Request{Operation: OpSet, Path: "/file", Changes: Changes{Mode: &mode}}},
		{"setattr", Request{Operation: OpSet, Handle: other, Changes: Changes{Size: new(int64(1))}}},
		{"write", Request{Operation: OpWrite, Handle: file}},
		{"write", Request{Operation: OpAppend, Handle: other}},
		{"fallocate", Request{Operation: OpAllocate, Handle: file, Length: 1 << 16}},
		{"read", readRequest(file, 0, 512)},
		{"read", Request{Operation: OpDigest, Handle: file, Length: 512, Block: 512}},
		{"fsyncdir", Request{Operation: OpSync, Path: "/"}},
	} {
		for _, f := range faultCodes {
			before := tree(t, storage.backing)
			storage.fail(op.call, 0, f.errno)
			if got := c.do(op.request, newContent...); got.Code != f.code {
				t.Errorf("%v, %v: answer %v, want %v", op.request.Operation, f.errno, got.Code, f.code)
			}
			if !storage.met() {
				t.Fatalf("%v: there was no %s", op.request.Operation, op.call)
			}
			if after := tree(t, storage.backing); after != before {
				t.Errorf("%v, %v: the jail was\n%sand is\n%s", op.request.Operation, f.errno, before, after)
			}
		}
		c.want(CodeDone, op.request, newContent...)
	}
}

// TestStorageFailsSyncs: the system tells a failed sync once, the server as long as the
// handle is open. A staged file can't be committed then.
func TestStorageFailsSyncs(t *testing.T) {
	storage := mountStorage(t)
	s := serve(t, Options{Jail: storage.jail})
	s.write("file", oldContent)
	c := s.dial2()
	for _, f := range faultCodes {
		c.want(CodeDone, openRequest(1, "/file", OpenWrite))
		c.want(CodeDone, openRequest(2, "/file", OpenWrite))
		storage.fail("fsync", 0, f.errno)
		for _, flags := range []Flags{0, 0, SyncData} {
			c.want(f.code, Request{Operation: OpSync, Handle: 1, Flags: flags})
		}
		c.want(CodeDone, Request{Operation: OpSync, Handle: 2})
		c.want(CodeDone, closeRequest(1))
		c.want(CodeDone, closeRequest(2))

		c.want(CodeDone, stageRequest(1, "/file", StageReplace))
		c.want(CodeDone, writeRequest(1, 0), newContent...)
		storage.fail("fsync", 0, f.errno)
		c.want(f.code, commitRequest(1, CommitSync))
		c.want(f.code, commitRequest(1, CommitSync))
		c.want(CodeDone, closeRequest(1))
		storage.holds("file", oldContent)

		// The entry of the directory comes after the file is visible: it is whole.
		storage.fail("fsyncdir", 0, f.errno)
		if got := c.storageUpload("file"); got.Code != f.code {
			t.Errorf("answer %v, want %v", got.Code, f.code)
		}
		storage.holds("file", string(newContent))
		storage.begin(t, oldContent)
	}
}

// TestStorageKeepsItsRubbish has the removal of what is left of an upload fail. The client
// has nothing to do with that, nobody sees it, and the next server removes it.
func TestStorageKeepsItsRubbish(t *testing.T) {
	storage := mountStorage(t)
	for _, call := range []string{"unlink", "rmdir"} {
		s := serve(t, Options{Jail: storage.jail})
		c := s.dial2()
		c.want(CodeDone, stageRequest(1, "/file", 0))
		c.want(CodeDone, writeRequest(1, 0), newContent...)
		storage.fail(call, 0, syscall.EIO)
		c.want(CodeDone, closeRequest(1))
		if !storage.met() || len(stagingsIn(t, storage.backing)) != 1 {
			t.Errorf("%s: nothing is left: the test tests nothing", call)
		}
		if got := c.names("/", MaxPage); len(got) > 0 {
			t.Errorf("%s: the listing holds %q", call, got)
		}
		if got := c.storageUpload("file"); got.Code != CodeDone {
			t.Errorf("%s: the next upload: answer %v", call, got.Code)
		}
		if left := stagingsIn(t, storage.backing); call == "rmdir" && len(left) > 0 {
			t.Errorf("the next upload has left %q", left)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		next, err := New(Options{Jail: storage.jail, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		next.Close()
		storage.holds("file", string(newContent))
		storage.begin(t, "")
	}
}

// TestStorageLosesNoPart: a part that can't be opened for the moment can be resumed later.
func TestStorageLosesNoPart(t *testing.T) {
	storage := mountStorage(t)
	s := serve(t, Options{Jail: storage.jail})
	c := s.dial2()
	c.leave("/file", "part", oldContent)
	for _, f := range faultCodes {
		storage.fail("open", 0, f.errno)
		c.want(f.code, partRequest(1, "/file", "part", StageResume))
		if got := s.uploads.total(); got != int64(len(oldContent)) {
			t.Errorf("%d bytes are staged", got)
		}
	}
	c.wantPart("/file", "part", oldContent)
	c.want(CodeDone, partRequest(1, "/file", "part", StageResume))
	c.want(CodeDone, commitRequest(1, 0))
	storage.holds("file", oldContent)
	if got := s.uploads.total(); got != 0 {
		t.Errorf("%d bytes are staged at the end", got)
	}
}
