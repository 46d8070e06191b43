package server

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// hangingRequests have a call that does not return.
var hangingRequests = []struct {
	call    string
	request Request
}{
	{"read", readRequest(1, 0, 512)},
	{"write", writeRequest(1, 0)},
	{"fsync", Request{Operation: OpSync, Handle: 1}},
	{"flush", closeRequest(1)},
}

// TestStorageHangs: a request whose call does not return keeps nobody else from anything,
// neither in its session nor in others. Its answer comes when it does return, to the link
// that the session has by then.
func TestStorageHangs(t *testing.T) {
	storage := mountStorage(t)
	s := serve(t, Options{Jail: storage.jail})
	other := s.dial2()
	for _, hanging := range hangingRequests {
		t.Run(hanging.call, func(t *testing.T) {
			storage.begin(t, string(newContent))
			c := s.dial2()
			c.want(CodeDone, openRequest(1, "/file", OpenRead|OpenWrite))
			storage.hang(hanging.call)
			id := c.send(hanging.request, newContent...)
			await(t, "the call", storage.met)

			if err := c.conn.Ping(); err != nil {
				t.Error(err)
			}
			c.want(CodeDone, Request{Operation: OpStatus})
			c.want(CodeDone, Request{Operation: OpCancel, Cancel: id}) // in vain
			c.want(CodeDone, pathRequest(OpStat, "/"))
			if got := other.names("/", MaxPage); len(got) != 1 {
				t.Errorf("another session lists %q", got)
			}
			other.want(CodeDone, pathRequest(OpMkdir, "/other"))
			other.want(CodeDone, removeRequest("/other", RemoveDirectory))

			c.conn.Close()
			again := s.resume(c)
			if !again.attach.Resumed {
				t.Fatal("the session is another one")
			}
			again.sent[id] = hanging.request.Operation
			again.want(CodeDone, Request{Operation: OpStatus})
			storage.release()
			if got := again.receive(); got.ID != id || got.Code != CodeDone {
				t.Errorf("the answer to request %d is %v, want one to %d", got.ID, got.Code, id)
			}
			again.want(CodeDone, Request{Operation: OpGoodbye})
		})
	}
}

// TestShutdownLeavesWhatHangs: it returns soon after its context has ended.
func TestShutdownLeavesWhatHangs(t *testing.T) {
	storage := mountStorage(t)
	s := serve(t, Options{Jail: storage.jail})
	storage.begin(t, string(newContent))
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/file", OpenWrite))
	storage.hang("write")
	c.send(writeRequest(1, 0), newContent...)
	await(t, "the call", storage.met)

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errStuck) {
		t.Errorf("Shutdown: %v", err)
	}
	storage.release() // Close waits for the rest
}

// TestAnotherStorageHangs: uploads to the other file systems of a jail go on.
func TestAnotherStorageHangs(t *testing.T) {
	storage := mountStorage(t)
	s := serve(t, Options{Jail: filepath.Dir(storage.jail)})
	c, other := s.dial2(), s.dial2()
	storage.hang("mkdir") // of the hidden directory
	id := c.send(stageRequest(1, "/"+filepath.Base(storage.jail)+"/file", 0))
	await(t, "the call", storage.met)

	other.want(CodeDone, stageRequest(1, "/file", 0))
	other.want(CodeDone, writeRequest(1, 0), newContent...)
	other.want(CodeDone, commitRequest(1, 0))

	storage.release()
	if got := c.receive(); got.ID != id || got.Code != CodeDone {
		t.Errorf("the answer to request %d is %v, want one to %d", got.ID, got.Code, id)
	}
}
