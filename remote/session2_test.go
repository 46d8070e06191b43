package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
)

// TestAServerThatForgets: what was sent and may have changed something has an unknown outcome,
// what changes nothing is asked again.
func TestAServerThatForgets(t *testing.T) {
	for _, test := range []struct {
		name string
		op   remofile2.Operation
		do   func(ctx context.Context, c *Client) error
		want error
	}{
		{"mkdir", remofile2.OpMkdir, func(ctx context.Context, c *Client) error { return c.MakeDirectory(ctx, "/a") }, OutcomeUnknown},
		{"remove", remofile2.OpRemove, func(ctx context.Context, c *Client) error { return c.Remove(ctx, "/a") }, OutcomeUnknown},
		{"stat", remofile2.OpStat, func(ctx context.Context, c *Client) error {
			_, err := c.Stat(ctx, "/a")
			return err
		}, nil},
		{"list", remofile2.OpList, func(ctx context.Context, c *Client) error {
			_, err := c.List(ctx, "/")
			return err
		}, nil},
		{"open", remofile2.OpOpen, func(ctx context.Context, c *Client) error {
			f, err := c.Open(ctx, "/f")
			if err == nil {
				err = f.Close()
			}
			return err
		}, nil},
		{"upload", remofile2.OpWrite, func(ctx context.Context, c *Client) error {
			const size = 20 << 20
			return c.Upload(ctx, "/new", io.LimitReader(zeros{}, size), size, TransferOptions{})
		}, Unreachable},
		{"commit", remofile2.OpCommit, func(ctx context.Context, c *Client) error {
			return c.Upload(ctx, "/new", strings.NewReader("text"), 4, TransferOptions{})
		}, OutcomeUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake2()
				f.files["/f"] = "content"
				var once atomic.Bool
				f.hook = func(_ *fakeSession, r *remofile2.Request) verdict {
					if r.Operation == test.op && once.CompareAndSwap(false, true) {
						f.restart()
						return hangUp
					}
					return serve
				}
				c := f.client(t, Options{})
				if err := test.do(t.Context(), c); !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				if _, err := c.List(t.Context(), "/"); err != nil {
					t.Errorf("afterwards: %v", err)
				}
				if got := f.linked(); got != 2 {
					t.Errorf("%d links, want 2", got)
				}
			})
		})
	}
}

// TestFilesAreSentAnew to a server that has been restarted, and fetched anew.
func TestFilesAreSentAnew(t *testing.T) {
	content := strings.Repeat("0123456789", 100_000)
	local := filepath.Join(t.TempDir(), "local")
	if err := os.WriteFile(local, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, op := range []remofile2.Operation{remofile2.OpWrite, remofile2.OpRead, remofile2.OpCommit} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake2()
			f.files["/down"] = content
			var asked atomic.Int32
			f.hook = func(_ *fakeSession, r *remofile2.Request) verdict {
				if r.Operation == op && asked.Add(1) == 2 {
					f.restart()
					return hangUp
				}
				return serve
			}
			c := f.client(t, Options{})
			if err := c.UploadFile(t.Context(), local, "/up", TransferOptions{Replace: true}); err != nil || f.content("/up") != content {
				t.Errorf("%v: %d bytes were uploaded, error %v", op, len(f.content("/up")), err)
			}
			down := filepath.Join(t.TempDir(), "down")
			if err := c.DownloadFile(t.Context(), "/down", down, TransferOptions{}); err != nil {
				t.Error(err)
			}
			if got, _ := os.ReadFile(down); string(got) != content {
				t.Errorf("%v: %d bytes were downloaded", op, len(got))
			}
		})
	}
}

// TestAHandleIsLostWithItsSession, and not before.
func TestAHandleIsLostWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake2()
		f.files["/f"] = "content"
		c := f.client(t, Options{})
		file, err := c.Open(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 7)
		f.cut()
		if _, err := file.ReadAt(b, 0); err != nil || string(b) != "content" {
			t.Errorf("after a cut: %q, error %v", b, err)
		}
		f.restart()
		f.cut()
		if _, err := file.ReadAt(b, 0); !errors.Is(err, Stale) {
			t.Errorf("after a restart: error %v, want %v", err, Stale)
		}
		if err := file.Close(); err != nil {
			t.Errorf("closing a file that was only read: %v", err)
		}
	})
}

