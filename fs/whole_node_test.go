package fs

import (
	"context"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

func TestNewFileIsOnTheServerAfterTheFirstFlush(t *testing.T) {
	m := newFakeMount(t, &fakeJail{})
	h := m.create("f", 0)
	m.write(h, "text")
	m.wantNotOnServer("f")
	if got := m.list(); !slices.Equal(got, []string{"f"}) {
		t.Errorf("the directory shows %v, want the new file", got)
	}
	m.flush(h, 0)
	m.wantServer("f", "text")
	m.flush(h, 0)
	h.Release(t.Context())
	if n := m.jail.called("upload", "/f"); n != 1 {
		t.Errorf("%d uploads, want 1: nothing changed after the first", n)
	}
}

func TestExclusiveCreateDoesNotReplaceWhatAnotherMade(t *testing.T) {
	m := newFakeMount(t, &fakeJail{})
	for name, text := range map[string]string{"empty": "", "full": "mine"} {
		h := m.create(name, syscall.O_EXCL)
		m.write(h, text)
		m.jail.set("/"+name, "theirs")
		m.close(h, syscall.EEXIST)
		m.wantServer(name, "theirs")
		if got := m.read(m.open(name, syscall.O_RDONLY)); got != "theirs" {
			t.Errorf("%s reads %q, want the other client's", name, got)
		}
	}
}

func TestCreateReplacesWhatAnotherMade(t *testing.T) {
	m := newFakeMount(t, &fakeJail{})
	h := m.create("f", 0)
	m.write(h, "mine")
	m.jail.set("/f", "theirs")
	m.close(h, 0)
	m.wantServer("f", "mine")
}

// As touch does, of which the other client's file is the later one, and a shell's
// redirection before its program writes.
func TestCreateWithoutAWriteKeepsWhatAnotherMade(t *testing.T) {
	m := newFakeMount(t, &fakeJail{})
	h := m.create("f", 0)
	m.jail.set("/f", "theirs")
	m.flush(h, 0)
	m.wantServer("f", "theirs")
	m.write(h, "mine")
	m.close(h, 0)
	m.wantServer("f", "mine")

	m.jail.set("/g", "theirs")
	m.close(m.create("g", 0), 0)
	if got := m.read(m.open("g", syscall.O_RDONLY)); got != "theirs" {
		t.Errorf("it reads %q, want the other client's", got)
	}
}

func TestUnsavedAreTheOpenFilesWithChanges(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/changed": "old", "/read": "old", "/unlinked": "old"}})
	point := &MountPoint{root: m}
	handles := []*wholeHandle{
		m.open("changed", syscall.O_RDWR), m.open("changed", syscall.O_RDONLY),
		m.open("read", syscall.O_RDONLY), m.open("unlinked", syscall.O_RDWR), m.create("made", 0),
	}
	m.write(handles[0], "new")
	m.write(handles[3], "new")
	if errno := m.Unlink(t.Context(), "unlinked"); errno != 0 {
		t.Fatal(errno)
	}
	if got, want := point.Unsaved(), []string{"/changed", "/made"}; !slices.Equal(got, want) {
		t.Errorf("unsaved: %v, want %v", got, want)
	}
	m.flush(handles[0], 0)
	if got, want := point.Unsaved(), []string{"/made"}; !slices.Equal(got, want) {
		t.Errorf("after a flush: %v, want %v", got, want)
	}
	for _, h := range handles {
		m.close(h, 0)
	}
	if got := point.Unsaved(); len(got) > 0 || len(m.tree.open) > 0 {
		t.Errorf("after all was closed: %v unsaved, %d open", got, len(m.tree.open))
	}
}

func TestInvalidNamesAreRefusedAtOnce(t *testing.T) {
	m := newFakeMount(t, &fakeJail{})
	long := string(slices.Repeat([]byte("n"), 256))
	for name, want := range map[string]syscall.Errno{"a:b": syscall.EINVAL, `a"b`: syscall.EINVAL, "a?": syscall.EINVAL, long: syscall.ENAMETOOLONG} {
		if _, _, _, errno := m.Create(t.Context(), name, 0, 0, new(fuse.EntryOut)); errno != want {
			t.Errorf("create %.10s: %v, want %v", name, errno, want)
		}
		if _, errno := m.Mkdir(t.Context(), name, 0, new(fuse.EntryOut)); errno != want {
			t.Errorf("mkdir %.10s: %v, want %v", name, errno, want)
		}
	}
	m.jail.hook = func(op, p string) error {
		if op == "stat" {
			return fail(op, p, remote.InvalidName)
		}
		return nil
	}
	if _, errno := m.lookup("a:b"); errno != syscall.ENOENT {
		t.Errorf("look up: %v, want ENOENT", errno)
	}
}

func TestOpenReadsWhatAnotherClientHasClosed(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "old"}})
	first := m.open("f", syscall.O_RDONLY)
	m.jail.set("/f", "newer")
	if got := m.read(first); got != "old" {
		t.Errorf("the open handle reads %q, want what it had opened", got)
	}
	if got := m.read(m.open("f", syscall.O_RDONLY)); got != "newer" {
		t.Errorf("a second open reads %q, want the new content", got)
	}
	if got := m.read(first); got != "newer" {
		t.Errorf("the first handle then reads %q, want what all handles share", got)
	}
}

func TestOpenOfAnUnchangedFileIsNotDownloadedTwice(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "text"}})
	m.open("f", syscall.O_RDONLY)
	m.open("f", syscall.O_RDWR)
	if n := m.jail.called("download", "/f"); n != 1 {
		t.Errorf("%d downloads, want 1", n)
	}
}

