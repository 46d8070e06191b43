package server

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// operation is what a session does for a request.
type operation struct {
	do      func(*task) error // leaves its results in the task
	changes bool              // the jail: a read-only server refuses it, as OPEN itself does
	opens   bool              // Handle
	long    bool              // it takes turns with others, piece by piece
	handles int               // how many it names: one may be a path instead
	events  uint32            // that it causes where its handle was opened
}

// operations is the table of the operations of package remofile2, but for those on the
// session itself.
var operations = [...]operation{
	remofile2.OpStatus:   {do: (*task).status},
	remofile2.OpList:     {do: (*task).list},
	remofile2.OpStat:     {do: (*task).stat, handles: 1},
	remofile2.OpSet:      {do: (*task).set, handles: 1, changes: true},
	remofile2.OpMkdir:    {do: (*task).makeDirectory, changes: true},
	remofile2.OpRemove:   {do: (*task).remove, changes: true},
	remofile2.OpRename:   {do: (*task).rename, changes: true},
	remofile2.OpLink:     {do: (*task).makeLink, changes: true},
	remofile2.OpSymlink:  {do: (*task).makeSymlink, changes: true},
	remofile2.OpReadlink: {do: (*task).readLink},
	remofile2.OpSpace:    {do: (*task).space},
	remofile2.OpOpen:     {do: (*task).open, handles: 1, opens: true},
	remofile2.OpStage:    {do: (*task).stage, handles: 1, opens: true, changes: true},
	remofile2.OpCommit:   {do: (*task).commit, handles: 1, changes: true},
	remofile2.OpClose:    {do: (*task).closeFile, handles: 1, events: unix.IN_CLOSE_WRITE},
	remofile2.OpRead:     {do: (*task).read, handles: 1},
	remofile2.OpWrite:    {do: (*task).write, handles: 1, changes: true, events: unix.IN_MODIFY},
	remofile2.OpAppend:   {do: (*task).appendBytes, handles: 1, changes: true, events: unix.IN_MODIFY},
	remofile2.OpSync:     {do: (*task).sync, handles: 1},
	remofile2.OpSeek:     {do: (*task).seek, handles: 1},
	remofile2.OpAllocate: {do: (*task).allocate, handles: 1, changes: true, events: unix.IN_MODIFY},
	remofile2.OpCopy:     {do: (*task).copyRange, handles: 2, changes: true, long: true},
	remofile2.OpDigest:   {do: (*task).digest, handles: 1, long: true},
	remofile2.OpChunks:   {do: (*task).cut, handles: 1, long: true},
	remofile2.OpWatch:    {do: (*task).watch},
	remofile2.OpUnwatch:  {do: (*task).unwatch},
}

// status is STATUS.
func (t *task) status() error {
	t.answer.Info = t.session.server.info()
	t.answer.Status = t.session.server.status()
	return nil
}

// logResult logs each request for debugging, and at Warn what is the server's own failure.
func (t *task) logResult(err error) {
	level := slog.LevelDebug
	if t.answer.Code == remofile2.CodeInputOutput || t.answer.Code == remofile2.CodeFailed {
		level = slog.LevelWarn
	}
	log := t.session.log
	if !log.Enabled(context.Background(), level) {
		return
	}
	attrs := []any{"op", t.Operation.String(), "id", t.ID, "path", t.Path, "code", t.answer.Code.String(), "dur", time.Since(t.start)}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	log.Log(context.Background(), level, "request", attrs...)
}