// TestAnOpenFileBringsTheLinkBack without any request, and only for as long as the server keeps
// the session.
func TestAnOpenFileBringsTheLinkBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake2()
		f.files["/f"] = "content"
		var down atomic.Bool
		var tries atomic.Int32
		f.shape = func(_ int, nc net.Conn) (net.Conn, error) {
			tries.Add(1)
			if down.Load() {
				return nil, refused
			}
			return nc, nil
		}
		c := f.client(t, Options{})
		file, err := c.Open(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		down.Store(true)
		f.cut()
		time.Sleep(30 * time.Second)
		if n := tries.Load(); n < 20 || n > 100 {
			t.Errorf("%d attempts in 30 s", n)
		}
		down.Store(false)
		time.Sleep(time.Second)
		if got := f.attached(); got != 1 {
			t.Errorf("%d links, want 1", got)
		}
		if _, err := file.ReadAt(make([]byte, 1), 0); err != nil {
			t.Error(err)
		}
		down.Store(true)
		f.cut()
		time.Sleep(2 * time.Minute)
		tries.Store(0)
		time.Sleep(time.Hour)
		if n := tries.Load(); n != 0 {
			t.Errorf("%d attempts after the grace time", n)
		}
		if _, err := file.ReadAt(make([]byte, 1), 0); !errors.Is(err, Stale) {
			t.Errorf("error %v, want %v", err, Stale)
		}
	})
}

// TestCallsFailAtOnceWhileTheServerIsGone, once one has waited in vain; the link comes back by itself.
func TestCallsFailAtOnceWhileTheServerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake2()
		var down atomic.Bool
		f.shape = func(_ int, nc net.Conn) (net.Conn, error) {
			if down.Load() {
				return nil, refused
			}
			return nc, nil
		}
		c := f.client(t, Options{Timeout: 2 * time.Second, FailFast: true})
		for range 3 {
			down.Store(true)
			f.cut()
			for _, want := range []time.Duration{2 * time.Second, 0, 0} {
				start := time.Now()
				if err := c.MakeDirectory(t.Context(), "/a"); !errors.Is(err, Unreachable) {
					t.Errorf("error %v, want %v", err, Unreachable)
				}
				if took := time.Since(start); took != want {
					t.Errorf("it took %v, want %v", took, want)
				}
			}
			time.Sleep(time.Hour) // longer than any grace time
			down.Store(false)
			time.Sleep(time.Second)
			start := time.Now()
			if err := c.Remove(t.Context(), "/a"); err != nil || time.Since(start) > 0 {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
		}
		if got := f.changed(); got["MKDIR /a "] != 0 || got["REMOVE /a "] != 3 {
			t.Errorf("applied %v", got)
		}
	})
}

// TestASilentLinkOfAnIdleSessionIsReplaced, though nobody waits for an answer: notices would not come over it.
func TestASilentLinkOfAnIdleSessionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake2()
		var silent atomic.Bool
		var links atomic.Int64
		f.shape = func(_ int, nc net.Conn) (net.Conn, error) {
			if links.Add(1) > 1 {
				return nc, nil
			}
			return &swallower{Conn: nc, silent: &silent}, nil
		}
		c := f.client(t, Options{})
		file, err := c.Create(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := links.Load(); got != 1 {
			t.Errorf("%d links of an idle session, want 1", got)
		}
		silent.Store(true)
		time.Sleep(15 * time.Second)
		if got := links.Load(); got != 2 {
			t.Errorf("%d links, want a second one", got)
		}
		if _, err := file.ReadAt(make([]byte, 1), 0); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}

// TestCallsWithoutALinkFailInTime, with what kept the link from coming back; later ones try
// again.
func TestCallsWithoutALinkFailInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake2()
		var down atomic.Bool
		f.shape = func(_ int, nc net.Conn) (net.Conn, error) {
			if down.Load() {
				return nil, refused
			}
			return nc, nil
		}
		c := f.client(t, Options{Timeout: 2 * time.Second})
		for range 3 {
			down.Store(true)
			f.cut()
			for range 2 {
				start := time.Now()
				if err := c.MakeDirectory(t.Context(), "/a"); !errors.Is(err, Unreachable) {
					t.Errorf("error %v, want %v", err, Unreachable)
				}
				if took := time.Since(start); took != 2*time.Second {
					t.Errorf("it took %v", took)
				}
			}
			down.Store(false)
			start := time.Now()
			if err := c.Remove(t.Context(), "/a"); err != nil || time.Since(start) > time.Second {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
		}
		if got := f.changed(); got["MKDIR /a "] != 0 || got["REMOVE /a "] != 3 {
			t.Errorf("applied %v", got)
		}
	})
}

// TestAContextEndsAnyWait at once, whatever the link does, and the server is told.
func TestAContextEndsAnyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake2()
		f.hook = func(_ *fakeSession, r *remofile2.Request) verdict {
			if r.Operation == remofile2.OpMkdir || r.Operation == remofile2.OpWrite {
				return ignore
			}
			return serve
		}
		c := f.client(t, Options{Timeout: time.Hour})
		content := make([]byte, 100<<20)
		for name, do := range map[string]func(context.Context) error{
			"mkdir": func(ctx context.Context) error { return c.MakeDirectory(ctx, "/a") },
			"upload": func(ctx context.Context) error {
				return c.Upload(ctx, "/u", bytes.NewReader(content), 100<<20, TransferOptions{})
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			if err := do(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: error %v", name, err)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("%s: it took %v", name, took)
			}
			cancel()
			synctest.Wait()
		}
		if f.asked(remofile2.OpCancel) < 2 || f.asked(remofile2.OpClose) != 1 {
			t.Errorf("%d requests were cancelled, %d files closed", f.asked(remofile2.OpCancel), f.asked(remofile2.OpClose))
		}
	})
}

