package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp"
)

const token = "the token of the tests"

// served is a server on a free port of the loopback, with its jail.
type served struct {
	*Server
	t       testing.TB
	jail    string
	address string
}

// serve starts a server with the options o, for a jail of its own unless o has one.
// At the end of the test it must have left nothing in it. Its staging directories do not linger.
func serve(t testing.TB, o Options) *served {
	t.Helper()
	if o.Jail == "" {
		o.Jail = t.TempDir()
	}
	o.Token = token
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.jail.stagings.linger = 0
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("Serve returned %v, want ErrClosed", err)
		}
		requireNoStaging(t, o.Jail)
	})
	return &served{Server: s, t: t, jail: o.Jail, address: l.Addr().String()}
}

// client is one session with a server.
type client struct {
	t    testing.TB
	conn *zmtp.Conn
}

func (s *served) dial() *client {
	s.t.Helper()
	conn, err := s.tryDial()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return &client{t: s.t, conn: conn}
}

func (s *served) tryDial() (*zmtp.Conn, error) {
	nc, err := net.Dial("tcp", s.address)
	if err != nil {
		return nil, err
	}
	return handshake(nc)
}

func handshake(nc net.Conn) (*zmtp.Conn, error) {
	return zmtp.Client(context.Background(), nc, &zmtp.Config{Token: token, Plain: true, Version: 1, MaxMessage: 32 << 20})
}

// send sends a message and returns the decoded response.
func (c *client) send(frames ...[]byte) protocol.Response {
	c.t.Helper()
	if err := c.conn.WriteMessage(frames...); err != nil {
		c.t.Fatal(err)
	}
	return c.receive()
}

func (c *client) receive() protocol.Response {
	c.t.Helper()
	frames, err := c.conn.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	if len(frames) != 2 || len(frames[0]) != 0 {
		c.t.Fatalf("the answer has %d frames", len(frames))
	}
	r, err := protocol.DecodeResponse(frames[1])
	if err != nil {
		c.t.Fatal(err)
	}
	r.Data = bytes.Clone(r.Data)
	return r
}

func (c *client) request(r protocol.Request) protocol.Response {
	c.t.Helper()
	return c.send(nil, protocol.AppendRequest(nil, &r))
}

// want makes a request that must be answered by reason.
func (c *client) want(reason protocol.Reason, r protocol.Request) protocol.Response {
	c.t.Helper()
	got := c.request(r)
	if got.Reason != reason {
		c.t.Fatalf("%v of %q in %q: answer %v %v %q, want %v", r.Type, r.Name, r.Directory, got.Type, got.Reason,
			got.Message, reason)
	}
	return got
}

// upload makes the requests of a whole upload and returns the last answer.
func (c *client) upload(dir, name string, content []byte, chunkSize int, replace bool) protocol.Response {
	c.t.Helper()
	r := c.request(protocol.Request{Type: protocol.UploadFile, Name: name, Directory: dir, Size: int64(len(content)),
		ChunkSize: int64(chunkSize), Replace: replace})
	for r.Reason == protocol.TransferAccepted || r.Reason == protocol.ChunkReceived {
		n := min(chunkSize, len(content))
		r = c.request(protocol.Request{Type: protocol.SendChunk, Data: content[:n]})
		content = content[n:]
	}
	return r
}

// download makes the requests of a whole download.
func (c *client) download(dir, name string, chunkSize int) []byte {
	c.t.Helper()
	c.want(protocol.TransferAccepted, protocol.Request{Type: protocol.DownloadFile, Name: name, Directory: dir,
		ChunkSize: int64(chunkSize)})
	var content []byte
	for {
		r := c.request(protocol.Request{Type: protocol.ReceiveChunk})
		content = append(content, r.Data...)
		if r.Reason == protocol.TransferCompleted {
			return content
		}
		if r.Reason != protocol.ChunkSent {
			c.t.Fatalf("download of %s: %v %s", name, r.Reason, r.Message)
		}
	}
}

// list returns the listing of a directory by name.
func (c *client) list(dir string) map[string]protocol.Entry {
	c.t.Helper()
	entries := make(map[string]protocol.Entry)
	for _, e := range c.want(protocol.FilesListed, protocol.Request{Type: protocol.ListFiles, Directory: dir}).Entries {
		entries[e.Name] = e
	}
	return entries
}

func (c *client) names(dir string) string {
	c.t.Helper()
	var names []string
	for name := range c.list(dir) {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// write makes a file of the jail behind the server's back.
func (s *served) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.jail, name), []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) mkdir(name string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Join(s.jail, name), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) link(text, name string) {
	s.t.Helper()
	if err := os.Symlink(text, filepath.Join(s.jail, name)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) read(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.jail, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

func requireNoStaging(t testing.TB, jail string) {
	t.Helper()
	for _, path := range stagingsIn(t, jail) {
		t.Errorf("%s was left", path)
	}
}

// stagingsIn returns the paths of the directories named like staging ones.
func stagingsIn(t testing.TB, jail string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(jail, func(path string, d fs.DirEntry, err error) error {
		if err == nil && isStagingName(d.Name()) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// descriptors returns how many descriptors the process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func pattern(n int) []byte {
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(i * 7 / 3)
	}
	return content
}

func describe(r protocol.Response) string {
	return fmt.Sprintf("%v %v %q, %d bytes", r.Type, r.Reason, r.Message, len(r.Data))
}

// session returns a session without a client, for calls of handle.
func (s *served) session(t testing.TB) *session1 {
	t.Helper()
	nc, other := net.Pipe()
	t.Cleanup(func() { nc.Close(); other.Close() })
	sess := &session1{link: newLink(s.Server, nc, 0)}
	t.Cleanup(sess.toIdle)
	return sess
}
