package server

import (
	"bytes"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/protocol"
	. "github.com/remofile/remofile/protocol/remofile2"
)

// lostTime is what a busy machine may take to notice that a link is lost.
const lostTime = 30 * time.Second

// TestALostSessionMakesWay for an upload that begins again: what it has sent is resumed, and
// its handle is no longer of use when it comes back.
func TestALostSessionMakesWay(t *testing.T) {
	s := serve(t, Options{})
	s.uploads.signTime = lostTime
	lost := s.dial2()
	lost.want(CodeDone, partRequest(1, "/f", "p", 0))
	lost.want(CodeDone, writeRequest(1, 0), []byte("half")...)
	lost.want(CodeDone, stageRequest(2, "/r", StageReserve))
	lost.want(CodeDone, openRequest(3, "/o", OpenRead|OpenWrite|OpenCreate))
	lost.conn.Close()
	c := s.dial2()
	if got := c.want(CodeDone, partRequest(1, "/f", "p", StageResume)).Attr.Size; got != 4 {
		t.Errorf("the part has %d bytes", got)
	}
	c.want(CodeExists, stageRequest(2, "/r", 0))

	lost = s.resume(lost)
	lost.wantAll(
		changed{writeRequest(1, 0), CodeStale},
		changed{Request{Operation: OpAppend, Handle: 1}, CodeStale},
		changed{Request{Operation: OpSet, Handle: 1, Changes: Changes{Size: new(int64(0))}}, CodeStale},
		changed{Request{Operation: OpAllocate, Handle: 1, Length: 10}, CodeStale},
		changed{Request{Operation: OpCopy, Handle: 3, ToHandle: 1, Length: 10}, CodeStale},
		changed{Request{Operation: OpCopy, Handle: 1, ToHandle: 3, Length: 10}, CodeStale},
		changed{readRequest(1, 0, 10), CodeStale},
		changed{Request{Operation: OpStat, Handle: 1}, CodeStale},
		changed{Request{Operation: OpSync, Handle: 1}, CodeStale},
		changed{commitRequest(1, 0), CodeStale},
		changed{closeRequest(1), CodeDone},
		changed{commitRequest(2, 0), CodeDone},
		changed{readRequest(3, 0, 10), CodeDone},
	)
	c.want(CodeDone, writeRequest(1, 4), []byte(" and half")...)
	c.want(CodeDone, commitRequest(1, 0))
	if got := s.read("f"); got != "half and half" {
		t.Errorf("the file holds %q", got)
	}
	requireNoStaging(t, s.jail)
	if got := s.uploads.total(); got != 0 {
		t.Errorf("%d bytes are staged", got)
	}
}

// TestWritesOfALostSessionEndBeforeItMakesWay: what is resumed changes no longer.
func TestWritesOfALostSessionEndBeforeItMakesWay(t *testing.T) {
	s := serve(t, Options{})
	s.uploads.signTime = lostTime
	const piece = 100_000
	for round := range byte(20) {
		lost, c := s.dial2(), s.dial2()
		lost.want(CodeDone, partRequest(1, "/f", "p", 0))
		lost.want(CodeDone, writeRequest(1, 0), 'x')
		for i := range int64(20) {
			lost.send(writeRequest(1, i*piece), bytes.Repeat([]byte{round}, piece)...)
		}
		lost.conn.Close()
		digest := Request{Operation: OpDigest, Handle: 1, Length: 1 << 40, Block: 1 << 40}
		c.want(CodeDone, partRequest(1, "/f", "p", StageResume))
		before := c.want(CodeDone, digest)
		s.resume(lost).want(CodeStale, writeRequest(1, 0), 'x')
		if after := c.want(CodeDone, digest); !bytes.Equal(before.payload, after.payload) {
			t.Fatal("the part has changed")
		}
		c.want(CodeDone, Request{Operation: OpClose, Handle: 1, Flags: CloseDiscard})
		requireNoStaging(t, s.jail)
	}
}

