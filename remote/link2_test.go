package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
)

// cutter is a client's end of a link that is cut when so many bytes went one way.
type cutter struct {
	net.Conn
	armed      *atomic.Bool // bytes count from then on
	up, down   atomic.Int64 // bytes that went
	upAt       int64        // bytes; negative is never
	downAt     int64
	boundaries *[]int64 // of what Write was called with, if not nil
}

func (c *cutter) Write(p []byte) (int, error) {
	if !c.armed.Load() {
		return c.Conn.Write(p)
	}
	before := c.up.Load()
	if c.upAt >= 0 && before+int64(len(p)) > c.upAt {
		c.Conn.Write(p[:c.upAt-before])
		c.Close()
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Write(p)
	now := c.up.Add(int64(n))
	if c.boundaries != nil {
		*c.boundaries = append(*c.boundaries, now)
	}
	return n, err
}

func (c *cutter) Read(p []byte) (int, error) {
	if c.armed.Load() && c.downAt >= 0 {
		rest := c.downAt - c.down.Load()
		if rest <= 0 {
			c.Close()
			return 0, net.ErrClosed
		}
		p = p[:min(int64(len(p)), rest)]
	}
	n, err := c.Conn.Read(p)
	if c.armed.Load() {
		c.down.Add(int64(n))
	}
	return n, err
}

// work uploads, downloads, and makes and moves directories, all at a time. It returns what
// the server must have applied, each once.
func work(t *testing.T, c *Client, content []byte) {
	var all sync.WaitGroup
	all.Go(func() {
		if err := c.Upload(t.Context(), "/up", bytes.NewReader(content), int64(len(content)), TransferOptions{ChunkSize: 4096}); err != nil {
			t.Error(err)
		}
	})
	all.Go(func() {
		var got bytes.Buffer
		if _, err := c.Download(t.Context(), "/down", &got, TransferOptions{ChunkSize: 4096}); err != nil || !bytes.Equal(got.Bytes(), content) {
			t.Errorf("the download brought %d bytes, error %v", got.Len(), err)
		}
	})
	for i := range 8 {
		all.Go(func() {
			if err := c.MakeDirectory(t.Context(), fmt.Sprintf("/d%d", i)); err != nil {
				t.Error(err)
			}
			if err := c.Remove(t.Context(), fmt.Sprintf("/r%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestACutLinkLosesNothing cuts the link between and inside all messages, either way: the
// session goes on, and everything is done once.
func TestACutLinkLosesNothing(t *testing.T) {
	const trailing = 1000 // bytes at the end among which there may be nothing that needs an answer
	content := make([]byte, 20_000)
	rand.NewChaCha8([32]byte{}).Read(content)
	var ups []int64
	var downs int64
	run := func(up, down int64, record bool) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake2()
			f.files["/down"] = string(content)
			var armed atomic.Bool
			var first *cutter
			f.shape = func(n int, nc net.Conn) (net.Conn, error) {
				if n > 1 {
					return nc, nil
				}
				first = &cutter{Conn: nc, armed: &armed, upAt: up, downAt: down}
				if record {
					first.boundaries = &ups
				}
				return first, nil
			}
			c := f.client(t, Options{})
			armed.Store(true)
			work(t, c, content)
			if got := f.content("/up"); got != string(content) {
				t.Errorf("cut at %d and %d: %d bytes were uploaded", up, down, len(got))
			}
			want := map[string]int{"WRITE /up": 5, "COMMIT /up": 1}
			for i := range 8 {
				want[fmt.Sprintf("MKDIR /d%d ", i)], want[fmt.Sprintf("REMOVE /r%d ", i)] = 1, 1
			}
			if got := f.changed(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("cut at %d and %d: applied %v", up, down, got)
			}
			if record {
				downs = first.down.Load()
			} else if up < ups[len(ups)-1]-trailing && f.linked() != 2 {
				t.Errorf("cut at %d and %d: %d links", up, down, f.linked())
			}
		})
	}
	run(-1, -1, true)
	for _, at := range slices.Clone(ups) {
		for _, d := range []int64{-1, 0, 1} {
			run(at+d, -1, false)
		}
	}
	for at := int64(0); at < downs; at += 1 + downs/200 {
		run(-1, at, false)
	}
}

// TestLinksThatKeepBreaking cuts every link a bit later than the one before.
func TestLinksThatKeepBreaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := bytes.Repeat([]byte("0123456789"), 20_000)
		f := newFake2()
		f.files["/down"] = string(content)
		var armed atomic.Bool
		armed.Store(true)
		f.shape = func(n int, nc net.Conn) (net.Conn, error) {
			return &cutter{Conn: nc, armed: &armed, upAt: int64(30_000 + n*100), downAt: int64(40_000 + n*100)}, nil
		}
		c := f.client(t, Options{})
		work(t, c, content)
		if got := f.content("/up"); got != string(content) {
			t.Errorf("%d bytes were uploaded", len(got))
		}
		for change, times := range f.changed() {
			if times != 1 && change != "WRITE /up" {
				t.Errorf("%s: %d times", change, times)
			}
		}
		if f.linked() < 4 {
			t.Errorf("only %d links", f.linked())
		}
	})
}

// TestASilentLinkIsReplaced: a link that swallows all, as one does whose NAT entry is gone,
// costs no failure.
func TestASilentLinkIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake2()
		var silent atomic.Bool
		f.shape = func(n int, nc net.Conn) (net.Conn, error) {
			if n == 1 {
				return &swallower{Conn: nc, silent: &silent}, nil
			}
			return nc, nil
		}
		c := f.client(t, Options{Timeout: 3 * time.Second})
		silent.Store(true)
		start := time.Now()
		if err := c.MakeDirectory(t.Context(), "/a"); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		if got := f.changed(); len(got) != 1 || f.linked() != 2 {
			t.Errorf("%d links, changes %v", f.linked(), got)
		}
	})
}

