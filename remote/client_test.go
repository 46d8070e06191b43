package remote

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

func TestSilenceIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{version: 1, serve: func(conn *zmtp.Conn, _ int) {
			receive(conn)
			receive(conn) // until the client hangs up
		}}
		c := f.client(t, Options{Timeout: time.Minute})
		start := time.Now()
		_, err := c.List(t.Context(), "/")
		if !errors.Is(err, Timeout) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v, want a timeout", err)
		}
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("gave up after %v, want a minute", waited)
		}
	})
}

// TestAnyByteRestartsTheTimeout sends an answer a byte at a time, each of them
// within the timeout, all of them far beyond it.
func TestAnyByteRestartsTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{version: 1}
		link := make(chan net.Conn, 1)
		f.serve = func(conn *zmtp.Conn, _ int) {
			receive(conn)
			nc := <-link
			body := protocol.AppendResponse(nil, &protocol.Response{Type: protocol.Accepted, Reason: protocol.FilesListed})
			for _, b := range append([]byte{1, 0, 0, byte(len(body))}, body...) {
				time.Sleep(50 * time.Second)
				nc.Write([]byte{b})
			}
			receive(conn)
		}
		c, err := Dial(t.Context(), f.tapped(Options{Timeout: time.Minute}, link))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.List(t.Context(), "/"); err != nil {
			t.Error(err)
		}
		c.Close()
		f.running.Wait()
	})
}

