package fs

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

func TestHandlesSeeEachOthersWrites(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "one "}})
	reader, writer := m.open("f", syscall.O_RDONLY), m.open("f", syscall.O_RDWR)
	m.write(writer, "two")
	m.jail.set("/f", "theirs")
	third := m.open("f", syscall.O_RDONLY) // does not lose the change
	for _, h := range []*wholeHandle{reader, third} {
		if got := m.read(h); got != "one two" {
			t.Errorf("it reads %q", got)
		}
	}
	m.close(reader, 0)
	m.wantServer("f", "theirs") // who only reads sends nothing
	m.close(writer, 0)
	m.wantServer("f", "one two")
}

func TestAFailedFlushStaysWithItsHandle(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "old"}})
	down := true
	m.jail.hook = func(op, p string) error {
		if down && op == "upload" {
			return fail(op, p, remote.Unreachable)
		}
		return nil
	}
	failing := m.open("f", syscall.O_WRONLY)
	other := m.open("f", syscall.O_WRONLY)
	m.write(failing, " new")
	m.flush(failing, syscall.EHOSTDOWN)
	down = false
	m.flush(failing, syscall.EHOSTDOWN)
	if errno := failing.node.Fsync(t.Context(), failing, 0); errno != syscall.EHOSTDOWN {
		t.Errorf("fsync after it: %v, want the error of the flush", errno)
	}
	if _, errno := failing.Write(t.Context(), []byte("x"), 0); errno != syscall.EHOSTDOWN {
		t.Errorf("write after it: %v, want the error of the flush", errno)
	}
	m.wantServer("f", "old")
	m.flush(other, 0)
	m.wantServer("f", "old new")
}

func TestWhatWasNotSavedIsGoneWithTheLastHandle(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "old"}})
	m.jail.hook = func(op, p string) error {
		if op == "upload" {
			return fail(op, p, remote.Unreachable)
		}
		return nil
	}
	changed, made := m.open("f", syscall.O_WRONLY), m.create("g", 0)
	m.write(changed, " new")
	m.close(changed, syscall.EHOSTDOWN)
	m.close(made, syscall.EHOSTDOWN)
	if got := m.read(m.open("f", syscall.O_RDONLY)); got != "old" {
		t.Errorf("it reads %q, want what the server has", got)
	}
	if _, errno := m.lookup("g"); errno != syscall.ENOENT {
		t.Errorf("look up of the file that was never made: %v", errno)
	}
}

func TestWritesAfterTheLastFlushAreSaved(t *testing.T) {
	m := newFakeMount(t, &fakeJail{})
	h := m.create("f", 0)
	m.flush(h, 0)
	m.write(h, "from a mapping")
	h.Release(t.Context())
	m.wantServer("f", "from a mapping")
}

// TestAnEmptiedFileKeepsItsContentUntilThereIsANewOne is what a shell's redirection
// does: O_TRUNC, the close of a duplicate, then a write.
func TestAnEmptiedFileKeepsItsContentUntilThereIsANewOne(t *testing.T) {
	j := &fakeJail{}
	m := newFakeMount(t, j)
	j.set("/f", "old")
	h := m.open("f", syscall.O_WRONLY|syscall.O_TRUNC)
	m.flush(h, 0)
	m.wantServer("f", "old")
	if got := m.read(m.open("f", syscall.O_RDONLY)); got != "" {
		t.Errorf("in this mount it reads %q, want nothing", got)
	}
	m.write(h, "new")
	m.close(h, 0)
	m.wantServer("f", "new")

	m.close(m.open("f", syscall.O_WRONLY|syscall.O_TRUNC), 0)
	m.wantServer("f", "")
}

// What the server gets is one state of the file, not a mixture of two.
func TestWritesWaitForTheUploadUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeMount(t, &fakeJail{})
		h := m.create("f", 0)
		m.write(h, "one")
		b := newBlock("upload")
		m.jail.hook = b.hook
		go m.flush(h, 0)
		<-b.reached

		ctx, interrupt := context.WithCancel(t.Context())
		interrupted := make(chan syscall.Errno, 1)
		go func() {
			_, errno := h.Write(ctx, []byte("never"), atEnd)
			interrupted <- errno
		}()
		go m.write(h, " two")
		synctest.Wait()
		interrupt()
		if errno := <-interrupted; errno != syscall.EINTR {
			t.Errorf("the interrupted write: %v, want EINTR", errno)
		}
		if got := m.read(h); got != "one" {
			t.Errorf("reads during the upload give %q, want %q", got, "one")
		}
		b.end <- nil
		synctest.Wait()
		m.wantServer("f", "one")
		m.jail.hook = nil
		m.flush(h, 0)
		m.wantServer("f", "one two")
	})
}

// The kernel's idea of the size is the one of the look-up before the open.
func TestAppendGoesToTheEndOfWhatTheOpenBrought(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "old"}})
	n, errno := m.lookup("f")
	if errno != 0 {
		t.Fatal(errno)
	}
	m.jail.set("/f", "longer")
	f, _, errno := n.Open(t.Context(), syscall.O_WRONLY|syscall.O_APPEND)
	if errno != 0 {
		t.Fatal(errno)
	}
	sent := &lastOffset{}
	for _, c := range []struct {
		flags, writeFlags uint32
		want              uint64
	}{
		{syscall.O_WRONLY, 0, 3},
		{syscall.O_WRONLY | syscall.O_APPEND, fuse.WRITE_CACHE, 3},
		{syscall.O_WRONLY | syscall.O_APPEND, 0, atEnd},
	} {
		in := &fuse.WriteIn{Offset: 3, Flags: c.flags, WriteFlags: c.writeFlags}
		appendAtEnd{sent}.Writev(nil, in, nil)
		if sent.offset != c.want {
			t.Errorf("flags %#x, write flags %#x: offset %d, want %d", c.flags, c.writeFlags, sent.offset, c.want)
		}
	}
	m.write(f.(*wholeHandle), " and more")
	m.close(f.(*wholeHandle), 0)
	m.wantServer("f", "longer and more")
}

// lastOffset is a file system that remembers the offset of a write.
type lastOffset struct {
	fuse.RawFileSystem
	offset uint64
}

func (l *lastOffset) Writev(_ <-chan struct{}, in *fuse.WriteIn, _ [][]byte) (uint32, fuse.Status) {
	l.offset = in.Offset
	return 0, fuse.OK
}