// swallower takes what is written and drops it.
type swallower struct {
	net.Conn
	silent *atomic.Bool
}

func (s *swallower) Write(p []byte) (int, error) {
	if s.silent.Load() {
		return len(p), nil
	}
	return s.Conn.Write(p)
}

// TestSilenceAcrossLinksIsATimeout: with every link silent, and dialling, too, a call ends after
// the timeout, not earlier and not later.
func TestSilenceAcrossLinksIsATimeout(t *testing.T) {
	for _, dials := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake2()
			var silent atomic.Bool
			f.shape = func(n int, nc net.Conn) (net.Conn, error) {
				return &swallower{Conn: nc, silent: &silent}, nil
			}
			o := f.options(Options{Timeout: 3 * time.Second})
			o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
				if silent.Load() && !dials {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return f.dial(ctx, address)
			}
			c, err := Dial(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			silent.Store(true)
			for range 3 {
				start := time.Now()
				if err := c.MakeDirectory(t.Context(), "/a"); !errors.Is(err, Timeout) {
					t.Errorf("error %v, want a timeout", err)
				}
				if took := time.Since(start); took != 3*time.Second {
					t.Errorf("it took %v", took)
				}
			}
			silent.Store(false)
			if err := c.MakeDirectory(t.Context(), "/b"); err != nil {
				t.Error(err)
			}
			f.end(c)
		})
	}
}

// throttled is a server's end to which so many bytes come a second.
type throttled struct {
	net.Conn
	rate int
}

func (c throttled) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	time.Sleep(time.Duration(n) * time.Second / time.Duration(c.rate))
	return n, err
}

// TestASlowLinkServesOthersDuringAnUpload: nothing waits for all that a big file has under
// way, and nothing times out, at 0.5 Mbit/s neither.
func TestASlowLinkServesOthersDuringAnUpload(t *testing.T) {
	for _, link := range []struct {
		rate    int // bytes a second
		longest time.Duration
	}{{62_500, 1500 * time.Millisecond}, {1_250_000, 150 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake2()
			f.rate = link.rate
			c := f.client(t, Options{})
			size := 20 * int64(link.rate)
			uploaded := make(chan error)
			go func() {
				uploaded <- c.Upload(t.Context(), "/up", io.LimitReader(zeros{}, size), size, TransferOptions{})
			}()
			for range 30 {
				time.Sleep(500 * time.Millisecond)
				start := time.Now()
				if _, err := c.List(t.Context(), "/"); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > link.longest {
					t.Errorf("%d bytes a second: a listing took %v", link.rate, took)
				}
			}
			if err := <-uploaded; err != nil {
				t.Error(err)
			}
			if f.linked() != 1 {
				t.Errorf("%d links", f.linked())
			}
		})
	}
}

// TestAServersLimitsAreBounded: no number that it tells is too large for the client.
func TestAServersLimitsAreBounded(t *testing.T) {
	for _, limit := range []uint64{1 << 31, 1 << 40, 1 << 63, math.MaxUint64} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake2()
			f.welcome = func(_ int, a *remofile2.Answer) {
				a.Info.Requests, a.Info.Bytes, a.Info.Payload, a.Info.Grace = limit, limit, limit, limit
			}
			c := f.client(t, Options{})
			const size = 3 << 20
			if err := c.Upload(t.Context(), "/f", zeros{}, size, TransferOptions{}); err != nil {
				t.Error(err)
			}
			var got bytes.Buffer
			if _, err := c.Download(t.Context(), "/f", &got, TransferOptions{}); err != nil || got.Len() != size {
				t.Errorf("limits of %d: %d bytes came back, error %v", limit, got.Len(), err)
			}
		})
	}
}
