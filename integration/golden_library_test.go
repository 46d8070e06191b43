package integration

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// goldenUses are what the library did when the conversations of a version were recorded.
var goldenUses = map[string]func(ctx context.Context, c *remote.Client) error{
	"2026-11": useLibrary,
}

// useLibrary does what a program can do with a new jail.
func useLibrary(ctx context.Context, c *remote.Client) error {
	content := strings.Repeat("0123456789", 150)
	upload := func(o remote.TransferOptions) error {
		return c.Upload(ctx, "/dir/file", strings.NewReader(content), int64(len(content)), o)
	}
	download := func(p string) error {
		var got bytes.Buffer
		_, err := c.Download(ctx, p, &got, remote.TransferOptions{})
		if err == nil && got.String() != content {
			err = fmt.Errorf("%s has %q", p, got.String())
		}
		return err
	}
	list := func(p string, want ...string) error {
		entries, err := c.List(ctx, p)
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprint(e.Name, " ", e.Size))
		}
		if err == nil && strings.Join(got, ", ") != strings.Join(want, ", ") {
			err = fmt.Errorf("%s holds %q", p, got)
		}
		return err
	}
	stat := func(p string) error {
		_, err := c.Stat(ctx, p)
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
		want error
	}{
		{"mkdir", func() error { return c.MakeDirectory(ctx, "/dir") }, nil},
		{"mkdir again", func() error { return c.MakeDirectory(ctx, "/dir") }, fs.ErrExist},
		{"create", func() error { return c.CreateFile(ctx, "/dir/empty") }, nil},
		{"create again", func() error { return c.CreateFile(ctx, "/dir/empty") }, fs.ErrExist},
		{"upload", func() error { return upload(remote.TransferOptions{}) }, nil},
		{"upload again", func() error { return upload(remote.TransferOptions{}) }, fs.ErrExist},
		{"replace", func() error { return upload(remote.TransferOptions{Replace: true}) }, nil},
		{"download", func() error { return download("/dir/file") }, nil},
		{"download nothing", func() error { return download("/none") }, fs.ErrNotExist},
		{"list", func() error { return list("/dir", "empty 0", "file 1500") }, nil},
		{"list nothing", func() error { return list("/none") }, fs.ErrNotExist},
		{"stat", func() error { return stat("/dir/file") }, nil},
		{"stat nothing", func() error { return stat("/none") }, fs.ErrNotExist},
		{"rename", func() error { return c.Rename(ctx, "/dir/file", "/dir/renamed", remote.RenameReplace) }, nil},
		{"rename nothing", func() error { return c.Rename(ctx, "/none", "/dir/renamed", remote.RenameReplace) }, fs.ErrNotExist},
		{"remove", func() error { return c.Remove(ctx, "/dir/empty") }, nil},
		{"remove nothing", func() error { return c.Remove(ctx, "/none") }, fs.ErrNotExist},
		{"remove all", func() error { return c.RemoveAll(ctx, "/dir") }, nil},
	} {
		if err := step.do(); !errors.Is(err, step.want) {
			return fmt.Errorf("%s: error %v, want %v", step.name, err, step.want)
		}
	}
	return nil
}

