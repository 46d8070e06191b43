package integration

import (
	"encoding/hex"
	"path/filepath"
	"testing"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/server"
)

// TestGoldenConversationsOfToday records conversations, for good only with -record, and
// replays them: what differs between two runs must be masked.
func TestGoldenConversationsOfToday(t *testing.T) {
	dir := t.TempDir()
	if *record != "" {
		dir = filepath.Join(goldenDirectory, *record)
	}
	recordServer(t, filepath.Join(dir, serverConversation))
	replayToServer(t, filepath.Join(dir, serverConversation))
	recordLibrary(t, filepath.Join(dir, libraryConversation))
	replayToLibrary(t, filepath.Join(dir, libraryConversation), useLibrary)
}

// recorder is a client that writes down what it says and hears.
type recorder struct {
	t       *testing.T
	address string
	conns   map[int]*goldenConn
	id      uint64 // of the last request
	lines   []goldenLine
}

// recordServer has a client ask for each operation of today, so that it succeeds and so
// that it fails.
func recordServer(t *testing.T, name string) {
	t.Helper()
	_, address := startServer(t, server.Options{})
	r := &recorder{t: t, address: address, conns: make(map[int]*goldenConn)}
	attached := r.attach(1, remofile2.Answer{})
	r.names()
	r.files()
	r.bursts()
	r.staged()
	r.parts()
	r.watches()
	r.later()
	r.resume(attached)
	asked := make(map[remofile2.Operation]bool)
	for _, c := range r.conns {
		for _, op := range c.asked {
			asked[op] = true
		}
	}
	for op := remofile2.OpAttach; op <= remofile2.OpUnwatch; op++ {
		if !asked[op] {
			t.Errorf("%v is not asked for", op)
		}
	}
	writeGolden(t, name, r.lines)
}

// send sends a request with the next id, unless it has one.
func (r *recorder) send(conn int, q remofile2.Request, payload ...[]byte) (id uint64) {
	r.t.Helper()
	if q.ID == 0 {
		r.id++
		q.ID = r.id
	}
	r.sendHeader(conn, remofile2.AppendRequest(nil, &q), payload...)
	return q.ID
}

func (r *recorder) sendHeader(conn int, header []byte, payload ...[]byte) {
	r.t.Helper()
	if r.conns[conn] == nil {
		r.conns[conn] = dialGolden(r.t, r.address)
	}
	frames := append([][]byte{header}, payload...)
	r.conns[conn].send(frames)
	r.lines = append(r.lines, goldenLine{conn, goldenSent, frames})
}

// hear waits for an answer.
func (r *recorder) hear(conn int, id uint64) (remofile2.Answer, [][]byte) {
	r.t.Helper()
	c := r.conns[conn]
	frames := c.answer(id)
	r.lines = append(r.lines, goldenLine{conn, goldenReceived, frames})
	a, err := remofile2.DecodeAnswer(c.asked[id], frames[0])
	if err != nil {
		r.t.Fatal(err)
	}
	return a, frames[1:]
}

// ask sends a request whose answer must have this code.
func (r *recorder) ask(conn int, want remofile2.Code, q remofile2.Request, payload ...[]byte) remofile2.Answer {
	r.t.Helper()
	a, _ := r.hear(conn, r.send(conn, q, payload...))
	if a.Code != want {
		r.t.Errorf("%+v: %v, %s, want %v", q, a.Code, a.Message, want)
	}
	return a
}

// do and fail are ask on the first connection.
func (r *recorder) do(q remofile2.Request, payload ...[]byte) remofile2.Answer {
	r.t.Helper()
	return r.ask(1, remofile2.CodeDone, q, payload...)
}

func (r *recorder) fail(want remofile2.Code, q remofile2.Request, payload ...[]byte) {
	r.t.Helper()
	r.ask(1, want, q, payload...)
}

// attach begins a session, or takes one over.
func (r *recorder) attach(conn int, session remofile2.Answer) remofile2.Answer {
	r.t.Helper()
	return r.ask(conn, remofile2.CodeDone, remofile2.Request{
		Operation: remofile2.OpAttach, Session: session.Session, Secret: session.Secret,
		Features: []string{remofile2.FeatureResume, remofile2.FeatureZstd},
	})
}

