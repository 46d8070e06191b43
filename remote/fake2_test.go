package remote

import (
	"context"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
)

// fake2 is a server of Remofile 2 in memory: as much of one as sessions and transfers need.
// It executes requests in the order in which they come. It lives in a bubble of
// testing/synctest.
type fake2 struct {
	// The following may be nil, and are not changed while the fake serves.

	// hook is asked about each request but ATTACH before it is executed.
	hook func(s *fakeSession, r *remofile2.Request) verdict
	// shape wraps the client's end of the n-th link, counted from 1; an error is that of dialling.
	shape func(n int, nc net.Conn) (net.Conn, error)
	// rate, if not 0, is how many bytes come to the server in a second.
	rate int
	// chunks answers CHUNKS, which the fake does not know where it is nil.
	chunks func(content []byte, r *remofile2.Request) []byte
	// welcome may change the answer to ATTACH on the n-th link.
	welcome func(n int, a *remofile2.Answer)

	running sync.WaitGroup

	mu       sync.Mutex // guards what follows
	links    int
	conns    map[*zmtp.Conn]bool // with a session
	sessions map[string]*fakeSession
	files    map[string]string
	changes  []string // applied, in their order
	requests []remofile2.Operation
}

// verdict is what becomes of a request.
type verdict int

const (
	serve  verdict = iota
	ignore         // it is not answered
	hangUp         // before it is executed
	hangUpAfter
)

// fakeSession is guarded by fake2.mu.
type fakeSession struct {
	id      string
	link    int // that it has
	answers map[uint64]*remofile2.Answer
	handles map[remofile2.Handle]*fakeFile
}

type fakeFile struct {
	path    string
	content []byte
	staged  bool
}

func newFake2() *fake2 {
	return &fake2{sessions: make(map[string]*fakeSession), files: make(map[string]string), conns: make(map[*zmtp.Conn]bool)}
}

// client dials the fake; both end with the test.
func (f *fake2) client(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := Dial(t.Context(), f.options(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.end(c) })
	return c
}

// end ends a client, the fake and the pipes between them.
func (f *fake2) end(c *Client) {
	c.Close()
	f.running.Wait()
	time.Sleep(time.Minute) // bubble's: buffered.send gives up
}

func (f *fake2) options(o Options) Options {
	o.Address, o.Token, o.Dial, o.Plain = "fake:1", "secret", f.dial, true
	return o
}

func (f *fake2) dial(context.Context, string) (net.Conn, error) {
	ours, theirs := bufferedPipe()
	ours = socket{ours}
	if f.rate > 0 {
		theirs = throttled{theirs, f.rate}
	}
	f.mu.Lock()
	f.links++
	n := f.links
	f.mu.Unlock()
	if f.shape != nil {
		shaped, err := f.shape(n, ours)
		if err != nil {
			ours.Close()
			theirs.Close()
			return nil, err
		}
		ours = shaped
	}
	f.running.Go(func() {
		conn, err := zmtp.Server(theirs, &zmtp.Config{Token: "secret", Plain: true, Version: 2, MaxMessage: 2 << 20})
		if err != nil {
			return
		}
		defer conn.Close()
		f.serve(conn, n)
	})
	return ours, nil
}

// socket is the end of a pipe with the errors of a real connection.
type socket struct{ net.Conn }

func (s socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	return n, socketError(err)
}

func (s socket) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	return n, socketError(err)
}

func socketError(err error) error {
	if err == io.ErrClosedPipe {
		return syscall.ECONNRESET
	}
	return err
}

// refused is a shape for links that can't be made.
var refused = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}

// restart forgets all sessions, as a server does that is started again.
func (f *fake2) restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions = make(map[string]*fakeSession)
}

func (f *fake2) linked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.links
}

// cut ends all links, and waits until the client has noticed.
func (f *fake2) cut() {
	f.mu.Lock()
	for conn := range f.conns {
		conn.Close()
	}
	f.mu.Unlock()
	time.Sleep(time.Millisecond)
}

// attached returns how many links have a session.
func (f *fake2) attached() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

func (f *fake2) content(p string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.files[p]
}

// changed returns how often each change was applied.
func (f *fake2) changed() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	times := make(map[string]int)
	for _, c := range f.changes {
		times[c]++
	}
	return times
}

func (f *fake2) asked(op remofile2.Operation) (times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.requests {
		if o == op {
			times++
		}
	}
	return times
}

