package remote

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
)

// writeCounter is a client's end of a link that counts what leaves at once.
type writeCounter struct {
	net.Conn
	writes *atomic.Int32
}

func (w writeCounter) Write(p []byte) (int, error) {
	w.writes.Add(1)
	return w.Conn.Write(p)
}

// lingerer returns a fake with a file, and a client of it whose writes to the link are counted.
func lingerer(t *testing.T) (*fake2, *Client, *atomic.Int32) {
	f := newFake2()
	f.files["/f"] = "content"
	writes := new(atomic.Int32)
	f.shape = func(_ int, nc net.Conn) (net.Conn, error) { return writeCounter{nc, writes}, nil }
	return f, f.client(t, Options{}), writes
}

// TestSmallRequestsLeaveTogether: a little that is written, and the end of a file, leave with what is asked next.
func TestSmallRequestsLeaveTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, writes := lingerer(t)
		file, err := c.OpenFile(t.Context(), "/f", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		writes.Store(0)
		file.WriteAt([]byte("new"), 0)
		if err := file.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := writes.Load(); n != 1 {
			t.Errorf("WRITE left in %d pieces, want 1", n)
		}
		writes.Store(0)
		if err := file.Release(func(err error) { t.Error(err) }); err != nil {
			t.Fatal(err)
		}
		c.Lstat(t.Context(), "/f")
		if n := writes.Load(); n != 1 || f.asked(remofile2.OpClose) != 1 {
			t.Errorf("CLOSE and STAT left in %d pieces, want 1", n)
		}
	})
}

// TestSmallRequestsLeaveAlone, a moment later, where nothing else is asked, and at once where there are many.
func TestSmallRequestsLeaveAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, _ := lingerer(t)
		file, err := c.OpenFile(t.Context(), "/f", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		file.WriteAt([]byte("new"), 0)
		time.Sleep(lingerTime)
		synctest.Wait()
		if n := f.asked(remofile2.OpWrite); n != 1 {
			t.Errorf("%d WRITE after %v, want 1", n, lingerTime)
		}
		for i := range int64(2 * lightRequests) {
			file.WriteAt([]byte("new"), i)
		}
		synctest.Wait()
		if n := f.asked(remofile2.OpWrite); n < lightRequests {
			t.Errorf("%d WRITE of %d at once", n, 2*lightRequests)
		}
		file.Release(func(error) {})
		time.Sleep(lingerTime)
		synctest.Wait()
		if n := f.asked(remofile2.OpClose); n != 1 {
			t.Errorf("%d CLOSE after %v, want 1", n, lingerTime)
		}
	})
}

// TestReleaseTellsOfAFailure that the server tells when it closes the file, and of a write that failed before.
func TestReleaseTellsOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, _ := lingerer(t)
		var lose atomic.Bool
		f.hook = func(s *fakeSession, r *remofile2.Request) verdict {
			if lose.Load() {
				f.mu.Lock()
				defer f.mu.Unlock()
				clear(s.handles)
			}
			return serve
		}
		open := func() *File {
			file, err := c.OpenFile(t.Context(), "/f", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			return file
		}
		file, other := open(), open()
		lose.Store(true)
		other.WriteAt([]byte("new"), 0)
		if err := other.Release(func(error) {}); !errors.Is(err, BadHandle) {
			t.Errorf("error %v of a write, want %v", err, BadHandle)
		}
		failed := make(chan error, 1)
		if err := file.Release(func(err error) { failed <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; !errors.Is(err, BadHandle) {
			t.Errorf("error %v, want %v", err, BadHandle)
		}
	})
}