func (r *recorder) names() {
	type request = remofile2.Request
	r.do(request{Operation: remofile2.OpMkdir, Path: "/d", Mode: 0o700})
	r.fail(remofile2.CodeExists, request{Operation: remofile2.OpMkdir, Path: "/d", Mode: 0o700})
	r.do(request{Operation: remofile2.OpOpen, Handle: 1, Path: "/d/file", Flags: remofile2.OpenWrite | remofile2.OpenCreate, Mode: 0o600})
	r.do(request{Operation: remofile2.OpClose, Handle: 1})
	r.do(request{Operation: remofile2.OpSet, Path: "/d/file",
		Changes: remofile2.Changes{Size: new(int64(5)), Mode: new(uint16(0o640)), Modified: new(goldenTime), Accessed: new(goldenTime)}})
	r.fail(remofile2.CodeNotFound, request{Operation: remofile2.OpSet, Path: "/none", Changes: remofile2.Changes{Mode: new(uint16(0o640))}})
	r.do(request{Operation: remofile2.OpStat, Path: "/d/file"})
	r.fail(remofile2.CodeNotFound, request{Operation: remofile2.OpStat, Path: "/none"})
	r.do(request{Operation: remofile2.OpLink, Path: "/d/file", ToPath: "/d/second"})
	r.fail(remofile2.CodeNotFound, request{Operation: remofile2.OpLink, Path: "/none", ToPath: "/d/third"})
	r.do(request{Operation: remofile2.OpSymlink, Path: "/d/symlink", Target: "file"})
	r.fail(remofile2.CodeExists, request{Operation: remofile2.OpSymlink, Path: "/d/symlink", Target: "file"})
	r.do(request{Operation: remofile2.OpReadlink, Path: "/d/symlink"})
	r.fail(remofile2.CodeNotFound, request{Operation: remofile2.OpReadlink, Path: "/none"})
	r.do(request{Operation: remofile2.OpStat, Path: "/d/symlink", Flags: remofile2.StatFollow})
	r.do(request{Operation: remofile2.OpRename, Path: "/d/second", ToPath: "/d/third", Flags: remofile2.RenameKeep})
	r.fail(remofile2.CodeExists, request{Operation: remofile2.OpRename, Path: "/d/third", ToPath: "/d/file", Flags: remofile2.RenameKeep})
	r.fail(remofile2.CodeNotFound, request{Operation: remofile2.OpRename, Path: "/none", ToPath: "/d/second"})
	for cursor := ""; ; {
		if cursor = r.do(request{Operation: remofile2.OpList, Path: "/d", Cursor: cursor, Length: 1}).Cursor; cursor == "" {
			break
		}
	}
	r.fail(remofile2.CodeNotADirectory, request{Operation: remofile2.OpList, Path: "/d/file", Length: 1000})
	r.do(request{Operation: remofile2.OpRemove, Path: "/d/third"})
	r.fail(remofile2.CodeNotEmpty, request{Operation: remofile2.OpRemove, Path: "/d", Flags: remofile2.RemoveDirectory})
	r.do(request{Operation: remofile2.OpRemove, Path: "/d", Flags: remofile2.RemoveRecursive})
	r.do(request{Operation: remofile2.OpSpace, Path: "/"})
	r.fail(remofile2.CodeNotFound, request{Operation: remofile2.OpSpace, Path: "/none"})
	r.do(request{Operation: remofile2.OpSync, Path: "/"})
	r.fail(remofile2.CodeNotFound, request{Operation: remofile2.OpSync, Path: "/none"})
	r.do(request{Operation: remofile2.OpStatus})
}

// zstdFrame is 1000 times the letter a (RFC 8878, with a block of type RLE).
var zstdFrame, _ = hex.DecodeString("28b52ffd60e802431f0061")