func (f *fake2) serve(conn *zmtp.Conn, n int) {
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, conn)
	}()
	var s *fakeSession
	for {
		frames, err := conn.ReadMessage()
		if err != nil {
			return
		}
		r, err := remofile2.DecodeRequest(frames[0])
		if err != nil {
			return
		}
		if r.Operation == remofile2.OpAttach {
			s = f.attach(conn, n, &r)
			continue
		}
		var payload []byte
		if len(frames) > 1 {
			payload = frames[1]
		}
		what := serve
		if f.hook != nil {
			what = f.hook(s, &r)
		}
		if what == hangUp {
			return
		}
		a, out, ok := f.execute(s, n, &r, payload)
		if !ok || what == hangUpAfter {
			return
		}
		header := remofile2.AppendAnswer(nil, r.Operation, a)
		switch {
		case what == ignore:
		case r.Operation.AnswerPayload() && a.Code == remofile2.CodeDone:
			conn.WriteMessage(header, out)
		default:
			conn.WriteMessage(header)
		}
		if r.Operation == remofile2.OpGoodbye {
			return
		}
	}
}

func (f *fake2) attach(conn *zmtp.Conn, n int, r *remofile2.Request) *fakeSession {
	f.mu.Lock()
	s, resumed := f.sessions[r.Session]
	if !resumed {
		s = &fakeSession{id: strings.Repeat(string(rune('a'+n%26)), 16), answers: make(map[uint64]*remofile2.Answer), handles: make(map[remofile2.Handle]*fakeFile)}
		f.sessions[s.id] = s
	}
	s.link = n
	f.conns[conn] = true
	f.mu.Unlock()
	a := &remofile2.Answer{
		ID: r.ID, Session: s.id, Secret: strings.Repeat("s", 32), Resumed: resumed,
		Info: remofile2.Info{Protocol: 2, Requests: remofile2.MaxRequests, Bytes: remofile2.MaxBytes, Payload: remofile2.MaxPayload, Grace: 60},
	}
	if f.welcome != nil {
		f.welcome(n, a)
	}
	conn.WriteMessage(remofile2.AppendAnswer(nil, remofile2.OpAttach, a))
	return s
}

// execute does a request of the link that has the session; ok is false for another one.
func (f *fake2) execute(s *fakeSession, n int, r *remofile2.Request, payload []byte) (a *remofile2.Answer, out []byte, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s == nil || s.link != n {
		return nil, nil, false
	}
	f.requests = append(f.requests, r.Operation)
	if a, known := s.answers[r.ID]; known {
		return a, nil, true
	}
	a = &remofile2.Answer{ID: r.ID}
	file := s.handles[r.Handle]
	switch r.Operation {
	case remofile2.OpOpen, remofile2.OpStage:
		content, exists := f.files[r.Path]
		if r.Operation == remofile2.OpOpen && !exists && r.Flags&remofile2.OpenCreate == 0 {
			a.Code = remofile2.CodeNotFound
			break
		}
		if r.Operation == remofile2.OpStage {
			content = ""
		}
		s.handles[r.Handle] = &fakeFile{path: r.Path, content: []byte(content), staged: r.Operation == remofile2.OpStage}
		a.Attr.Size = int64(len(content))
	case remofile2.OpClose:
		if file == nil {
			a.Code = remofile2.CodeBadHandle
		}
		delete(s.handles, r.Handle)
	case remofile2.OpRead, remofile2.OpWrite, remofile2.OpCommit:
		if file == nil {
			a.Code = remofile2.CodeBadHandle
			break
		}
		out = f.transfer(file, r, payload)
	case remofile2.OpStat:
		a.Attr.Size = int64(len(f.files[r.Path]))
		if file != nil {
			a.Attr.Size = int64(len(file.content))
		}
	case remofile2.OpMkdir, remofile2.OpRemove, remofile2.OpRename:
		f.changes = append(f.changes, strings.Join([]string{r.Operation.String(), r.Path, r.ToPath}, " "))
	case remofile2.OpList:
		for _, p := range slices.Sorted(maps.Keys(f.files)) {
			a.Entries = append(a.Entries, remofile2.Entry{Name: p[1:]})
		}
	case remofile2.OpChunks:
		if f.chunks == nil {
			a.Code = remofile2.CodeUnknownOperation
			break
		}
		out = f.chunks(file.content, r)
	case remofile2.OpGoodbye:
		delete(f.sessions, s.id)
	}
	if r.Operation.Once() {
		s.answers[r.ID] = a
	}
	return a, out, true
}

func (f *fake2) transfer(file *fakeFile, r *remofile2.Request, payload []byte) []byte {
	switch r.Operation {
	case remofile2.OpWrite:
		f.changes = append(f.changes, "WRITE "+file.path)
		if missing := int(r.Offset) + len(payload) - len(file.content); missing > 0 {
			file.content = append(file.content, make([]byte, missing)...)
		}
		copy(file.content[r.Offset:], payload)
	case remofile2.OpCommit:
		f.changes = append(f.changes, "COMMIT "+file.path)
		f.files[file.path] = string(file.content)
	case remofile2.OpRead:
		from := min(r.Offset, int64(len(file.content)))
		return file.content[from:min(from+r.Length, int64(len(file.content)))]
	}
	return nil
}
