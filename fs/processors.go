package fs

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// largeRequest is from how many bytes on a request, or its answer, is a large one.
	largeRequest = 64 << 10
	// largeTime is for how long all processors are used after a large request, and busyTime after it was found that
	// one does not do.
	largeTime = 100 * time.Millisecond
	busyTime  = time.Second
	// checkedRequests is after how many requests that is found out again.
	checkedRequests = 4096
)

// processors sets how many processors Go's runtime uses (GOMAXPROCS): one as long as requests are small and one
// does.
//
// A small request makes a few goroutines run, one after the other. Where there is a second processor the runtime wakes a
// thread for each of them, which finds nothing to do: that takes as much time as all that the request needs. Large
// ones are worth a second processor: while the kernel copies one, another is encrypted.
type processors struct {
	all      int // constant
	requests atomic.Int64

	mu    sync.Mutex // guards what follows
	ended bool
	lower *time.Timer   // nil as long as one is used
	until time.Time     // when lower is to do its work
	seen  time.Time     // when the use of the processors was looked at last
	used  time.Duration // of processor time then
}

// newProcessors uses one from now on.
func newProcessors() *processors {
	p := &processors{all: runtime.GOMAXPROCS(1), seen: time.Now(), used: processTime()}
	return p
}

// end goes back to all. A nil *processors leaves them alone, always.
func (p *processors) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.lower != nil {
		p.lower.Stop()
	}
	runtime.GOMAXPROCS(p.all)
}

// serve takes note of a request of so many bytes, with its answer.
func (p *processors) serve(size int) {
	if p == nil {
		return
	}
	if size >= largeRequest {
		p.raise(largeTime)
	}
	if p.requests.Add(1)%checkedRequests == 0 && p.isBusy() {
		p.raise(busyTime)
	}
}

// isBusy reports whether more than nine tenths of one processor were used since the last call.
func (p *processors) isBusy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	passed, used := time.Since(p.seen), processTime()-p.used
	p.seen, p.used = p.seen.Add(passed), p.used+used
	return used >= passed*9/10
}

// raise uses all, for some time.
func (p *processors) raise(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	until := time.Now().Add(d)
	if p.ended || until.Before(p.until) {
		return
	}
	p.until = until
	if p.lower == nil {
		runtime.GOMAXPROCS(p.all)
		p.lower = time.AfterFunc(d, p.calm)
	}
}

// calm uses one again, unless there was another reason for all.
func (p *processors) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	if left := time.Until(p.until); left > 0 {
		p.lower.Reset(left)
		return
	}
	p.lower = nil
	runtime.GOMAXPROCS(1)
}

// processTime returns how much processor time this process has used.
func processTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
