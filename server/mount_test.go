package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/remofile/remofile/protocol"
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
		if r.Type != protocol.Errored || r.Reason != protocol.UnknownError || r.Message != "no space left on device" {
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
