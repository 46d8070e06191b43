package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/remofile2"
)

// mount mounts something on a directory until the end of the test, which is
// skipped where that is not permitted, unless with CI=true.
func mount(t *testing.T, source, dir, kind string, flags uintptr, options string) {
	t.Helper()
	err := syscall.Mount(source, dir, kind, flags, options)
	if (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES)) && os.Getenv("CI") != "true" {
		t.Skipf("skipped: no permission to mount: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestFullDiskEndsTheUpload: the client is told, and nothing of the file stays.
func TestFullDiskEndsTheUpload(t *testing.T) {
	jail := t.TempDir()
	mount(t, "none", jail, "tmpfs", 0, "size=64k")
	s := serve(t, Options{Jail: jail})
	s.write("old", "old content")
	before := tree(t, jail)
	c := s.dial()
	for _, name := range []string{"new", "old"} {
		r := c.upload("/", name, pattern(1<<20), 8192, true)
		if r.Type != protocol.Errored || r.Reason != protocol.UnknownError || r.Message != "less than 5 % of the disk would stay free" {
			t.Errorf("answer %s", describe(r))
		}
		c.want(protocol.BadRequest, protocol.Request{Type: protocol.CancelTransfer})
		if after := tree(t, jail); after != before {
			t.Errorf("the jail was\n%sand is\n%s", before, after)
		}
	}
	if r := c.upload("/", "old", []byte("it fits"), 512, true); r.Reason != protocol.TransferCompleted {
		t.Errorf("a small file: answer %s", describe(r))
	}
}

// TestTheLastOfTheDiskIsNotForUploads, whatever claims it.
func TestTheLastOfTheDiskIsNotForUploads(t *testing.T) {
	const disk, most = 20 << 20, 19 << 20
	jail := t.TempDir()
	mount(t, "none", jail, "tmpfs", 0, fmt.Sprint("size=", disk))
	s := serve(t, Options{Jail: jail})
	c := s.dial2()
	free := func() int64 { return c.want(remofile2.CodeDone, pathRequest(remofile2.OpSpace, "/")).Space.Available }
	set := func(h remofile2.Handle, size int64) remofile2.Request {
		return remofile2.Request{Operation: remofile2.OpSet, Handle: h, Changes: remofile2.Changes{Size: &size}}
	}
	allocate := func(length int64, flags remofile2.Flags) remofile2.Request {
		return remofile2.Request{Operation: remofile2.OpAllocate, Handle: 1, Length: length, Flags: flags}
	}
	c.burst(stageRequest(1, "/a", 0), stageRequest(2, "/b", 0))
	c.wantAll(
		changed{set(1, disk), remofile2.CodeNoSpace},
		changed{writeRequest(1, disk), remofile2.CodeNoSpace},
		changed{allocate(disk, 0), remofile2.CodeNoSpace},
		changed{allocate(disk, remofile2.AllocateKeepSize), remofile2.CodeNoSpace},
		changed{set(1, most/2+most/4), remofile2.CodeDone},
		changed{set(2, most/2), remofile2.CodeDone},
	)
	chunk := make([]byte, remofile2.MaxPayload)
	fill := func(h remofile2.Handle, size int64) (code remofile2.Code) {
		for offset := int64(0); offset < size && code == remofile2.CodeDone; offset += int64(len(chunk)) {
			code = c.do(writeRequest(h, offset), chunk...).Code
		}
		return code
	}
	if got := fill(1, most/2); got != remofile2.CodeDone {
		t.Errorf("the first file: %v", got)
	}
	if got := fill(2, most); got != remofile2.CodeNoSpace {
		t.Errorf("the second file: %v", got)
	}
	if left := free(); left < disk-most || left > disk-most+2*remofile2.MaxPayload {
		t.Errorf("%d bytes are free", left)
	}
	copied := remofile2.Request{Operation: remofile2.OpCopy, Handle: 1, ToHandle: 2, ToOffset: most / 2, Length: most / 2}
	c.want(remofile2.CodeNoSpace, copied)
	one := s.dial().upload("/", "one", make([]byte, 3<<20), 8192, false)
	if one.Type != protocol.Errored {
		t.Errorf("Remofile 1: %s", describe(one))
	}
	c.want(remofile2.CodeNoSpace, commitRequest(1, 0))
	c.burst(closeRequest(1), closeRequest(2))

	// Parts that nobody may resume make room.
	for _, path := range []string{"/old", "/new"} {
		c.want(remofile2.CodeDone, partRequest(1, path, "p", 0))
		if got := fill(1, 6<<20); got != remofile2.CodeDone {
			t.Errorf("a part: %v", got)
		}
		c.want(remofile2.CodeDone, closeRequest(1))
	}
	c.want(remofile2.CodeDone, stageRequest(1, "/f", 0))
	c.want(remofile2.CodeNoSpace, allocate(disk, 0))
	requireParts(t, jail, 3)
	if got := fill(1, 10<<20); got != remofile2.CodeDone {
		t.Errorf("the last file: %v", got)
	}
	requireParts(t, jail, 2)
	c.want(remofile2.CodeDone, closeRequest(1))
	s.uploads.removeBefore(time.Now())
}

// TestEachMountHasItsStaging: no rename crosses a mount.
func TestEachMountHasItsStaging(t *testing.T) {
	for name, source := range map[string]struct {
		kind  string
		flags uintptr
	}{"another file system": {kind: "tmpfs"}, "a bind mount": {flags: syscall.MS_BIND}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Options{})
			s.mkdir("a/mnt")
			s.mkdir("source/deep/er")
			top := filepath.Join(s.jail, "a/mnt")
			mount(t, filepath.Join(s.jail, "source"), top, source.kind, source.flags, "")
			s.mkdir("a/mnt/deep/er")
			c := s.dial()
			upload := uploadRequest("f")
			upload.Directory = "/a/mnt/deep/er"
			c.want(protocol.TransferAccepted, upload)
			if got := stagingsIn(t, top); len(got) != 1 || filepath.Dir(got[0]) != top {
				t.Errorf("staging directories: %q", got)
			}
			other := s.dial()
			for _, dir := range []string{"/a/mnt", "/source"} {
				if got := other.names(dir); got != "deep" {
					t.Errorf("the listing of %s holds %q", dir, got)
				}
			}
			other.want(protocol.TransferAccepted, uploadRequest("f"))
			content := pattern(kilo)
			c.want(protocol.ChunkReceived, chunkRequest(content[:512]))
			c.want(protocol.TransferCompleted, chunkRequest(content[512:]))
			if s.read("a/mnt/deep/er/f") != string(content) {
				t.Error("another content arrived")
			}
			requireNoStaging(t, top)
		})
	}
}

func TestLeftoversOnMountsAreSwept(t *testing.T) {
	jail := t.TempDir()
	dir := filepath.Join(jail, "with space")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	mount(t, "none", dir, "tmpfs", 0, "")
	leftover := filepath.Join(dir, stagingPrefix+strings.Repeat("A", stagingRandom))
	if err := os.Mkdir(leftover, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Jail: jail, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := os.Lstat(leftover); err == nil {
		t.Error("the leftover is still there")
	}
}
