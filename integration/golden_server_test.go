package integration

import (
	"bytes"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp"
	"github.com/remofile/remofile/server"
)

// goldenConn is a connection of a client that knows messages only.
type goldenConn struct {
	*zmtp.Conn
	t       *testing.T
	asked   map[uint64]remofile2.Operation // 0 is one that is unknown
	answers map[uint64][][]byte            // that nobody has taken
	notices [][][]byte                     // likewise
}

func dialGolden(t *testing.T, address string) *goldenConn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := zmtp.Client(t.Context(), nc, &zmtp.Config{Token: token, Plain: true, Version: 2, MaxMessage: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadTimeout(patience)
	return &goldenConn{Conn: conn, t: t, asked: make(map[uint64]remofile2.Operation), answers: make(map[uint64][][]byte)}
}

func (c *goldenConn) send(frames [][]byte) {
	c.t.Helper()
	id, err := remofile2.PeekID(frames[0])
	if err != nil {
		c.t.Fatal(err)
	}
	r, _ := remofile2.DecodeRequest(frames[0]) // it may be one that fails
	c.asked[id] = r.Operation
	if err := c.WriteMessage(frames...); err != nil {
		c.t.Fatal(err)
	}
}

// answer waits for the answer with this id.
func (c *goldenConn) answer(id uint64) [][]byte {
	c.t.Helper()
	for c.answers[id] == nil {
		c.read()
	}
	frames := c.answers[id]
	delete(c.answers, id)
	return frames
}

func (c *goldenConn) notice() [][]byte {
	c.t.Helper()
	for len(c.notices) == 0 {
		c.read()
	}
	frames := c.notices[0]
	c.notices = c.notices[1:]
	return frames
}

func (c *goldenConn) read() {
	c.t.Helper()
	received, err := c.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	frames := make([][]byte, len(received))
	for i, f := range received {
		frames[i] = bytes.Clone(f)
	}
	id, err := remofile2.PeekID(frames[0])
	if err != nil {
		c.t.Fatal(err)
	}
	if id == 0 {
		c.notices = append(c.notices, frames)
	} else {
		c.answers[id] = frames
	}
}

// decode returns what two runs of a conversation have in common of an answer.
func (c *goldenConn) decode(id uint64, frames [][]byte) (remofile2.Answer, []byte) {
	c.t.Helper()
	a, err := remofile2.DecodeAnswer(c.asked[id], frames[0])
	if err != nil {
		c.t.Fatal(err)
	}
	mask(&a)
	return a, slices.Concat(frames[1:]...)
}

// mask takes from an answer what no two runs have in common: messages for people, ids and
// secrets of sessions, what the server tells of itself, space, and what the file system
// chooses.
func mask(a *remofile2.Answer) {
	a.Message, a.Session, a.Secret = "", "", ""
	a.Info, a.Status, a.Space = remofile2.Info{Protocol: a.Info.Protocol, Features: a.Info.Features}, remofile2.Status{}, remofile2.Space{}
	maskAttr(&a.Attr)
	for i := range a.Entries {
		maskAttr(&a.Entries[i].Attr)
	}
}

// goldenTime is a time that the conversations set; the clock tells later ones.
const goldenTime = remofile2.Time(1e18)

func maskAttr(a *remofile2.Attr) {
	a.Changed, a.Born, a.Device, a.Inode = 0, 0, 0, 0
	if a.Modified > goldenTime {
		a.Modified = 0
	}
	if a.Kind == remofile2.KindDirectory {
		a.Size, a.Links = 0, 0
	}
}

// TestGoldenConversationsOnServer has today's server answer what clients of each recorded
// version asked. Answers may come in another order, and tell more than they did.
func TestGoldenConversationsOnServer(t *testing.T) {
	eachGolden(t, func(t *testing.T, dir string) { replayToServer(t, filepath.Join(dir, serverConversation)) })
}

func replayToServer(t *testing.T, name string) {
	t.Helper()
	_, address := startServer(t, server.Options{})
	conns := make(map[int]*goldenConn)
	secrets := make(map[string]string) // what a session has now, by what it had then
	for i, l := range readGolden(t, name) {
		if conns[l.conn] == nil {
			conns[l.conn] = dialGolden(t, address)
		}
		c := conns[l.conn]
		switch l.what {
		case goldenLost:
			c.Close()
		case goldenSent:
			for then, now := range secrets {
				l.frames[0] = bytes.ReplaceAll(l.frames[0], []byte(then), []byte(now))
			}
			c.send(l.frames)
		case goldenReceived:
			c.compare(i, l.frames, secrets)
		}
	}
}

// compare waits for what the server said in the ith line, and learns the secrets of a
// session.
func (c *goldenConn) compare(i int, then [][]byte, secrets map[string]string) {
	c.t.Helper()
	id, err := remofile2.PeekID(then[0])
	if err != nil {
		c.t.Fatal(err)
	}
	if id == 0 {
		c.expectNotice(then[0])
		return
	}
	now := c.answer(id)
	if c.asked[id] == remofile2.OpAttach {
		learn(c.t, secrets, then[0], now[0])
	}
	wantAnswer, wantPayload := c.decode(id, then)
	answer, payload := c.decode(id, now)
	if !reflect.DeepEqual(answer, wantAnswer) || !bytes.Equal(payload, wantPayload) {
		c.t.Errorf("message %d, %v: the answer is\n%+v %q, it was\n%+v %q", i+1, c.asked[id], answer, payload, wantAnswer, wantPayload)
	}
}

func learn(t *testing.T, secrets map[string]string, then, now []byte) {
	t.Helper()
	old, err := remofile2.DecodeAnswer(remofile2.OpAttach, then)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := remofile2.DecodeAnswer(remofile2.OpAttach, now)
	if err != nil {
		t.Fatal(err)
	}
	secrets[old.Session], secrets[old.Secret] = fresh.Session, fresh.Secret
}

// expectNotice waits for a notice that tells of all that another one tells of.
func (c *goldenConn) expectNotice(then []byte) {
	c.t.Helper()
	want, err := remofile2.DecodeNotice(then)
	if err != nil {
		c.t.Fatal(err)
	}
	for {
		got, err := remofile2.DecodeNotice(c.notice()[0])
		if err != nil {
			c.t.Fatal(err)
		}
		missing := slices.DeleteFunc(slices.Clone(want.Names), func(name string) bool { return slices.Contains(got.Names, name) })
		if got.Event == want.Event && got.Directory == want.Directory && (len(missing) == 0 || len(got.Names) == 0) {
			return
		}
	}
}
