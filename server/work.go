package server

import (
	"context"
	"errors"
	"runtime"

	"golang.org/x/sync/semaphore"

	"github.com/remofile/remofile/protocol/remofile2"
)

// work bounds what the requests of all sessions of Remofile 2 take together. Who waits gets
// it in the order of asking.
type work struct {
	requests *semaphore.Weighted // under way: a goroutine each
	bytes    *semaphore.Weighted // that these take
	executed *semaphore.Weighted // at a time: a thread of the system each
	turns    *semaphore.Weighted // pieces of long computations, which have no place in executed
}

func newWork() work {
	return work{
		requests: semaphore.NewWeighted(remofile2.MaxAllRequests),
		bytes:    semaphore.NewWeighted(remofile2.MaxAllBytes),
		executed: semaphore.NewWeighted(remofile2.MaxExecuted),
		turns:    semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0))),
	}
}

// enter takes the room of one more request, which is to be given back by leave. Until there
// is some it waits for a while, or until life ends; one that costs nothing waits for nobody's
// bytes.
func (w *work) enter(life context.Context, cost int64) error {
	if w.requests.TryAcquire(1) {
		if cost == 0 || w.bytes.TryAcquire(cost) {
			return nil
		}
		w.requests.Release(1)
	}
	ctx, cancel := context.WithTimeout(life, remofile2.RoomTime)
	defer cancel()
	err := w.requests.Acquire(ctx, 1)
	if err == nil && cost > 0 {
		if err = w.bytes.Acquire(ctx, cost); err != nil {
			w.requests.Release(1)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = code(remofile2.CodeBusy)
	}
	return err
}

func (w *work) leave(cost int64) {
	w.requests.Release(1)
	w.bytes.Release(cost)
}

// inPlace executes a request when it has a place among the others.
func (t *task) inPlace(execute func() error) error {
	ctx, executed := t.ctx, t.session.server.work.executed
	if t.Operation == remofile2.OpClose {
		ctx = context.WithoutCancel(ctx) // its handle is gone already: the file has to follow
	}
	if err := executed.Acquire(ctx, 1); err != nil {
		return err
	}
	defer executed.Release(1)
	return execute()
}

// inTurn makes one piece of a long computation.
func (t *task) inTurn(piece func() (int64, error)) (int64, error) {
	turns := t.session.server.work.turns
	if err := turns.Acquire(t.ctx, 1); err != nil {
		return 0, err
	}
	defer turns.Release(1)
	return piece()
}
