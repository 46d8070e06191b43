package zmtp

import (
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// shortWait is how long a peer may be silent for its next message to be waited for in a system
// call. It is longer than what a program on a near machine does between two requests, and short
// enough for Close, Interrupt and a timeout, which such a wait does not notice.
const shortWait = 3 * time.Millisecond

// smallPiece is how many bytes at a time are a small request, or an answer to it. Where more is moved
// there are others who have something to do meanwhile, and to hold a processor costs more than it
// saves.
const smallPiece = 16 << 10

// Processors counts which of the processors of Go's runtime (GOMAXPROCS of them at the time) are in use by
// requests, or held by a connection that waits for its next message in a system call.
//
// Such a wait is what makes small requests cheap. A goroutine that waits for the network as usual
// leaves its processor idle. When that was the last one that did anything, the runtime puts its
// monitoring thread to sleep; the next message wakes a thread that waits in epoll, which looks for
// work, and the first system call after that wakes the monitoring thread, which then looks about
// every 20 µs for a while. A thread that waits in poll(2) keeps its processor: nothing else need
// be woken, and nothing falls asleep.
//
// But a held processor does nothing for others. So one is held only as long as small requests come
// one upon the other, and only if one more stays free for whatever comes meanwhile; on a machine with
// one, never.
type Processors struct{ used atomic.Int32 }

// Use takes one for a request that is executed, whatever there is. Unuse gives it back.
func (p *Processors) Use()   { p.used.Add(1) }
func (p *Processors) Unuse() { p.used.Add(-1) }

// tryHold takes one if another one stays free. Unuse gives it back.
func (p *Processors) tryHold() bool {
	if p.used.Add(1) < int32(runtime.GOMAXPROCS(0)) {
		return true
	}
	p.used.Add(-1)
	return false
}

// waiting is how a connection waits for its peer. All but large belongs to the goroutine that reads.
type waiting struct {
	processors *Processors
	raw        syscall.RawConn
	poll       func(fd uintptr) // returns when there is something to be read, or after shortWait
	soon       bool             // the last bytes were read within shortWait
	small      bool             // they were all that had come, and no more than smallPiece
	large      atomic.Bool      // more than smallPiece was written since
}

// newWaiting is nil where the connection waits as usual, always.
func newWaiting(nc net.Conn, p *Processors) *waiting {
	sc, ok := nc.(syscall.Conn)
	if p == nil || !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil // the error of a closed connection is the next read's, too
	}
	fds, most := make([]unix.PollFd, 1), new(unix.Timespec)
	return &waiting{processors: p, raw: raw, poll: func(fd uintptr) {
		fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		*most = unix.NsecToTimespec(shortWait.Nanoseconds()) // the system leaves there what remains
		unix.Ppoll(fds, most, nil)                           // what goes wrong is the read's error
	}}
}

// read reads from nc. A peer that is silent for longer than shortWait is waited for as usual, and so
// is what it sends then: an idle connection wakes nobody.
func (w *waiting) read(nc net.Conn, p []byte) (int, error) {
	start := time.Now()
	if large := w.large.Swap(false); w.soon && w.small && !large && w.processors.tryHold() {
		w.raw.Control(w.poll)
		w.processors.Unuse()
	}
	n, err := nc.Read(p)
	w.soon, w.small = time.Since(start) < shortWait, n < len(p) && n <= smallPiece
	return n, err
}

// wrote takes note of a write of n bytes.
func (w *waiting) wrote(n int) {
	if w != nil && n > smallPiece {
		w.large.Store(true)
	}
}