// dialLibrary connects a client that sends small chunks.
func dialLibrary(t *testing.T, address string, dial func(context.Context, string) (net.Conn, error)) *remote.Client {
	t.Helper()
	c, err := remote.Dial(t.Context(), remote.Options{
		Address: address, Token: token, Plain: true, ChunkSize: 512, Timeout: patience, Dial: dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// recordLibrary records what the library asks for, each time with its answer.
func recordLibrary(t *testing.T, name string) {
	t.Helper()
	_, address := startServer(t, server.Options{})
	var said, heard lockedBuffer
	c := dialLibrary(t, address, func(_ context.Context, address string) (net.Conn, error) {
		nc, err := net.Dial("tcp", address)
		return recordedConn{Conn: nc, said: &said, heard: &heard}, err
	})
	if err := useLibrary(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	c.Close()
	answers := make(map[uint64][][]byte)
	for _, frames := range messagesOf(t, heard.String()) {
		answers[idOf(t, frames)] = frames
	}
	var lines []goldenLine
	for _, frames := range messagesOf(t, said.String()) {
		lines = append(lines, goldenLine{1, goldenSent, frames})
		if answer := answers[idOf(t, frames)]; answer != nil {
			lines = append(lines, goldenLine{1, goldenReceived, answer})
		}
	}
	writeGolden(t, name, lines)
}

// messagesOf returns the messages of one direction of a connection without encryption.
func messagesOf(t *testing.T, recording string) (messages [][][]byte) {
	t.Helper()
	var frames [][]byte
	for rest := strings.NewReader(recording[greetingSize:]); rest.Len() > 0; {
		f, err := readFrame(rest)
		if err != nil {
			t.Fatal(err)
		}
		if f.flags&flagCommand != 0 {
			continue
		}
		frames = append(frames, f.body)
		if f.flags&flagMore == 0 {
			messages, frames = append(messages, frames), nil
		}
	}
	return messages
}

func idOf(t *testing.T, frames [][]byte) uint64 {
	t.Helper()
	id, err := remofile2.PeekID(frames[0])
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// goldenServer answers what a server of a recorded version did.
type goldenServer struct {
	t     *testing.T
	later bool // it says more than that, as a server of a later version may

	mu      sync.Mutex            // guards answers
	answers map[string][][][]byte // by what is asked, one after the other; the last one serves again
}

// goldenHandles tells what those that are open were opened by.
type goldenHandles map[remofile2.Handle]string

// notOpen is every question about a handle that is not open: what a client sends of a
// burst whose beginning failed is a matter of time.
const notOpen = "a handle that is not open"

// question is what a request asks for: not with which flags, and in what pieces.
func (h goldenHandles) question(r *remofile2.Request) string {
	p := r.Path
	if p == "" && r.Handle != 0 {
		opened, ok := h[r.Handle]
		if !ok {
			return notOpen
		}
		p = "of " + opened
	}
	return strings.TrimSpace(fmt.Sprintln(r.Operation, p, r.ToPath, r.Target, r.Cursor, r.Offset))
}

// learn takes note of a request's answer.
func (h goldenHandles) learn(r *remofile2.Request, header []byte) error {
	a, err := remofile2.DecodeAnswer(r.Operation, header)
	if opens := r.Operation == remofile2.OpOpen || r.Operation == remofile2.OpStage; opens && a.Code == remofile2.CodeDone {
		h[r.Handle] = fmt.Sprint(r.Operation, " ", r.Path)
	}
	return err
}

// newGoldenServer returns a server that gives the answers of a conversation, in which each
// request is followed by its answer.
func newGoldenServer(t *testing.T, name string, later bool) *goldenServer {
	t.Helper()
	handles := make(goldenHandles)
	cancel := handles.question(&remofile2.Request{Operation: remofile2.OpCancel})
	s := &goldenServer{t: t, later: later, answers: map[string][][][]byte{
		cancel:  {{{0x82, 1, 0}}}, // [id, DONE], whenever that is asked for
		notOpen: {{{0x83, 1, byte(remofile2.CodeBadHandle), 0x60}}},
	}}
	var last remofile2.Request
	for _, l := range readGolden(t, name) {
		var err error
		if l.what == goldenSent {
			last, err = remofile2.DecodeRequest(l.frames[0])
		} else {
			q := handles.question(&last)
			s.answers[q] = append(s.answers[q], l.frames)
			err = handles.learn(&last, l.frames[0])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// start listens until the end of the test and returns the address.
func (s *goldenServer) start() string {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { // ends with the listener
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(nc) }) // ends with the client
		}
	})
	s.t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l.Addr().String()
}

func (s *goldenServer) serve(nc net.Conn) {
	conn, err := zmtp.Server(nc, &zmtp.Config{Token: token, Plain: true, Version: 2, MaxMessage: 4 << 20})
	if err != nil {
		s.t.Error(err)
		return
	}
	defer conn.Close()
	handles := make(goldenHandles)
	for {
		frames, err := conn.ReadMessage()
		if err != nil {
			return // the client has gone
		}
		r, err := remofile2.DecodeRequest(frames[0])
		if err != nil {
			s.t.Error(err)
			return
		}
		answer := s.answer(handles.question(&r))
		if answer == nil || handles.learn(&r, answer[0]) != nil {
			return
		}
		// An error of writing shows at the next message.
		header := withID(answer[0], r.ID)
		if !s.later {
			conn.WriteMessage(append([][]byte{header}, answer[1:]...)...)
			continue
		}
		conn.WriteMessage(append([][]byte{withMore(header, laterElement)}, answer[1:]...)...)
		conn.WriteMessage(withMore([]byte{0x82, 0, 0x19, 0x27, 0x0f}, laterElement)) // a notice of event 9999
	}
}

// answer returns the next answer to a question, or nil.
func (s *goldenServer) answer(question string) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := s.answers[question]
	if len(answers) == 0 {
		s.t.Errorf("nobody asked for %s then: an old server would answer it, but what is not recorded", question)
		return nil
	}
	if len(answers) > 1 {
		s.answers[question] = answers[1:]
	}
	return answers[0]
}

// withID returns a header with another id, its second item.
func withID(header []byte, id uint64) []byte {
	sizes := map[byte]int{24: 2, 25: 3, 26: 5, 27: 9} // of numbers of more than one byte, by the low bits of the first
	size := cmp.Or(sizes[header[1]&31], 1)
	return bytes.Join([][]byte{header[:1], remofile2.AppendSize(nil, int64(id)), header[1+size:]}, nil)
}

// TestGoldenConversationsOnLibrary has today's library do what the one of each recorded
// version did, with a server that gives the answers of then.
func TestGoldenConversationsOnLibrary(t *testing.T) {
	eachGolden(t, func(t *testing.T, dir string) {
		use := goldenUses[filepath.Base(dir)]
		if use == nil {
			t.Fatalf("goldenUses lacks %s", filepath.Base(dir))
		}
		replayToLibrary(t, filepath.Join(dir, libraryConversation), use)
	})
}

func replayToLibrary(t *testing.T, name string, use func(context.Context, *remote.Client) error) {
	t.Helper()
	for _, later := range []bool{false, true} {
		c := dialLibrary(t, newGoldenServer(t, name, later).start(), nil)
		if err := use(t.Context(), c); err != nil {
			t.Errorf("a later version: %v: %v", later, err)
		}
		c.Close()
	}
}
