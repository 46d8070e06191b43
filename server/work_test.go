package server

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// TestWhatAllSessionsTakeIsBounded: one that does not read its answers leaves the others
// waiting for a while, but not for what takes nothing of what lacks, and not for ever.
func TestWhatAllSessionsTakeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		s.work.bytes = semaphore.NewWeighted(MaxPayload)
		greedy, c := pipe2(t, s, attachRequest("", "")), pipe2(t, s, attachRequest("", ""))
		third := pipe2(t, s, attachRequest("", ""))
		content := make([]byte, MaxPayload)
		greedy.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
		greedy.want(CodeDone, writeRequest(1, 0), content...)
		c.want(CodeDone, openRequest(1, "/f", OpenRead))
		greedy.send(readRequest(1, 0, MaxPayload))
		synctest.Wait()

		start := time.Now()
		c.want(CodeDone, Request{Operation: OpStat, Path: "/f"})
		if took := time.Since(start); took != 0 {
			t.Errorf("STAT took %v", took)
		}
		c.want(CodeBusy, readRequest(1, 0, 1))
		if took := time.Since(start); took != RoomTime {
			t.Errorf("BUSY after %v", took)
		}
		id := c.send(readRequest(1, 0, MaxPayload))
		synctest.Wait()
		third.want(CodeDone, Request{Operation: OpStat, Path: "/f"})
		if took := time.Since(start); took != RoomTime {
			t.Errorf("STAT took %v while others wait", took-RoomTime)
		}
		time.Sleep(time.Second)
		if got := greedy.receive(); got.Code != CodeDone {
			t.Errorf("the answer is %v", got.Code)
		}
		if got := c.receive(); got.ID != id || got.Code != CodeDone {
			t.Errorf("when there is room: %v", got.Code)
		}
		if took := time.Since(start); took != RoomTime+time.Second {
			t.Errorf("all took %v", took)
		}
		synctest.Wait()
		if !s.work.bytes.TryAcquire(MaxPayload) || !s.work.requests.TryAcquire(MaxAllRequests) {
			t.Error("not all is given back")
		}
	})
}

// TestWhatIsRefusedTakesNoRoom when it is answered.
func TestWhatIsRefusedTakesNoRoom(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	c.want(CodeBadHandle, writeRequest(1, 0), 1, 2, 3)
	c.want(CodeDone, Request{Operation: OpGoodbye})
	if !s.work.bytes.TryAcquire(MaxAllBytes) || !s.work.requests.TryAcquire(MaxAllRequests) || !s.work.executed.TryAcquire(MaxExecuted) {
		t.Error("not all is given back")
	}
}

// TestSoManyRequestsAreExecutedAtATime: the others wait, CLOSE also when it is cancelled, and
// long computations are not among them.
func TestSoManyRequestsAreExecutedAtATime(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "content")
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead))
	if !s.work.executed.TryAcquire(MaxExecuted) {
		t.Fatal("requests are executed")
	}
	release := sync.OnceFunc(func() { s.work.executed.Release(MaxExecuted) })
	t.Cleanup(release)
	waiting := c.send(Request{Operation: OpStat, Path: "/f"})
	digest := c.send(Request{Operation: OpDigest, Handle: 1, Length: 100, Block: 100})
	if got := c.receive(); got.ID != digest || got.Code != CodeDone {
		t.Errorf("DIGEST: request %d, %v", got.ID, got.Code)
	}
	closing := c.send(closeRequest(1))
	for _, id := range []uint64{closing, waiting} {
		c.send(Request{Operation: OpCancel, Cancel: id})
	}
	for range 3 { // of CANCEL, and of STAT
		if got := c.receive(); got.ID == closing || (got.ID == waiting) != (got.Code == CodeCancelled) {
			t.Errorf("request %d: %v", got.ID, got.Code)
		}
	}
	release()
	if got := c.receive(); got.ID != closing || got.Code != CodeDone {
		t.Errorf("CLOSE: request %d, %v", got.ID, got.Code)
	}
}

// TestLongComputationsTakeTurns: they don't keep others from anything, and each goes on.
func TestLongComputationsTakeTurns(t *testing.T) {
	s := serve(t, Options{})
	s.work.turns = semaphore.NewWeighted(1)
	c := s.dial2()
	c.want(CodeDone, openRequest(0, "/f", OpenRead|OpenWrite|OpenCreate))
	c.want(CodeDone, Request{Operation: OpSet, Handle: 0, Changes: Changes{Size: new(int64(1 << 40))}})
	var endless []uint64
	for h := range Handle(20) {
		c.send(openRequest(h+1, "/f", OpenRead))
		endless = append(endless, c.send(Request{Operation: OpDigest, Handle: h + 1, Length: 1 << 40, Block: 1 << 40}))
	}
	for range 20 {
		c.receive() // of OPEN
	}
	short := s.dial2()
	short.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite))
	short.want(CodeDone, Request{Operation: OpStat, Handle: 1})
	short.want(CodeDone, Request{Operation: OpDigest, Handle: 1, Length: digestPiece, Block: digestPiece})
	short.want(CodeDone, Request{Operation: OpCopy, Handle: 1, ToHandle: 1, ToOffset: 1 << 20, Length: 1 << 20})
	for _, id := range endless {
		c.send(Request{Operation: OpCancel, Cancel: id})
	}
	all := c.receiveAll()
	for _, id := range endless {
		if got := all[id].Code; got != CodeCancelled {
			t.Errorf("request %d: %v", id, got)
		}
	}
}