// TestAHostileServerGetsNowhere: it costs neither a tight loop nor a call without end.
func TestAHostileServerGetsNowhere(t *testing.T) {
	for name, test := range map[string]struct {
		hook    func(*fakeSession, *remofile2.Request) verdict
		welcome func(n int, a *remofile2.Answer)
		want    Code
	}{
		"it hangs up on each request": {
			hook: func(*fakeSession, *remofile2.Request) verdict { return hangUp }, want: Unreachable,
		},
		"it forgets each session": {
			hook:    func(*fakeSession, *remofile2.Request) verdict { return hangUp },
			welcome: func(_ int, a *remofile2.Answer) { a.Resumed = false }, want: Unreachable,
		},
		"it resumes another session": {
			hook: func(*fakeSession, *remofile2.Request) verdict { return hangUp },
			welcome: func(n int, a *remofile2.Answer) {
				if n > 1 {
					a.Session = strings.Repeat("z", 16)
				}
			}, want: Unreachable,
		},
		"it allows nothing": {
			hook: func(*fakeSession, *remofile2.Request) verdict { return hangUp },
			welcome: func(n int, a *remofile2.Answer) {
				if n > 1 {
					a.Info.Requests = 0
				}
			}, want: Corrupted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake2()
				f.hook, f.welcome = test.hook, test.welcome
				c := f.client(t, Options{})
				start := time.Now()
				_, err := c.Stat(t.Context(), "/a")
				if !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				if took := time.Since(start); took > time.Minute || f.linked() > 40 {
					t.Errorf("%d links in %v", f.linked(), took)
				}
			})
		})
	}
}

// TestCloseReturns, in whatever state the link is, and leaves no goroutine.
func TestCloseReturns(t *testing.T) {
	for name, disturb := range map[string]func(*fake2, *atomic.Bool){
		"it works":               func(*fake2, *atomic.Bool) {},
		"it is cut":              func(f *fake2, _ *atomic.Bool) { f.cut() },
		"it is silent":           func(_ *fake2, silent *atomic.Bool) { silent.Store(true) },
		"it is cut, then silent": func(f *fake2, silent *atomic.Bool) { silent.Store(true); f.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake2()
				f.files["/f"] = "content"
				var silent atomic.Bool
				f.shape = func(_ int, nc net.Conn) (net.Conn, error) { return &swallower{Conn: nc, silent: &silent}, nil }
				c := f.client(t, Options{Timeout: time.Hour})
				if _, err := c.Open(t.Context(), "/f"); err != nil {
					t.Fatal(err)
				}
				var waiting atomic.Int32
				for range 200 { // more than may be under way
					waiting.Add(1)
					go func() {
						c.Upload(t.Context(), "/up", slow{}, 2, TransferOptions{})
						waiting.Add(-1)
					}()
				}
				synctest.Wait()
				disturb(f, &silent)
				go c.MakeDirectory(t.Context(), "/a")
				synctest.Wait()
				start := time.Now()
				c.Close()
				if took := time.Since(start); took > settleTime {
					t.Errorf("it took %v", took)
				}
				if err := c.MakeDirectory(t.Context(), "/a"); !errors.Is(err, net.ErrClosed) {
					t.Errorf("afterwards: %v", err)
				}
				f.running.Wait()
				time.Sleep(time.Minute)
				if waiting.Load() != 0 {
					t.Errorf("%d uploads go on", waiting.Load())
				}
			})
		})
	}
}

// TestADownloadBeginsAnew where the server has forgotten the session before it began.
func TestADownloadBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake2()
		f.files["/f"] = "content"
		restarted := false
		f.hook = func(_ *fakeSession, r *remofile2.Request) verdict {
			if r.Operation == remofile2.OpOpen && !restarted {
				restarted = true
				f.restart()
				return hangUp
			}
			return serve
		}
		c := f.client(t, Options{})
		var got strings.Builder
		if _, err := c.Download(t.Context(), "/f", &got, TransferOptions{}); err != nil || got.String() != "content" {
			t.Errorf("it brought %q, error %v", got.String(), err)
		}
	})
}

// zeros brings zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// slow brings nothing for ten seconds.
type slow struct{}

func (slow) Read([]byte) (int, error) {
	time.Sleep(10 * time.Second)
	return 0, io.EOF
}