// TestALivingHolderKeepsTheName, and the others are told who that is.
func TestALivingHolderKeepsTheName(t *testing.T) {
	s := serve(t, Options{})
	two, one := s.dial2(), s.dial()
	two.want(CodeDone, stageRequest(1, "/two", 0))
	one.want(protocol.TransferAccepted, uploadRequest("one"))
	go two.conn.ReadMessage() // answers PING, until the end of the test
	go one.conn.ReadMessage()
	told := regexp.MustCompile(`^in use by 127\.0\.0\.1:\d+, which uploads it since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d$`)
	c := s.dial2()
	for _, path := range []string{"/one", "/two"} {
		if got := c.want(CodeInUse, stageRequest(1, path, 0)); !told.MatchString(got.Message) {
			t.Errorf("%s: %q", path, got.Message)
		}
	}
	c.want(CodeDone, stageRequest(1, "/mine", 0))
	c.want(CodeInUse, stageRequest(2, "/mine", 0))
	requireParts(t, s.jail, 3)
}

// TestASilentHolderIsWaitedFor, in case its connection ends.
func TestASilentHolderIsWaitedFor(t *testing.T) {
	const endsAfter = SignTime / 2
	for name, hold := range map[string]func(t *testing.T, s *Server) (end func() error){
		"Remofile 2": func(t *testing.T, s *Server) func() error {
			c := pipe2(t, s, attachRequest("", ""))
			c.want(CodeDone, stageRequest(1, "/f", 0))
			return c.conn.Close
		},
		"Remofile 1": func(t *testing.T, s *Server) func() error {
			near, far := from(t, "192.0.2.2")
			s.startLink(near)
			nc := newEager(far)
			t.Cleanup(func() { close(nc.written) })
			conn, err := handshake(nc)
			if err != nil {
				t.Fatal(err)
			}
			(&client{t: t, conn: conn}).want(protocol.TransferAccepted, uploadRequest("f"))
			return conn.Close
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, Options{})
				end := hold(t, s)
				c := pipe2(t, s, attachRequest("", ""))
				start := time.Now()
				c.want(CodeInUse, stageRequest(1, "/f", 0))
				if took := time.Since(start); took != SignTime {
					t.Errorf("told after %v", took)
				}
				start = time.Now()
				c.send(stageRequest(1, "/f", 0))
				time.Sleep(endsAfter)
				end()
				if got := c.receive(); got.Code != CodeDone || time.Since(start) != endsAfter {
					t.Errorf("after %v: %v %s", time.Since(start), got.Code, got.Message)
				}
			})
		})
	}
}

// TestRemofile1DisplacesALostSession, too: of that nothing stays.
func TestRemofile1DisplacesALostSession(t *testing.T) {
	s := serve(t, Options{})
	s.uploads.signTime = lostTime
	lost, one := s.dial2(), s.dial()
	lost.want(CodeDone, stageRequest(1, "/f", 0))
	lost.want(CodeDone, writeRequest(1, 0), []byte("half")...)
	lost.conn.Close()
	if r := one.upload("/", "f", []byte("whole"), 512, false); r.Reason != protocol.TransferCompleted {
		t.Errorf("answer %s", describe(r))
	}
	requireNoStaging(t, s.jail)
	s.resume(lost).want(CodeStale, commitRequest(1, 0))
	if got := s.read("f"); got != "whole" {
		t.Errorf("the file holds %q", got)
	}
}

// TestAReservationIsDisplacedInTimeOrNot: nothing of it stays in the table.
func TestAReservationIsDisplacedInTimeOrNot(t *testing.T) {
	s := serve(t, Options{})
	s.uploads.signTime = lostTime
	other := s.dial2()
	for range 30 {
		lost := s.dial2()
		lost.send(stageRequest(1, "/f", StageReserve))
		lost.conn.Close()
		switch got := other.do(stageRequest(1, "/f", 0)); got.Code {
		case CodeDone:
			other.want(CodeDone, closeRequest(1))
		case CodeExists, CodeInUse:
		default:
			t.Errorf("answer %v %s", got.Code, got.Message)
		}
		s.resume(lost).want(CodeDone, Request{Operation: OpGoodbye})
		s.uploads.mu.Lock()
		claims, reserved := len(s.uploads.claims), len(s.uploads.reserved)
		s.uploads.mu.Unlock()
		if claims != 0 || reserved != 0 {
			t.Fatalf("%d claims and %d reserved names stay", claims, reserved)
		}
		requireNoStaging(t, s.jail)
	}
}
