package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

func TestOptionsAreChecked(t *testing.T) {
	jail := t.TempDir()
	file := filepath.Join(jail, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	good := Options{Jail: jail, Token: token, MinChunkSize: 1, MaxChunkSize: protocol.MaxChunkSize}
	open := func() {
		s, err := New(good)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	open() // the runtime opens some of its own
	before := descriptors(t)
	for name, o := range map[string]Options{
		"no jail":              {Token: token},
		"a missing jail":       {Jail: filepath.Join(jail, "missing"), Token: token},
		"a file as jail":       {Jail: file, Token: token},
		"no token":             {Jail: jail},
		"a token of 256 bytes": {Jail: jail, Token: strings.Repeat("t", 256)},
		"a zero token":         {Jail: jail, Token: "\x00t"},
		"a negative limit":     {Jail: jail, Token: token, FileSizeLimit: -1},
		"negative staging":     {Jail: jail, Token: token, StagingLimit: -1},
		"a negative chunk":     {Jail: jail, Token: token, MinChunkSize: -1},
		"chunks above 16 MiB":  {Jail: jail, Token: token, MaxChunkSize: protocol.MaxChunkSize + 1},
		"minimum over maximum": {Jail: jail, Token: token, MinChunkSize: 1000, MaxChunkSize: 999},
		"minimum over default": {Jail: jail, Token: token, MinChunkSize: 8193},
	} {
		if s, err := New(o); err == nil {
			s.Close()
			t.Errorf("%s is accepted", name)
		}
	}
	open()
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
}

func TestClosedServerServesNoMore(t *testing.T) {
	s, err := New(Options{Jail: t.TempDir(), Token: token})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown after Close: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if err := s.ListenAndServe("127.0.0.1:0"); !errors.Is(err, ErrClosed) {
		t.Errorf("ListenAndServe: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is not closed: %v", err)
	}
}

func TestWrongTokenIsRefused(t *testing.T) {
	s := serve(t, Options{})
	nc, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	_, err = zmtp.Client(context.Background(), nc, &zmtp.Config{Token: "another", Plain: true, Version: 1, MaxMessage: 1 << 20})
	if _, refused := errors.AsType[*zmtp.RefusedError](err); !refused {
		t.Errorf("error %v, want a refusal", err)
	}
}

func TestExclusiveServesOneClient(t *testing.T) {
	s := serve(t, Options{Exclusive: true})
	first := s.dial()
	for range 2 {
		_, err := s.tryDial()
		refused, ok := errors.AsType[*zmtp.RefusedError](err)
		if !ok {
			t.Fatalf("error %v, want a refusal", err)
		}
		if by, inUse := refused.InUse(); !inUse || !strings.Contains(by, "127.0.0.1:") || !strings.Contains(by, " since 2") {
			t.Errorf("the reason is %q", refused.Reason)
		}
	}
	first.want(protocol.FilesListed, protocol.Request{Type: protocol.ListFiles, Directory: "/"})
	first.conn.Close()
	for { // until the server has seen the end
		conn, err := s.tryDial()
		if err == nil {
			conn.Close()
			return
		}
		if _, refused := errors.AsType[*zmtp.RefusedError](err); !refused {
			t.Fatal(err)
		}
	}
}

func TestShutdownCancelsTransfers(t *testing.T) {
	s := serve(t, Options{})
	s.write("old", "old content")
	before := tree(t, s.jail)
	up, down, idle := s.dial(), s.dial(), s.dial()
	r := uploadRequest("old")
	r.Replace = true
	up.want(protocol.TransferAccepted, r)
	up.want(protocol.ChunkReceived, chunkRequest(pattern(512)))
	down.want(protocol.TransferAccepted, downloadRequest("old"))
	silent, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if after := tree(t, s.jail); after != before {
		t.Errorf("the jail was\n%sand is\n%s", before, after)
	}
	for _, c := range []*client{up, down, idle} {
		if _, err := c.conn.ReadMessage(); err == nil {
			t.Error("a session goes on")
		}
	}
	if _, err := s.tryDial(); err == nil {
		t.Error("a connection is accepted")
	}
}

// peekConn tells when the first byte of an answer has arrived.
type peekConn struct {
	net.Conn
	ahead []byte
}

func (c *peekConn) Read(p []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.ahead)
	c.ahead = c.ahead[n:]
	return n, nil
}

func (c *peekConn) await() error {
	var first [1]byte
	n, err := c.Conn.Read(first[:])
	c.ahead = first[:n]
	return err
}

// TestShutdownAnswersTheRequestUnderWay: the answer is longer than the buffers of
// the sockets, so it is under way until the client reads it.
func TestShutdownAnswersTheRequestUnderWay(t *testing.T) {
	s := serve(t, Options{MaxChunkSize: protocol.MaxChunkSize})
	content := pattern(protocol.MaxChunkSize)
	s.write("f", string(content))
	nc, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	peek := &peekConn{Conn: nc}
	conn, err := handshake(peek)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{t: t, conn: conn}
	c.want(protocol.TransferAccepted, protocol.Request{Type: protocol.DownloadFile, Name: "f", Directory: "/",
		ChunkSize: protocol.MaxChunkSize})
	request := protocol.AppendRequest(nil, &protocol.Request{Type: protocol.ReceiveChunk})
	if err := c.conn.WriteMessage(nil, request); err != nil {
		t.Fatal(err)
	}
	if err := peek.await(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Shutdown(context.Background()) }()
	<-s.closed
	if r := c.receive(); r.Reason != protocol.TransferCompleted || string(r.Data) != string(content) {
		t.Errorf("answer %s", describe(r))
	}
	if err := <-ended; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestShutdownIsBoundedByItsContext: a client that does not read its answer holds
// nobody up.
func TestShutdownIsBoundedByItsContext(t *testing.T) {
	s := serve(t, Options{MaxChunkSize: protocol.MaxChunkSize})
	c := s.dial()
	s.write("f", string(make([]byte, protocol.MaxChunkSize)))
	c.want(protocol.TransferAccepted, protocol.Request{Type: protocol.DownloadFile, Name: "f", Directory: "/",
		ChunkSize: protocol.MaxChunkSize})
	request := protocol.AppendRequest(nil, &protocol.Request{Type: protocol.ReceiveChunk})
	if err := c.conn.WriteMessage(nil, request); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v, want the error of the context", err)
	}
}

// faultyListener fails with each of errs, and then waits to be closed.
type faultyListener struct {
	errs   []error
	closed chan struct{}
}

func (l *faultyListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *faultyListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *faultyListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestServeOutlivesTemporaryErrors(t *testing.T) {
	jail := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Jail: jail, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		l := &faultyListener{closed: make(chan struct{})}
		for range 20 {
			l.errs = append(l.errs, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)})
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(l) }()
		synctest.Wait()
		if len(l.errs) == 0 {
			t.Error("accept is repeated without a pause")
		}
		// Close ends a pause, too.
		s.Close()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Jail: jail, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		broken := errors.New("broken")
		l := &faultyListener{closed: make(chan struct{}), errs: []error{syscall.ENFILE, syscall.EMFILE, broken}}
		if err := s.Serve(l); !errors.Is(err, broken) {
			t.Errorf("Serve: %v, want the lasting error", err)
		}
	})
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// TestLog: begin and end of a session at Info, requests at Debug.
func TestLog(t *testing.T) {
	for level, want := range map[slog.Level][]string{
		slog.LevelDebug: {
			`level=INFO msg="session begins" session=1 peer=127.0.0.1:`,
			`level=DEBUG msg=request session=1 peer=127.0.0.1:`,
			`op=LIST_FILES path=/ code=FILES_LISTED`,
			`op=DOWNLOAD_FILE path=/dir/f code=NOT_A_DIRECTORY`,
			`level=INFO msg="session ends"`,
		},
		slog.LevelInfo: {`msg="session begins"`, `msg="session ends"`},
	} {
		var log syncBuffer
		s := serve(t, Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))})
		c := s.dial()
		c.list("/")
		c.want(protocol.NotADirectory, protocol.Request{Type: protocol.DownloadFile, Directory: "/dir", Name: "f",
			ChunkSize: 512})
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		text := log.b.String()
		for _, part := range want {
			before, after, found := strings.Cut(text, part)
			if !found {
				t.Errorf("level %v: no %q, or too early, in\n%s", level, part, log.b.String())
			}
			if level == slog.LevelInfo && strings.Contains(before, "op=") {
				t.Errorf("level %v: a request is logged", level)
			}
			text = after
		}
	}
}
