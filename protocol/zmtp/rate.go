package zmtp

import (
	"math"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sampleSize is after how many written bytes the rate is found out again.
	sampleSize = 256 << 10
	// rateMemory is over how many bytes a rate is an average, roughly.
	rateMemory = 4 << 20
	// shortestBusy: what was delivered in less has no rate. TCP counts in jiffies of 4 ms.
	shortestBusy = 10 * time.Millisecond
)

// meter measures how many bytes a second a connection delivers, of the time in which it has
// something to deliver. All but rate belongs to the writing goroutine.
type meter struct {
	tcp     syscall.RawConn // nil: it is of another kind
	written delivery        // in all, and how long that took
	due     int             // bytes until the next sample
	sampled delivery        // at the last one
	lately  delivery
	rate    atomic.Uint64 // bits of a float64
}

// delivery is how many bytes were delivered, and how long there were any to be.
type delivery struct {
	bytes int64
	busy  time.Duration
}

func newMeter(nc net.Conn) *meter {
	m := &meter{due: sampleSize}
	m.rate.Store(math.Float64bits(math.Inf(1)))
	if tcp, ok := nc.(*net.TCPConn); ok {
		m.tcp, _ = tcp.SyscallConn() // the error of a closed connection is the next write's, too
	}
	return m
}

// wrote takes note of a write of n bytes.
func (m *meter) wrote(n int, took time.Duration) {
	m.written.bytes += int64(n)
	m.written.busy += took
	if m.due -= n; m.due > 0 {
		return
	}
	m.due = sampleSize
	now := m.written
	if m.tcp != nil {
		now = m.delivered()
	}
	m.lately.bytes += now.bytes - m.sampled.bytes
	m.lately.busy += now.busy - m.sampled.busy
	m.sampled = now
	rate := math.Inf(1)
	if m.lately.busy >= shortestBusy {
		rate = float64(m.lately.bytes) / m.lately.busy.Seconds()
	}
	m.rate.Store(math.Float64bits(rate))
	if m.lately.bytes > rateMemory {
		m.lately.bytes /= 2
		m.lately.busy /= 2
	}
}

// delivered is TCP's own account (tcp(7), TCP_INFO): what was acknowledged, and how long
// something was not. How long a write takes tells less: the kernel's buffers may hold all that
// a transfer has under way.
func (m *meter) delivered() delivery {
	var info *unix.TCPInfo
	var err error
	controlled := m.tcp.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if controlled != nil || err != nil {
		return m.sampled
	}
	return delivery{int64(info.Bytes_acked), time.Duration(info.Busy_time) * time.Microsecond}
}

// Rate returns how many bytes a second the connection has delivered lately, of the time
// in which it had something to deliver. It is infinite where that is not known, or was
// a moment only.
func (c *Conn) Rate() float64 { return math.Float64frombits(c.link.meter.rate.Load()) }