func TestTheLinkComesBackByItself(t *testing.T) {
	f := &fake{version: 1, serve: func(conn *zmtp.Conn, _ int) {
		receive(conn)
		respond(conn, accept(protocol.FilesListed))
	}}
	c := f.client(t, Options{})
	for range 5 { // each session serves one request
		if _, err := c.List(t.Context(), "/"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAChangeIsNotRepeatedOnALostLink(t *testing.T) {
	changes := 0
	var mu sync.Mutex
	f := &fake{version: 1, serve: func(conn *zmtp.Conn, _ int) {
		for r := receive(conn); r != nil; r = receive(conn) {
			if r.Type == protocol.MakeDirectory {
				mu.Lock()
				changes++
				mu.Unlock()
				return
			}
			respond(conn, accept(protocol.FilesListed))
		}
	}}
	c := f.client(t, Options{})
	if _, err := c.List(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	if err := c.MakeDirectory(t.Context(), "/a"); !errors.Is(err, Unreachable) {
		t.Errorf("error %v, want %v", err, Unreachable)
	}
	mu.Lock()
	defer mu.Unlock()
	if changes != 1 {
		t.Errorf("the request was sent %d times", changes)
	}
}

// TestACancelledListingFreesItsSession lets a caller go at once while the answer
// is still owed, and uses the same session afterwards.
func TestACancelledListingFreesItsSession(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	f := &fake{version: 1, serve: func(conn *zmtp.Conn, _ int) {
		receive(conn)
		close(asked)
		<-answer
		respond(conn, accept(protocol.FilesListed))
		listing(conn, 0)
	}}
	c := f.client(t, Options{MaxSessions: 1})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := c.List(ctx, "/"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	close(answer)
	if _, err := c.List(t.Context(), "/"); err != nil {
		t.Error(err)
	}
	if f.opened() != 1 {
		t.Errorf("%d sessions, want 1", f.opened())
	}
}

func TestACancelledUploadIsCancelledOnTheServer(t *testing.T) {
	cancelled := make(chan struct{})
	f := &fake{version: 1, serve: func(conn *zmtp.Conn, _ int) {
		for r := receive(conn); r != nil; r = receive(conn) {
			switch r.Type {
			case protocol.UploadFile:
				respond(conn, accept(protocol.TransferAccepted))
			case protocol.SendChunk:
				respond(conn, accept(protocol.ChunkReceived))
			case protocol.CancelTransfer:
				respond(conn, accept(protocol.TransferCancelled))
				close(cancelled)
			}
		}
	}}
	c := f.client(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	o := TransferOptions{Progress: func(_ []byte, remaining, _ int64, _ string) bool {
		if remaining < 90_000 {
			cancel()
		}
		return true
	}}
	err := c.Upload(ctx, "/a", bytes.NewReader(make([]byte, 100_000)), 100_000, o)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	<-cancelled
}

func TestForeignServersGetOneSession(t *testing.T) {
	f := &fake{version: 0, serve: func(conn *zmtp.Conn, n int) { listing(conn, n) }}
	c := f.client(t, Options{MaxSessions: 8})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.List(t.Context(), "/"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if !c.Foreign() || f.opened() != 1 {
		t.Errorf("foreign %v, %d sessions, want one", c.Foreign(), f.opened())
	}
}

// TestAnExclusiveServerIsEnough has a server that takes one session, and callers
// for several.
func TestAnExclusiveServerIsEnough(t *testing.T) {
	admitted := 0
	f := &fake{version: 1, serve: listing}
	f.admit = func(net.Addr) error { // called by one handshake after the other here
		if admitted++; admitted > 1 {
			return errors.New("you")
		}
		return nil
	}
	c := f.client(t, Options{})
	for range 10 {
		var pair sync.WaitGroup
		for range 2 {
			pair.Go(func() {
				if _, err := c.List(t.Context(), "/"); err != nil {
					t.Error(err)
				}
			})
		}
		pair.Wait()
	}
}

func TestServersInUseAndWrongTokensAreTold(t *testing.T) {
	f := &fake{version: 1, serve: listing, admit: func(net.Addr) error { return errors.New("someone since Monday") }}
	_, err := Dial(t.Context(), f.options(Options{}))
	if !errors.Is(err, InUse) || !strings.Contains(err.Error(), "someone since Monday") {
		t.Errorf("error %v, want %v with who it is", err, InUse)
	}
	o := f.options(Options{})
	o.Token = "wrong"
	if _, err := Dial(t.Context(), o); !errors.Is(err, Denied) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %v, want %v", err, Denied)
	}
}

func TestWhatIsNotRemofileIsUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		nc.Write([]byte("220 An FTP server, which greets everybody with a line of text\r\n\r\n"))
		nc.Close()
	}()
	if _, err := Dial(t.Context(), Options{Address: address, Token: "x"}); !errors.Is(err, Unreachable) {
		t.Errorf("error %v, want %v", err, Unreachable)
	}
	l.Close()
	_, err = Dial(t.Context(), Options{Address: address, Token: "x"})
	if !errors.Is(err, Unreachable) || err.Error() != "dial "+address+": the server can't be reached: connection refused" {
		t.Errorf("error %v", err)
	}
}

func TestServersThatBreakTheProtocol(t *testing.T) {
	data := protocol.Response{Type: protocol.Accepted, Reason: protocol.ChunkSent, Data: []byte("too short")}
	for name, answers := range map[string][]any{
		"garbage":                {[]byte("garbage")},
		"an answer to another":   {accept(protocol.FileCreated)},
		"two answers":            {accept(protocol.FilesListed), accept(protocol.FilesListed)},
		"a chunk of wrong size":  {protocol.Response{Type: protocol.Accepted, Reason: protocol.TransferAccepted, Size: 100_000}, data},
		"a message in one frame": {nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{version: 1, serve: func(conn *zmtp.Conn, _ int) {
				for _, a := range answers {
					receive(conn)
					switch a := a.(type) {
					case []byte:
						conn.WriteMessage(nil, a)
					case protocol.Response:
						respond(conn, a)
						if name == "two answers" {
							respond(conn, a)
						}
					default:
						conn.WriteMessage([]byte("x"))
					}
				}
				receive(conn)
			}}
			c := f.client(t, Options{})
			var err error
			for range 2 {
				if name == "a chunk of wrong size" {
					_, err = c.Download(t.Context(), "/a", &bytes.Buffer{}, TransferOptions{})
				} else {
					_, err = c.List(t.Context(), "/")
				}
				if err != nil {
					break
				}
			}
			if name != "two answers" && !errors.Is(err, Corrupted) {
				t.Errorf("error %v, want %v", err, Corrupted)
			}
		})
	}
}

func TestPathsAreChecked(t *testing.T) {
	f := &fake{version: 1, serve: listing}
	c := f.client(t, Options{})
	for _, p := range []string{"", "a", "./a", "/", "/a:b", "/a/..b/*", "/" + strings.Repeat("x", 256)} {
		if err := c.MakeDirectory(t.Context(), p); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: error %v, want %v", p, err, InvalidName)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	f := &fake{version: 1, serve: listing}
	c := f.client(t, Options{})
	if _, err := c.List(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	c.Close()
	f.running.Wait()
	if _, err := c.List(t.Context(), "/"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want %v", err, net.ErrClosed)
	}
}

// TestAServerThatDripsHoldsNobody sends PINGs instead of an answer: the timeout never
// ends, the caller's context does.
func TestAServerThatDripsHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := make(chan net.Conn, 1)
		stop := make(chan struct{})
		f := &fake{version: 1}
		f.serve = func(conn *zmtp.Conn, _ int) {
			receive(conn)
			for nc := <-link; ; {
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
					nc.Write([]byte("\x04\x07\x04PING\x00\x00"))
				}
			}
		}
		c, err := Dial(t.Context(), f.tapped(Options{}, link))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := c.List(ctx, "/"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
		}
		start := time.Now()
		c.Close()
		if waited := time.Since(start); waited > settleTime+time.Minute {
			t.Errorf("Close took %v", waited)
		}
		close(stop)
		f.running.Wait()
	})
}

// TestTransfersLeaveASessionToOthers has as many uploads under way as there can be, and
// a listing beside them.
func TestTransfersLeaveASessionToOthers(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	f := &fake{version: 1, serve: func(conn *zmtp.Conn, _ int) {
		for r := receive(conn); r != nil; r = receive(conn) {
			switch r.Type {
			case protocol.UploadFile:
				begun <- struct{}{}
				<-finish
				respond(conn, accept(protocol.TransferAccepted))
			case protocol.SendChunk:
				respond(conn, accept(protocol.TransferCompleted))
			default:
				respond(conn, accept(protocol.FilesListed))
			}
		}
	}}
	c := f.client(t, Options{MaxSessions: 3, Timeout: time.Minute})
	var uploads sync.WaitGroup
	for range 5 {
		uploads.Go(func() {
			if err := c.Upload(t.Context(), "/f", strings.NewReader("x"), 1, TransferOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	<-begun
	<-begun
	if _, err := c.List(t.Context(), "/"); err != nil {
		t.Error(err)
	}
	go func() {
		for range 3 {
			<-begun
		}
	}()
	close(finish)
	uploads.Wait()
}

// TestATimeoutMakesIdleSessionsSuspect has a link that died silently under two
// sessions, and is up again for new ones.
func TestATimeoutMakesIdleSessionsSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := make(chan struct{})
		f := &fake{version: 1, serve: func(conn *zmtp.Conn, n int) {
			if n > 2 {
				listing(conn, n)
				return
			}
			receive(conn)
			both <- struct{}{}
			both <- struct{}{}
			respond(conn, accept(protocol.FilesListed))
			receive(conn)
			receive(conn)
		}}
		c := f.client(t, Options{Timeout: time.Minute})
		var lists sync.WaitGroup
		for range 2 {
			lists.Go(func() {
				if _, err := c.List(t.Context(), "/"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		for range 4 {
			<-both
		}
		lists.Wait()
		if _, err := c.List(t.Context(), "/"); !errors.Is(err, Timeout) {
			t.Errorf("error %v, want %v", err, Timeout)
		}
		if _, err := c.List(t.Context(), "/"); err != nil {
			t.Errorf("after the timeout: %v", err)
		}
	})
}
