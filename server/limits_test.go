package server

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// TestClientsThatDoNotReadGetNoFurther: what they cost is bounded.
func TestClientsThatDoNotReadGetNoFurther(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", string(pattern(MaxPayload)))
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead))
	sess := s.sessions[c.attach.Session]
	state := func(id uint64) (held load, executed bool) {
		sess.mu.Lock()
		defer sess.mu.Unlock()
		if sess.held.bytes > MaxUnread*MaxBytes || len(sess.underWay) != sess.held.requests {
			t.Fatalf("it holds %+v, of %d requests", sess.held, len(sess.underWay))
		}
		return sess.held, sess.lastID == id && sess.load == load{}
	}
	full := load{MaxUnread * MaxBytes / MaxPayload, MaxUnread * MaxBytes}
	for held := (load{}); held != full; { // the sockets hold some answers, too
		id := c.send(readRequest(1, 0, MaxPayload))
		await(t, "the end of a read", func() (executed bool) {
			held, executed = state(id)
			return executed
		})
	}
	for range 20 {
		c.send(readRequest(1, 0, MaxPayload))
	}
	for id, r := range c.receiveAll() {
		if state(id); r.Code != CodeDone {
			t.Errorf("request %d: %v", id, r.Code)
		}
	}
	for range 15 {
		c.send(readRequest(1, 0, MaxPayload))
	}
	c.conn.Close()
	await(t, "the end of the link", func() bool {
		sess.mu.Lock()
		defer sess.mu.Unlock()
		return sess.conn == nil && sess.held == load{} && sess.load == load{} && len(sess.underWay) == 0
	})
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestTooManyRequestsAreRefused: CANCEL never is, and the session goes on.
func TestTooManyRequestsAreRefused(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
	c.want(CodeDone, Request{Operation: OpSet, Handle: 1, Changes: Changes{Size: new(int64(1 << 40))}})
	slow := c.send(Request{Operation: OpDigest, Handle: 1, Length: 1 << 40, Block: 1 << 40})
	for range MaxRequests - 1 {
		c.send(Request{Operation: OpStat, Handle: 1})
	}
	for range 3 {
		if got := c.receiveOnly(c.send(pathRequest(OpMkdir, "/dir"))); got.Code != CodeTooMany {
			t.Fatalf("one more: %v", got.Code)
		}
	}
	for id, got := range c.cancel(slow) {
		if got.Code != CodeDone && id != slow {
			t.Errorf("request %d: %v", id, got.Code)
		}
	}
	slow = c.send(Request{Operation: OpDigest, Handle: 1, Length: 1 << 40, Block: 1 << 40})
	for range MaxBytes/MaxPayload - 1 {
		c.send(readRequest(1, 0, MaxPayload))
	}
	if got := c.receiveOnly(c.send(readRequest(1, 0, MaxPayload))); got.Code != CodeTooMany {
		t.Errorf("one byte more: %v", got.Code)
	}
	c.cancel(slow)
	c.want(CodeDone, pathRequest(OpMkdir, "/dir"))
}

func TestTooManyHandlesAreRefused(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "")
	c, other := s.dial2(), s.dial2()
	s.maxHandles = MaxHandles + 1
	for h := range Handle(MaxHandles) {
		c.want(CodeDone, openRequest(h, "/f", OpenRead))
	}
	c.want(CodeTooMany, openRequest(MaxHandles, "/f", OpenRead))
	c.want(CodeTooMany, stageRequest(MaxHandles, "/g", 0))
	other.want(CodeDone, openRequest(1, "/f", OpenRead))
	other.want(CodeBusy, openRequest(2, "/f", OpenRead))
	c.want(CodeDone, closeRequest(7))
	other.want(CodeDone, openRequest(2, "/f", OpenRead))
	c.want(CodeBusy, openRequest(7, "/f", OpenRead))
}