func (r *recorder) files() {
	type request = remofile2.Request
	r.do(request{Operation: remofile2.OpMkdir, Path: "/d", Mode: 0o700})
	open := request{Operation: remofile2.OpOpen, Handle: 1, Path: "/d/file", Mode: 0o600,
		Flags: remofile2.OpenRead | remofile2.OpenWrite | remofile2.OpenCreate | remofile2.OpenExclusive}
	r.do(open)
	open.Handle = 2
	r.fail(remofile2.CodeExists, open)
	r.fail(remofile2.CodeNotFound, request{Operation: remofile2.OpOpen, Handle: 2, Path: "/none", Flags: remofile2.OpenRead})
	r.do(request{Operation: remofile2.OpWrite, Handle: 1, Offset: 2}, []byte("some bytes"))
	r.fail(remofile2.CodeBadHandle, request{Operation: remofile2.OpWrite, Handle: 2}, []byte("x"))
	r.do(request{Operation: remofile2.OpAppend, Handle: 1}, []byte(", more bytes"))
	r.fail(remofile2.CodeBadHandle, request{Operation: remofile2.OpAppend, Handle: 2}, []byte("x"))
	r.do(request{Operation: remofile2.OpRead, Handle: 1, Offset: 1, Length: 1000})
	r.do(request{Operation: remofile2.OpRead, Handle: 1, Offset: 1000, Length: 1})
	r.fail(remofile2.CodeBadHandle, request{Operation: remofile2.OpRead, Handle: 2, Length: 1})
	r.fail(remofile2.CodeBadRequest, request{Operation: remofile2.OpRead, Handle: 1, Length: 1 << 40})
	r.do(request{Operation: remofile2.OpDigest, Handle: 1, Length: 1000, Block: 10})
	r.fail(remofile2.CodeBadHandle, request{Operation: remofile2.OpDigest, Handle: 2, Length: 10, Block: 10})
	r.do(request{Operation: remofile2.OpWrite, Handle: 1, Offset: 4}, zstdFrame, remofile2.AppendSize(nil, 1000))
	r.do(request{Operation: remofile2.OpRead, Handle: 1, Length: 2000})
	r.do(request{Operation: remofile2.OpAllocate, Handle: 1, Offset: 1000, Length: 1000})
	r.do(request{Operation: remofile2.OpAllocate, Handle: 1, Offset: 100, Length: 100, Flags: remofile2.AllocatePunch})
	r.fail(remofile2.CodeBadHandle, request{Operation: remofile2.OpAllocate, Handle: 2, Length: 1})
	r.do(request{Operation: remofile2.OpSeek, Handle: 1, Offset: 300})
	r.fail(remofile2.CodeNoData, request{Operation: remofile2.OpSeek, Handle: 1, Offset: 1 << 20})
	r.do(request{Operation: remofile2.OpOpen, Handle: 2, Path: "/d/copy", Flags: remofile2.OpenWrite | remofile2.OpenCreate, Mode: 0o600})
	r.do(request{Operation: remofile2.OpCopy, Handle: 1, Offset: 90, ToHandle: 2, Length: 10_000})
	r.fail(remofile2.CodeBadHandle, request{Operation: remofile2.OpCopy, Handle: 1, ToHandle: 3, Length: 1})
	r.do(request{Operation: remofile2.OpSync, Handle: 1, Flags: remofile2.SyncData})
	r.do(request{Operation: remofile2.OpStat, Handle: 2})
	r.do(request{Operation: remofile2.OpSet, Handle: 2, Changes: remofile2.Changes{Size: new(int64(7))}})
	r.do(request{Operation: remofile2.OpClose, Handle: 2})
	r.fail(remofile2.CodeBadHandle, request{Operation: remofile2.OpClose, Handle: 2})
	r.do(request{Operation: remofile2.OpCancel, Cancel: r.id}) // too late
	r.do(request{Operation: remofile2.OpClose, Handle: 1})
}

