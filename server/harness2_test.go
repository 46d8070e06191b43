package server

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/compression"
	"github.com/remofile/remofile/protocol/zmtp"
)

// client2 is one link of a session in Remofile 2.
type client2 struct {
	t      testing.TB
	conn   *zmtp.Conn
	id     uint64 // of the last request
	attach remofile2.Answer
	sent   map[uint64]remofile2.Operation // requests without an answer
	codec  *compression.Codec             // nil: it takes no compressed payload
	told   []remofile2.Notice             // that have come between answers
}

// reply is an answer with its payload.
type reply struct {
	remofile2.Answer
	payload []byte
}

// dial2 begins a session.
func (s *served) dial2() *client2 {
	s.t.Helper()
	c := s.link2()
	c.attach = c.want(remofile2.CodeDone, attachRequest("", "")).Answer
	return c
}

// link2 connects without ATTACH.
func (s *served) link2() *client2 {
	s.t.Helper()
	conn, err := s.connect2()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return newClient2(s.t, conn)
}

func newClient2(t testing.TB, conn *zmtp.Conn) *client2 {
	return &client2{t: t, conn: conn, sent: make(map[uint64]remofile2.Operation)}
}

func (s *served) connect2() (*zmtp.Conn, error) {
	nc, err := net.Dial("tcp", s.address)
	if err != nil {
		return nil, err
	}
	return handshake2(nc)
}

func handshake2(nc net.Conn) (*zmtp.Conn, error) {
	return zmtp.Client(context.Background(), nc, &zmtp.Config{Token: token, Plain: true, Version: version, MaxMessage: 4 << 20})
}

// resume takes the session of another client over, and goes on with its ids.
func (s *served) resume(of *client2) *client2 {
	s.t.Helper()
	c := s.link2()
	c.id = of.id
	c.attach = c.want(remofile2.CodeDone,
		attachRequest(of.attach.Session, of.attach.Secret)).Answer
	return c
}

// send sends a request, with a payload if its operation has one, and returns its id. It
// has one already where it is sent again.
func (c *client2) send(r remofile2.Request, payload ...byte) uint64 {
	c.t.Helper()
	if r.ID == 0 {
		c.id++
		r.ID = c.id
	}
	frames := [][]byte{remofile2.AppendRequest(nil, &r)}
	if r.Operation.RequestPayload() {
		frames = append(frames, payload)
	}
	if err := c.conn.WriteMessage(frames...); err != nil {
		c.t.Fatal(err)
	}
	c.sent[r.ID] = r.Operation
	return r.ID
}

