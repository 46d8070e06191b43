package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/protocol"
	. "github.com/remofile/remofile/protocol/remofile2"
)

// TestASessionOutlivesItsLink: its handles go on, also where the old link still lives.
func TestASessionOutlivesItsLink(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "content")
	c := s.dial2()
	if c.attach.Resumed || len(c.attach.Session) != 16 || len(c.attach.Secret) != 32 {
		t.Errorf("ATTACH: %+v", c.attach)
	}
	c.burst(openRequest(1, "/f", OpenRead), stageRequest(2, "/g", StageReserve))
	for _, closed := range []bool{true, false} {
		if closed {
			c.conn.Close()
		}
		again := s.resume(c)
		if !again.attach.Resumed || again.attach.Session != c.attach.Session || again.attach.Secret != c.attach.Secret {
			t.Fatalf("resuming: %+v", again.attach)
		}
		if !closed {
			c.conn.SetReadTimeout(30 * time.Second)
			_, err := c.conn.ReadMessage()
			for err == nil { // answers that came a second time
				_, err = c.conn.ReadMessage()
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the link that lost its session goes on")
			}
		}
		if got := again.want(CodeDone, readRequest(1, 0, 100)); string(got.payload) != "content" {
			t.Errorf("read %q", got.payload)
		}
		again.want(CodeExists, pathRequest(OpMkdir, "/g"))
		c = again
	}
	if got := len(s.status().Sessions); got != 1 {
		t.Errorf("%d sessions", got)
	}
}

func TestAWrongSecretBeginsANewSession(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "")
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead))
	for _, secret := range []string{"", strings.Repeat("x", 32)} {
		other := s.link2()
		a := other.want(CodeDone, attachRequest(c.attach.Session, secret))
		if a.Resumed || a.Session == c.attach.Session || a.Secret == c.attach.Secret {
			t.Errorf("ATTACH: %+v", a.Answer)
		}
		other.want(CodeBadHandle, readRequest(1, 0, 1))
	}
	c.want(CodeDone, readRequest(1, 0, 1))
}

// TestRepeatedRequestsAreNotExecutedTwice sends what was executed again, as after answers
// that were lost.
func TestRepeatedRequestsAreNotExecutedTwice(t *testing.T) {
	s := serve(t, Options{})
	s.write("from", "")
	c := s.dial2()
	requests := []Request{
		openRequest(1, "/log", OpenWrite|OpenCreate|OpenExclusive),
		pathRequest(OpMkdir, "/dir"),
		{Operation: OpAppend, Handle: 1},
		renameRequest("/from", "/to", RenameKeep),
		removeRequest("/missing", 0),
		{Operation: OpSymlink, Path: "/link", Target: "to"},
		stageRequest(2, "/staged", 0),
		{Operation: OpCommit, Handle: 2},
		closeRequest(1),
		pathRequest(OpStat, "/dir"),
	}
	var first []reply
	for i := range requests {
		requests[i].ID = uint64(i + 10)
		first = append(first, c.do(requests[i], []byte("once ")...))
	}
	before := tree(t, s.jail)
	for range 2 {
		c.conn.Close()
		c = s.resume(c)
		c.id = 100
		for i, r := range requests {
			got := c.do(r, []byte("once ")...)
			if got.Code != first[i].Code || got.Attr != first[i].Attr || got.Offset != first[i].Offset {
				t.Errorf("%s: the answers are %+v and %+v", r.Operation, first[i].Answer, got.Answer)
			}
		}
	}
	if after := tree(t, s.jail); after != before {
		t.Errorf("the jail was\n%sand is\n%s", before, after)
	}
	c.want(CodeDone, pathRequest(OpMkdir, "/another"))
}

// TestLostAnswersAreUnknown: what changes something and has no answer any more is not
// executed again; what changes nothing is.
func TestLostAnswersAreUnknown(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	mkdir := pathRequest(OpMkdir, "/0")
	mkdir.ID = 10
	kept := func() bool { // the answers: that is after they were sent
		sess := s.sessions[c.attach.Session]
		sess.mu.Lock()
		defer sess.mu.Unlock()
		return len(sess.underWay) == 0
	}
	c.want(CodeDone, mkdir)
	await(t, "the first answer to be kept", kept)
	const again = 20 + MaxAnswers/2
	for id := uint64(20); id < 20+MaxAnswers; id++ {
		if id == again {
			c.want(CodeExists, Request{ID: id, Operation: OpMkdir, Path: "/0"})
		} else {
			c.want(CodeNotFound, Request{ID: id, Operation: OpRemove, Path: "/missing"})
		}
	}
	await(t, "the last answer to be kept", kept)
	c.want(CodeExists, Request{ID: again, Operation: OpMkdir, Path: "/0"})
	c.want(CodeOutcomeUnknown, mkdir)
	c.want(CodeOutcomeUnknown, Request{ID: 12, Operation: OpMkdir, Path: "/never"})
	c.want(CodeDone, Request{ID: 12, Operation: OpStat, Path: "/0"})
	if got := tree(t, s.jail); got != ". d---------\n0 d---------\n" {
		t.Errorf("the jail holds\n%s", got)
	}
}