// bursts sends requests together, whose order matters.
func (r *recorder) bursts() {
	type request = remofile2.Request
	for _, burst := range [][]request{{
		{Operation: remofile2.OpOpen, Handle: 3, Path: "/d/copy", Flags: remofile2.OpenRead},
		{Operation: remofile2.OpRead, Handle: 3, Length: 1000},
		{Operation: remofile2.OpClose, Handle: 3},
	}, {
		{Operation: remofile2.OpOpen, Handle: 3, Path: "/none", Flags: remofile2.OpenRead},
		{Operation: remofile2.OpRead, Handle: 3, Length: 1000},
		{Operation: remofile2.OpClose, Handle: 3},
	}} {
		var ids []uint64
		for _, q := range burst {
			ids = append(ids, r.send(1, q))
		}
		for _, id := range ids {
			r.hear(1, id)
		}
	}
}

func (r *recorder) staged() {
	type request = remofile2.Request
	r.do(request{Operation: remofile2.OpStage, Handle: 4, Path: "/d/staged", Mode: 0o600})
	r.fail(remofile2.CodeInUse, request{Operation: remofile2.OpStage, Handle: 5, Path: "/d/staged", Mode: 0o600})
	r.do(request{Operation: remofile2.OpWrite, Handle: 4}, []byte("staged"))
	r.fail(remofile2.CodeNotFound, request{Operation: remofile2.OpStat, Path: "/d/staged"})
	r.do(request{Operation: remofile2.OpCommit, Handle: 4, Flags: remofile2.CommitSync, Changes: remofile2.Changes{Modified: new(goldenTime)}})
	r.fail(remofile2.CodeBadHandle, request{Operation: remofile2.OpCommit, Handle: 5})
	r.do(request{Operation: remofile2.OpClose, Handle: 4})
	r.fail(remofile2.CodeExists, request{Operation: remofile2.OpStage, Handle: 4, Path: "/d/staged", Mode: 0o600})

	r.do(request{Operation: remofile2.OpStage, Handle: 4, Path: "/d/staged", Mode: 0o644, Flags: remofile2.StageReplace | remofile2.StageRead})
	r.do(request{Operation: remofile2.OpAppend, Handle: 4}, []byte("replaced"))
	r.do(request{Operation: remofile2.OpRead, Handle: 4, Length: 100})
	r.fail(remofile2.CodeExists, request{Operation: remofile2.OpCommit, Handle: 4, Flags: remofile2.CommitKeep})
	r.do(request{Operation: remofile2.OpClose, Handle: 4})

	r.do(request{Operation: remofile2.OpStage, Handle: 4, Path: "/d/reserved", Mode: 0o600, Flags: remofile2.StageReserve})
	r.fail(remofile2.CodeNotFound, request{Operation: remofile2.OpStat, Path: "/d/reserved"})
	r.fail(remofile2.CodeExists, request{Operation: remofile2.OpMkdir, Path: "/d/reserved", Mode: 0o700})
	r.do(request{Operation: remofile2.OpWrite, Handle: 4}, []byte("reserved"))
	r.do(request{Operation: remofile2.OpOpen, Handle: 5, Path: "/d/reserved", Flags: remofile2.OpenWrite})
	r.do(request{Operation: remofile2.OpStat, Path: "/d/reserved"})
	r.do(request{Operation: remofile2.OpCommit, Handle: 4})
	r.do(request{Operation: remofile2.OpClose, Handle: 4})
	r.do(request{Operation: remofile2.OpClose, Handle: 5})
}

// parts leaves a part of an upload and goes on with it.
func (r *recorder) parts() {
	type request = remofile2.Request
	stage := request{Operation: remofile2.OpStage, Handle: 4, Path: "/d/long", Mode: 0o600, Part: "part 1"}
	r.do(stage)
	r.do(request{Operation: remofile2.OpWrite, Handle: 4}, []byte("first half"))
	r.do(request{Operation: remofile2.OpClose, Handle: 4})
	stage.Flags = remofile2.StageResume | remofile2.StageRead
	r.do(stage)
	r.do(request{Operation: remofile2.OpDigest, Handle: 4, Length: 10, Block: 10})
	r.do(request{Operation: remofile2.OpWrite, Handle: 4, Offset: 10}, []byte(", second half"))
	r.do(request{Operation: remofile2.OpCommit, Handle: 4})
	r.do(request{Operation: remofile2.OpClose, Handle: 4})
	stage.Flags |= remofile2.StageReplace
	r.do(stage) // a new one
	r.do(request{Operation: remofile2.OpClose, Handle: 4, Flags: remofile2.CloseDiscard})
}

