package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// engine transfers trees. One goroutine goes through them and starts tasks, which run side by
// side: a small file costs a round trip. A task may wait for those that were started before it.
type engine struct {
	ctx     context.Context
	client  *Client
	o       SyncOptions
	begun   time.Time
	tasks   chan struct{} // holds an element for each task that runs
	running sync.WaitGroup
	stopped atomic.Bool // all would fail
	// incomplete is set when a listing of the source has failed: nothing is removed from then on.
	incomplete atomic.Bool

	started int // tasks and failures of the goroutine that goes through the trees

	mu      sync.Mutex // guards what follows, and is held while Observe runs
	sum     Summary
	failed  []failedTask
	dropped int // failures beyond maxFailures
}

// Bounds of what an engine does and holds.
const (
	treeTasks   = 64    // side by side
	maxFailures = 10000 // that its error has
)

// failedTask is what did not succeed.
type failedTask struct {
	number int // of engine.started
	err    error
}

func newEngine(ctx context.Context, c *Client, o SyncOptions) *engine {
	return &engine{ctx: ctx, client: c, o: o, begun: time.Now(), tasks: make(chan struct{}, treeTasks)}
}

// start runs a task of a directory on a goroutine of its own, for which finish waits. That it fails is
// noted, for p.
func (e *engine) start(n *node, p string, task func() error) {
	if e.stopped.Load() {
		n.fail()
		return
	}
	number := e.started
	e.started++
	n.hold()
	e.tasks <- struct{}{}
	e.running.Go(func() {
		if err := task(); err != nil {
			n.fail()
			e.note(number, p, err)
		}
		n.release()
		<-e.tasks
	})
}

// fail takes note of what could not be started.
func (e *engine) fail(p string, err error) {
	e.note(e.started, p, err)
	e.started++
}

// failTask is fail for a task that does not belong to one entry. It comes last.
func (e *engine) failTask(p string, err error) { e.note(math.MaxInt, p, err) }

func (e *engine) note(number int, p string, err error) {
	if interrupted(e.ctx, err) {
		e.stopped.Store(true)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.failed) < maxFailures {
		e.failed = append(e.failed, failedTask{number, err})
	} else {
		e.dropped++
	}
	e.sum.Failed++
	e.observe(Event{Kind: EventFailed, Path: p, Err: err})
}

// count changes the summary and tells an event.
func (e *engine) count(event Event, change func(*Summary)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.sum)
	e.observe(event)
}

// tell tells an event that is not counted.
func (e *engine) tell(event Event) {
	if e.o.Observe != nil {
		e.count(event, func(*Summary) {})
	}
}

// observe calls Observe; mu is held.
func (e *engine) observe(event Event) {
	if e.o.Observe != nil {
		e.o.Observe(event)
	}
}

// finish waits for all tasks and returns what was done, and what failed in the order of the tree.
func (e *engine) finish() (Summary, error) {
	e.running.Wait()
	slices.SortStableFunc(e.failed, func(a, b failedTask) int { return cmp.Compare(a.number, b.number) })
	errs := make([]error, len(e.failed))
	for i, f := range e.failed {
		errs[i] = f.err
	}
	if e.dropped > 0 {
		errs = append(errs, fmt.Errorf("and %d failures more", e.dropped))
	}
	if err := context.Cause(e.ctx); err != nil && len(errs) == 0 {
		errs = append(errs, err)
	}
	e.sum.Took = time.Since(e.begun)
	return e.sum, errors.Join(errs...)
}