// receive returns the next answer, of whatever request.
func (c *client2) receive() reply {
	c.t.Helper()
	r, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

var errAnswer = errors.New("an answer that no request waits for, or of another form")

func (c *client2) read() (reply, error) {
	frames, err := c.conn.ReadMessage()
	if err != nil {
		return reply{}, err
	}
	id, err := remofile2.PeekID(frames[0])
	if err != nil {
		return reply{}, err
	}
	if id == 0 {
		n, err := remofile2.DecodeNotice(frames[0])
		if err != nil {
			return reply{}, err
		}
		c.told = append(c.told, n)
		return c.read()
	}
	op, known := c.sent[id]
	if !known && c.attach.Resumed {
		return c.read() // the answer is on its way a second time
	}
	a, err := remofile2.DecodeAnswer(op, frames[0])
	if err != nil {
		return reply{}, err
	}
	compressed := c.codec != nil && len(frames) == 3
	if !known || (a.Code == remofile2.CodeDone && op.AnswerPayload()) != (len(frames) == 2 || compressed) {
		return reply{}, errAnswer
	}
	delete(c.sent, id)
	r := reply{Answer: a}
	switch {
	case compressed:
		r.payload, err = decompressed(c.codec, frames[1], frames[2])
	case len(frames) == 2:
		r.payload = bytes.Clone(frames[1])
	}
	return r, err
}

// receiveAll returns the answers to all requests that have none yet, by id.
func (c *client2) receiveAll() map[uint64]reply {
	c.t.Helper()
	all := make(map[uint64]reply)
	for len(c.sent) > 0 {
		r := c.receive()
		all[r.ID] = r
	}
	return all
}

// cancel cancels a request and returns the answers to all that have none yet, by id. That to the request may come
// before that to CANCEL, which must be done.
func (c *client2) cancel(id uint64) map[uint64]reply {
	c.t.Helper()
	cancel := c.send(remofile2.Request{Operation: remofile2.OpCancel, Cancel: id})
	all := c.receiveAll()
	if got := all[cancel].Code; got != remofile2.CodeDone {
		c.t.Errorf("CANCEL: %v", got)
	}
	return all
}

// burst sends requests one after the other, before any answer is read, and returns the
// answers in the order of the requests.
func (c *client2) burst(requests ...remofile2.Request) []reply {
	c.t.Helper()
	var ids []uint64
	for _, r := range requests {
		ids = append(ids, c.send(r))
	}
	all := c.receiveAll()
	var replies []reply
	for _, id := range ids {
		replies = append(replies, all[id])
	}
	return replies
}

// do makes a request and returns its answer; no other may be under way.
func (c *client2) do(r remofile2.Request, payload ...byte) reply {
	c.t.Helper()
	id := c.send(r, payload...)
	got := c.receive()
	if got.ID != id {
		c.t.Fatalf("the answer is to request %d, want %d", got.ID, id)
	}
	return got
}

// want makes a request that must be answered with a code.
func (c *client2) want(want remofile2.Code, r remofile2.Request, payload ...byte) reply {
	c.t.Helper()
	got := c.do(r, payload...)
	if got.Code != want {
		c.t.Fatalf("%s: answer %v %q, want %v", describe2(&r), got.Code, got.Message, want)
	}
	return got
}

// names returns the listing of a directory, in pages of so many bytes.
func (c *client2) names(dir string, most int64) (names []string) {
	c.t.Helper()
	r := remofile2.Request{Operation: remofile2.OpList, Path: dir, Length: most}
	for {
		page := c.want(remofile2.CodeDone, r)
		for _, e := range page.Entries {
			names = append(names, e.Name)
		}
		if page.Cursor == "" {
			return names
		}
		r.Cursor = page.Cursor
	}
}

func describe2(r *remofile2.Request) string {
	s := r.Operation.String()
	for _, part := range []string{r.Path, r.ToPath} {
		if part != "" {
			s += " " + part
		}
	}
	return s
}

// The requests that tests make most.

func attachRequest(session, secret string) remofile2.Request {
	return remofile2.Request{
		Operation: remofile2.OpAttach, Session: session, Secret: secret, Features: []string{remofile2.FeatureResume},
	}
}

func openRequest(h remofile2.Handle, path string, flags remofile2.Flags) remofile2.Request {
	return remofile2.Request{Operation: remofile2.OpOpen, Handle: h, Path: path, Flags: flags, Mode: 0o666}
}

func stageRequest(h remofile2.Handle, path string, flags remofile2.Flags) remofile2.Request {
	return remofile2.Request{Operation: remofile2.OpStage, Handle: h, Path: path, Flags: flags, Mode: 0o666}
}

func closeRequest(h remofile2.Handle) remofile2.Request {
	return remofile2.Request{Operation: remofile2.OpClose, Handle: h}
}

func readRequest(h remofile2.Handle, offset, length int64) remofile2.Request {
	return remofile2.Request{Operation: remofile2.OpRead, Handle: h, Offset: offset, Length: length}
}

func writeRequest(h remofile2.Handle, offset int64) remofile2.Request {
	return remofile2.Request{Operation: remofile2.OpWrite, Handle: h, Offset: offset}
}

func pathRequest(op remofile2.Operation, path string) remofile2.Request {
	return remofile2.Request{Operation: op, Path: path, Mode: 0o777}
}

func renameRequest(from, to string, flags remofile2.Flags) remofile2.Request {
	return remofile2.Request{Operation: remofile2.OpRename, Path: from, ToPath: to, Flags: flags}
}

func removeRequest(path string, flags remofile2.Flags) remofile2.Request {
	return remofile2.Request{Operation: remofile2.OpRemove, Path: path, Flags: flags}
}