// watches has another session change what the first one watches.
func (r *recorder) watches() {
	type request = remofile2.Request
	r.do(request{Operation: remofile2.OpMkdir, Path: "/watched", Mode: 0o700})
	r.do(request{Operation: remofile2.OpWatch, Path: "/watched"})
	r.fail(remofile2.CodeNotFound, request{Operation: remofile2.OpWatch, Path: "/none"})
	r.attach(2, remofile2.Answer{})
	r.ask(2, remofile2.CodeDone, request{Operation: remofile2.OpMkdir, Path: "/watched/new", Mode: 0o700})
	r.notice(remofile2.EventChanged)
	r.do(request{Operation: remofile2.OpUnwatch, Path: "/watched"})
	r.do(request{Operation: remofile2.OpWatch, Path: "/watched"})
	r.ask(2, remofile2.CodeDone, request{Operation: remofile2.OpRemove, Path: "/watched", Flags: remofile2.RemoveRecursive})
	r.notice(remofile2.EventGone)
	r.ask(2, remofile2.CodeDone, request{Operation: remofile2.OpGoodbye})
}

// notice waits for one of this event to the first session.
func (r *recorder) notice(event remofile2.Event) {
	r.t.Helper()
	for {
		frames := r.conns[1].notice()
		n, err := remofile2.DecodeNotice(frames[0])
		if err != nil {
			r.t.Fatal(err)
		}
		if n.Event == event {
			r.lines = append(r.lines, goldenLine{1, goldenReceived, frames})
			return
		}
	}
}

// later asks as a client of a later version may.
func (r *recorder) later() {
	type request = remofile2.Request
	headers := [][]byte{
		withMore(remofile2.AppendRequest(nil, &request{ID: r.id + 1, Operation: 9999}), laterElement),
		withMore(remofile2.AppendRequest(nil, &request{ID: r.id + 2, Operation: remofile2.OpStat, Path: "/d/copy"}), laterElement),
		withLaterKey(remofile2.AppendRequest(nil, &request{ID: r.id + 3, Operation: remofile2.OpSet, Path: "/d/copy"})),
	}
	for i, want := range []remofile2.Code{remofile2.CodeUnknownOperation, remofile2.CodeDone, remofile2.CodeDone} {
		r.id++
		r.sendHeader(1, headers[i])
		if a, _ := r.hear(1, r.id); a.Code != want {
			r.t.Errorf("a later version's request %d: %v, %s, want %v", i, a.Code, a.Message, want)
		}
	}
	r.do(request{Operation: remofile2.OpStat, Path: "/d/copy"})
}

// resume loses the connection of the first session, whose ids and secrets attached tells,
// and goes on with another connection. A request is sent again there, and is not done twice.
func (r *recorder) resume(attached remofile2.Answer) {
	type request = remofile2.Request
	r.do(request{Operation: remofile2.OpOpen, Handle: 6, Path: "/d/copy", Flags: remofile2.OpenRead})
	made := request{Operation: remofile2.OpMkdir, Path: "/made once", Mode: 0o700}
	made.ID = r.send(1, made)
	r.hear(1, made.ID)
	r.conns[1].Close()
	r.lines = append(r.lines, goldenLine{conn: 1, what: goldenLost})
	if a := r.attach(3, attached); !a.Resumed {
		r.t.Error("the session is not resumed")
	}
	r.ask(3, remofile2.CodeDone, made)
	r.ask(3, remofile2.CodeDone, request{Operation: remofile2.OpRead, Handle: 6, Length: 100})
	r.ask(3, remofile2.CodeDone, request{Operation: remofile2.OpGoodbye})
	if a := r.attach(4, attached); a.Resumed {
		r.t.Error("a session that said goodbye is resumed")
	}
	r.ask(4, remofile2.CodeBadHandle, request{Operation: remofile2.OpRead, Handle: 6, Length: 100})
	r.ask(4, remofile2.CodeDone, request{Operation: remofile2.OpGoodbye})
}