// TestBadRequestsKeepTheSession: but for what has no id that can be read.
func TestBadRequestsKeepTheSession(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	for name, test := range map[string]struct {
		frames [][]byte
		want   Code
	}{
		"an operation of a later version": {[][]byte{{0x82, 0x01, 0x19, 0x03, 0xe8}}, CodeUnknownOperation},
		"operation 0":                     {[][]byte{{0x82, 0x01, 0x00}}, CodeUnknownOperation},
		"no operation":                    {[][]byte{{0x81, 0x01}}, CodeBadRequest},
		"an argument too few":             {[][]byte{{0x82, 0x01, 0x08}}, CodeBadRequest},
		"garbage behind the id":           {[][]byte{{0x84, 0x01, 0xff, 0xff, 0xff}}, CodeBadRequest},
		"a second ATTACH":                 {[][]byte{AppendRequest(nil, &Request{ID: 1, Operation: OpAttach})}, CodeBadRequest},
		"a payload too many":              {[][]byte{AppendRequest(nil, &Request{ID: 1, Operation: OpStatus}), {}}, CodeBadRequest},
		"a payload too few":               {[][]byte{AppendRequest(nil, &Request{ID: 1, Operation: OpAppend})}, CodeBadRequest},
		"a compressed payload":            {[][]byte{AppendRequest(nil, &Request{ID: 1, Operation: OpAppend}), {1}, {1}}, CodeBadRequest},
		"eight frames":                    {[][]byte{AppendRequest(nil, &Request{ID: 1, Operation: OpStatus}), {}, {}, {}, {}, {}, {}, {}}, CodeBadRequest},
		"a path of 33000 bytes":           {[][]byte{AppendRequest(nil, &Request{ID: 1, Operation: OpMkdir, Path: strings.Repeat("/x", 16500)})}, CodeNameTooLong},
		"a set-uid bit":                   {[][]byte{AppendRequest(nil, &Request{ID: 1, Operation: OpMkdir, Path: "/x", Mode: 0o4755})}, CodeBadRequest},
	} {
		if err := c.conn.WriteMessage(test.frames...); err != nil {
			t.Fatal(err)
		}
		c.sent[1] = OpStatus
		if got := c.receive(); got.Code != test.want || got.Message == "" {
			t.Errorf("%s: %v %q, want %v", name, got.Code, got.Message, test.want)
		}
	}
	c.id = 1000
	c.want(CodeDone, Request{Operation: OpStatus})
	for _, frame := range []string{"garbage", "\x80", "\x82\x00\x03", "\xa0"} {
		c := s.dial2()
		if err := c.conn.WriteMessage([]byte(frame)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.conn.ReadMessage(); err == nil {
			t.Errorf("%q is answered", frame)
		}
	}
}

func TestAttachComesFirst(t *testing.T) {
	s := serve(t, Options{})
	for _, r := range []Request{{Operation: OpStatus}, {Operation: OpGoodbye}, {Operation: Operation(999)}} {
		c := s.link2()
		if got := c.do(r); got.Code == CodeDone {
			t.Errorf("%s is answered without ATTACH", r.Operation)
		}
		if _, err := c.conn.ReadMessage(); err == nil {
			t.Errorf("the link goes on after %s", r.Operation)
		}
	}
}

// TestFileSizeLimit: in Remofile 2 it bounds what makes a file larger, and only where it
// was given.
func TestFileSizeLimit(t *testing.T) {
	for _, limit := range []int64{0, 1000} {
		s := serve(t, Options{FileSizeLimit: limit})
		s.write("big", string(pattern(2000)))
		s.write("f", "")
		c := s.dial2()
		if got := c.attach.Info.FileSizeLimit; got != uint64(limit) {
			t.Errorf("the server tells a limit of %d", got)
		}
		c.burst(openRequest(1, "/f", OpenRead|OpenWrite), openRequest(2, "/big", OpenRead|OpenWrite), stageRequest(3, "/staged", 0))
		beyond := CodeTooLarge
		if limit == 0 {
			beyond = CodeDone
		}
		size := Changes{Size: new(int64(1001))}
		for _, h := range []Handle{1, 3} {
			c.want(CodeDone, writeRequest(h, 0), make([]byte, 1000)...)
			c.want(beyond, writeRequest(h, 1000), 1)
			c.want(beyond, Request{Operation: OpAppend, Handle: h}, 1)
			c.want(beyond, Request{Operation: OpSet, Handle: h, Changes: size})
			c.want(beyond, Request{Operation: OpAllocate, Handle: h, Offset: 1000, Length: 1})
			c.want(beyond, Request{Operation: OpCopy, Handle: 2, ToHandle: h, ToOffset: 10, Length: 1000})
		}
		c.want(beyond, Request{Operation: OpSet, Path: "/f", Changes: size})
		c.want(CodeDone, writeRequest(2, 1999), 1)
		c.want(CodeDone, Request{Operation: OpSet, Path: "/big", Changes: Changes{Size: new(int64(1500))}})
	}
}

// TestAFaultIsTheFailureOfOneRequest has a server that lost a part of itself.
func TestAFaultIsTheFailureOfOneRequest(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	uploads := s.uploads
	s.uploads = nil
	c.want(CodeFailed, pathRequest(OpMkdir, "/f"))
	s.uploads = uploads
	c.want(CodeDone, pathRequest(OpMkdir, "/f"))
}

// TestWhatTheSystemLacksForTheMomentIsBusy, and no message names a path of the server.
func TestWhatTheSystemLacksForTheMomentIsBusy(t *testing.T) {
	for errno, want := range map[unix.Errno]Code{unix.EMFILE: CodeBusy, unix.ENFILE: CodeBusy, unix.ENOMEM: CodeBusy,
		unix.EIO: CodeInputOutput, unix.EDQUOT: CodeQuota, unix.ENOSPC: CodeNoSpace, unix.EFBIG: CodeTooLarge, unix.ENODEV: CodeFailed} {
		err := fmt.Errorf("wrapped: %w", &os.PathError{Op: "open", Path: "/the/path", Err: errno})
		if got, message := codeOf(err); got != want || message != errno.Error() {
			t.Errorf("%v: %v %q, want %v", errno, got, message, want)
		}
	}
	if got, message := codeOf(errors.New("/the/path")); got != CodeFailed || message != "internal error" {
		t.Errorf("%v %q", got, message)
	}
}