// TestTheNewLinkGetsAnswersThatTheOldOneWasDue: a request under way when the link is lost is
// answered once, where it is asked for again.
func TestTheNewLinkGetsAnswersThatTheOldOneWasDue(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
	c.want(CodeDone, Request{Operation: OpSet, Handle: 1, Changes: Changes{Size: new(int64(1 << 40))}})
	slow := Request{ID: 100, Operation: OpDigest, Handle: 1, Length: 1 << 40, Block: 1 << 40}
	behind := Request{ID: 101, Operation: OpAppend, Handle: 1}
	c.send(slow)
	c.send(behind, []byte("x")...)
	again := s.resume(c)
	again.send(slow)
	again.send(behind, []byte("x")...)
	again.id = 101
	all := again.cancel(100)
	if all[100].Code != CodeCancelled || all[101].Code != CodeDone || all[101].Offset != 1<<40 {
		t.Errorf("answers %+v", all)
	}
	if a := again.want(CodeDone, Request{Operation: OpStat, Handle: 1}); a.Attr.Size != 1<<40+1 {
		t.Errorf("the file has %d bytes", a.Attr.Size)
	}
}

func TestGoodbyeFreesEverything(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "")
	c := s.dial2()
	c.burst(openRequest(1, "/f", OpenRead), stageRequest(2, "/g", StageReserve))
	c.want(CodeDone, Request{Operation: OpGoodbye})
	if _, err := c.conn.ReadMessage(); err != io.EOF {
		t.Errorf("after GOODBYE: %v", err)
	}
	if n := s.handles.Load(); n != 0 {
		t.Errorf("%d handles are open", n)
	}
	requireNoStaging(t, s.jail)
	other := s.resume(c)
	if other.attach.Resumed {
		t.Error("the session was resumed")
	}
	other.want(CodeDone, pathRequest(OpMkdir, "/g"))
}

// TestGoodbyeEndsWhatIsUnderWay: it does not wait for a digest of a TiB.
func TestGoodbyeEndsWhatIsUnderWay(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
	c.want(CodeDone, Request{Operation: OpSet, Handle: 1, Changes: Changes{Size: new(int64(1 << 40))}})
	slow := c.send(Request{Operation: OpDigest, Handle: 1, Length: 1 << 40, Block: 1 << 40})
	closing := c.send(closeRequest(1))
	goodbye := c.send(Request{Operation: OpGoodbye})
	all := c.receiveAll()
	if all[slow].Code != CodeCancelled || all[closing].Code != CodeDone || all[goodbye].Code != CodeDone {
		t.Errorf("answers %+v", all)
	}
	if n := s.handles.Load(); n != 0 {
		t.Errorf("%d handles are open", n)
	}
}

// eager is a connection whose writes do not wait for the reader, as those of a pipe do.
type eager struct {
	net.Conn
	written chan []byte
}

func newEager(nc net.Conn) *eager {
	e := &eager{nc, make(chan []byte, 64)}
	go func() { // until the end of the test
		for b := range e.written {
			nc.Write(b) // that it fails the reader will see
		}
	}()
	return e
}

// Write implements net.Conn.
func (e *eager) Write(p []byte) (int, error) {
	e.written <- bytes.Clone(p)
	return len(p), nil
}

// pipe2 begins or resumes a session in a bubble.
func pipe2(t *testing.T, s *Server, attach Request) *client2 {
	t.Helper()
	near, far := from(t, "192.0.2.1")
	return pipe2Over(t, s, near, far, attach)
}

// pipe2Over is pipe2 by a connection of any kind.
func pipe2Over(t *testing.T, s *Server, near, far net.Conn, attach Request) *client2 {
	t.Helper()
	s.startLink(near)
	client := newEager(far)
	t.Cleanup(func() { close(client.written) })
	conn, err := handshake2(client)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient2(t, conn)
	c.attach = c.want(CodeDone, attach).Answer
	return c
}

func TestASessionEndsWithItsGraceTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{Grace: 10 * time.Second})
		c := pipe2(t, s, attachRequest("", ""))
		if c.attach.Info.Grace != 10 {
			t.Errorf("the server tells a grace time of %d s", c.attach.Info.Grace)
		}
		c.want(CodeDone, stageRequest(1, "/f", 0))
		for _, wait := range []time.Duration{0, 9 * time.Second, 9 * time.Second} {
			c.conn.Close()
			time.Sleep(wait)
			c = pipe2(t, s, attachRequest(c.attach.Session, c.attach.Secret))
			if !c.attach.Resumed {
				t.Fatalf("not resumed after %v", wait)
			}
		}
		c.conn.Close()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		requireNoStaging(t, s.options.Jail)
		if n, open := len(s.sessions), s.handles.Load(); n != 0 || open != 0 {
			t.Errorf("%d sessions and %d handles stay", n, open)
		}
		if c = pipe2(t, s, attachRequest(c.attach.Session, c.attach.Secret)); c.attach.Resumed {
			t.Error("resumed after the grace time")
		}
	})
}