func TestTruncatingOpenDownloadsNothing(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "text"}})
	h := m.open("f", syscall.O_WRONLY|syscall.O_TRUNC)
	m.wantServer("f", "text")
	m.close(h, 0)
	m.wantServer("f", "")
	if n := m.jail.called("download", "/f"); n != 0 {
		t.Errorf("%d downloads, want none", n)
	}
}

func TestUnlinkWaitsForTheUploadUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeMount(t, &fakeJail{})
		h := m.create("f", 0)
		m.write(h, "text")
		b := newBlock("upload")
		m.jail.hook = b.hook
		go m.flush(h, 0)
		<-b.reached
		go func() {
			if errno := m.Unlink(t.Context(), "f"); errno != 0 {
				t.Errorf("unlink: %v", errno)
			}
		}()
		synctest.Wait()
		b.end <- nil
		synctest.Wait()
		m.wantNotOnServer("f")
	})
}

func TestUnlinkedFileIsNotUploaded(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/stored": "old"}})
	made, stored := m.create("made", 0), m.open("stored", syscall.O_RDWR)
	for name, h := range map[string]*wholeHandle{"made": made, "stored": stored} {
		if errno := m.Unlink(t.Context(), name); errno != 0 {
			t.Errorf("unlink %s: %v", name, errno)
		}
		m.RmChild(name)
		m.write(h, "new")
		if _, errno := m.lookup(name); errno != syscall.ENOENT {
			t.Errorf("look up %s: %v, want ENOENT", name, errno)
		}
		var out fuse.AttrOut
		if errno := h.node.Getattr(t.Context(), h, &out); errno != 0 || out.Nlink != 0 {
			t.Errorf("fstat of %s: %v, %d links, want none", name, errno, out.Nlink)
		}
	}
	if got := m.read(stored); got != "oldnew" {
		t.Errorf("the open handle reads %q", got)
	}
	m.close(made, 0)
	m.close(stored, 0)
	m.wantNotOnServer("made")
	m.wantNotOnServer("stored")
	if n := m.jail.called("remove", "/made"); n != 0 {
		t.Error("the server was asked to remove a file that it never had")
	}
}

func TestDirectoryWithAnUnsavedFileIsNotEmpty(t *testing.T) {
	m := newFakeMount(t, &fakeJail{})
	inode, errno := m.Mkdir(t.Context(), "d", 0o777, new(fuse.EntryOut))
	if errno != 0 {
		t.Fatal(errno)
	}
	d := &fakeMount{wholeNode: inode.Operations().(*wholeNode), t: t, jail: m.jail}
	d.create("f", 0)
	if errno := m.Rmdir(t.Context(), "d"); errno != syscall.ENOTEMPTY {
		t.Errorf("rmdir: %v, want ENOTEMPTY", errno)
	}
}

func TestForeignServer(t *testing.T) {
	open := func(m *fakeMount, flags uint32) syscall.Errno {
		n, errno := m.lookup("stored")
		if errno == 0 {
			_, _, errno = n.Open(t.Context(), flags)
		}
		return errno
	}
	newMount := func() *fakeMount {
		return newFakeMount(t, &fakeJail{foreign: true, files: map[string]string{"/stored": "old"}})
	}

	t.Run("a stored file can be read but not written", func(t *testing.T) {
		m := newMount()
		if errno := open(m, syscall.O_RDONLY); errno != 0 {
			t.Errorf("open for reading: %v", errno)
		}
		for _, flags := range []uint32{syscall.O_WRONLY, syscall.O_RDWR, syscall.O_WRONLY | syscall.O_TRUNC} {
			if errno := open(m, flags); errno != syscall.EOPNOTSUPP {
				t.Errorf("open with flags %#x: %v, want EOPNOTSUPP", flags, errno)
			}
		}
	})
	t.Run("the flush before the first write of a shell's redirection uploads nothing", func(t *testing.T) {
		m := newMount()
		h := m.create("f", 0)
		m.flush(h, 0)
		m.wantNotOnServer("f")
		m.write(h, "text")
		m.close(h, 0)
		m.wantServer("f", "text")
	})
	t.Run("an empty file is made at the end", func(t *testing.T) {
		m := newMount()
		m.close(m.create("f", 0), 0)
		m.wantServer("f", "")
	})
	t.Run("a change after the first upload is refused", func(t *testing.T) {
		m := newMount()
		h := m.create("f", 0)
		m.write(h, "one")
		m.flush(h, 0)
		m.write(h, "two")
		m.flush(h, syscall.EOPNOTSUPP)
		m.wantServer("f", "one")
	})
}

func TestInterruptedOperationsAreEINTR(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "text"}})
	n, errno := m.lookup("f")
	if errno != 0 {
		t.Fatal(errno)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	m.listing.entries = nil
	if _, errno := m.Lookup(ctx, "f", new(fuse.EntryOut)); errno != syscall.EINTR {
		t.Errorf("lookup: %v", errno)
	}
	if _, errno := m.Readdir(ctx); errno != syscall.EINTR {
		t.Errorf("readdir: %v", errno)
	}
	if _, _, errno := n.Open(ctx, syscall.O_RDONLY); errno != syscall.EINTR {
		t.Errorf("open: %v", errno)
	}
	// Changes are not: whether they were made would not be known.
	if _, errno := m.Mkdir(ctx, "d", 0o777, new(fuse.EntryOut)); errno != 0 {
		t.Errorf("mkdir: %v", errno)
	}
	h := m.create("g", 0)
	if errno := h.Flush(ctx); errno != 0 {
		t.Errorf("flush: %v", errno)
	}
}