// TestSessionsWithoutALinkMakeRoom: they are bounded, and the first that lost its link goes.
func TestSessionsWithoutALinkMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		s.gate = newGate(protocol.MaxUnauthenticated, 3)
		var lost []*client2
		for range 4 {
			c := pipe2(t, s, attachRequest("", ""))
			c.conn.Close()
			time.Sleep(time.Second)
			lost = append(lost, c)
		}
		for i := 3; i >= 0; i-- {
			c := pipe2(t, s, attachRequest(lost[i].attach.Session, lost[i].attach.Secret))
			if c.attach.Resumed != (i > 0) {
				t.Errorf("session %d: resumed is %v", i, c.attach.Resumed)
			}
			c.conn.Close()
			synctest.Wait()
		}
	})
}

// TestShutdownAnswersWhatIsUnderWay: and what can't be waited for is cancelled.
func TestShutdownAnswersWhatIsUnderWay(t *testing.T) {
	s := serve(t, Options{})
	c, lost := s.dial2(), s.dial2()
	lost.want(CodeDone, stageRequest(1, "/f", 0))
	lost.conn.Close()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
	c.want(CodeDone, Request{Operation: OpSet, Handle: 1, Changes: Changes{Size: new(int64(8 << 30))}})
	slow := c.send(Request{Operation: OpDigest, Handle: 1, Length: 64 << 20, Block: 64 << 20})
	c.receiveOnly(c.send(Request{Operation: OpStatus})) // it is under way
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if got := c.receiveOnly(slow); got.Code != CodeDone || len(got.payload) != 32 {
		t.Errorf("answer %v %s", got.Code, got.Message)
	}
	if _, err := c.conn.ReadMessage(); err == nil {
		t.Error("the connection goes on")
	}
	requireNoStaging(t, s.jail)
}

func TestShutdownDoesNotWaitForEver(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
	c.want(CodeDone, Request{Operation: OpSet, Handle: 1, Changes: Changes{Size: new(int64(1 << 40))}})
	c.send(Request{Operation: OpDigest, Handle: 1, Length: 1 << 40, Block: 1 << 40})
	c.receiveOnly(c.send(Request{Operation: OpStatus}))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// TestAnExclusiveServerIsTheSessions: it holds the server without a link, too, comes back at
// once, and others are told.
func TestAnExclusiveServerIsTheSessions(t *testing.T) {
	s := serve(t, Options{Exclusive: true})
	c := s.dial2()
	if got := c.want(CodeDone, Request{Operation: OpStatus}); got.Status.Holder != s.sessions[c.attach.Session].peer {
		t.Errorf("the holder is %q", got.Status.Holder)
	}
	for range 2 {
		if got := s.link2().do(attachRequest("", "")); got.Code != CodeInUse || !strings.Contains(got.Message, "held by 127.0.0.1:") {
			t.Errorf("another session: %v %q", got.Code, got.Message)
		}
		if _, err := s.tryDial(); err == nil || !strings.Contains(err.Error(), "in use: held by 127.0.0.1:") {
			t.Errorf("a session of Remofile 1: %v", err)
		}
		again := s.resume(c)
		if !again.attach.Resumed {
			t.Error("it did not come back")
		}
		again.conn.Close()
	}
	s.resume(c).want(CodeDone, Request{Operation: OpGoodbye})
	s.dial().list("/")
}

// TestBothProtocolsAreServedBesides one another, to one jail.
func TestBothProtocolsAreServedBesides(t *testing.T) {
	s := serve(t, Options{})
	s.uploads.signTime = 0
	one, two := s.dial(), s.dial2()
	two.want(CodeDone, stageRequest(1, "/f", 0))
	if r := one.request(uploadRequest("f")); !strings.Contains(r.Message, "in use by 127.0.0.1:") {
		t.Errorf("an upload of the same name: %s", describe(r))
	}
	two.want(CodeDone, writeRequest(1, 0), []byte("two")...)
	two.want(CodeDone, Request{Operation: OpCommit, Handle: 1})
	if got := string(one.download("/", "f", 512)); got != "two" {
		t.Errorf("downloaded %q", got)
	}
	one.want(protocol.TransferAccepted, uploadRequest("g"))
	two.want(CodeInUse, stageRequest(2, "/g", 0))
	if got := len(two.want(CodeDone, Request{Operation: OpStatus}).Status.Sessions); got != 2 {
		t.Errorf("%d sessions", got)
	}
}

// TestEveryOperationIsKnown: none of the wire's lacks here.
func TestEveryOperationIsKnown(t *testing.T) {
	for op := OpAttach; !strings.HasPrefix(op.String(), "number"); op++ {
		switch op {
		case OpAttach, OpGoodbye, OpCancel:
		default:
			if int(op) >= len(operations) || operations[op].do == nil {
				t.Errorf("%s has no row", op)
			}
		}
	}
}
