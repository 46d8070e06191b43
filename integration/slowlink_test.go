package integration

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slowLink is a link with a delay and a rate between clients and a server. Its connections
// share the rate, which each direction has for itself. They open without a delay: what both
// sides send is late, not TCP's own handshake.
type slowLink struct {
	*proxy
	t        testing.TB
	up, down direction
}

// startSlowLink starts a link of a round trip time and a rate in bits a second, which ends
// with the test.
func startSlowLink(t testing.TB, server string, rtt time.Duration, rate float64) *slowLink {
	t.Helper()
	l := &slowLink{t: t}
	for _, d := range []*direction{&l.up, &l.down} {
		d.delay, d.rate = rtt/2, rate/8
	}
	l.proxy = startProxy(t, server, l.carryBoth)
	return l
}

// ownTime is what the link itself takes for so many bytes in one direction and so many
// round trips.
func (l *slowLink) ownTime(bytes int64, roundTrips int) time.Duration {
	return l.up.duration(bytes) + time.Duration(roundTrips)*(l.up.delay+l.down.delay)
}

// carryBoth carries a connection until both sides have ended it.
func (l *slowLink) carryBoth(client, server *net.TCPConn) {
	var up sync.WaitGroup
	var failed [2]error
	up.Go(func() { failed[0] = l.up.carry(client, server) })
	failed[1] = l.down.carry(server, client)
	up.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		l.t.Error(err)
	}
}

// direction is one of the two of a link.
type direction struct {
	delay   time.Duration
	rate    float64   // bytes a second
	replace [2][]byte // the first, where a piece contains it, by the second, which is as long

	mu   sync.Mutex // guards free
	free time.Time  // when the last byte that was sent has left
}

// piece is some bytes on their way.
type piece struct {
	buffer  []byte
	size    int       // of buffer, in use
	arrives time.Time // its last byte
}

const (
	// maxPieces is how many are under way on a connection whose receiver does not read.
	maxPieces = 512
	// pieceTime is how long a piece takes to leave, at most: so late its first byte is.
	pieceTime = 500 * time.Microsecond
	// sendAhead is how far a sender may be ahead of the link, so that the link is never idle
	// because a goroutine is late.
	sendAhead = 5 * time.Millisecond
)

// duration returns how long so many bytes take to leave.
func (d *direction) duration(bytes int64) time.Duration {
	return time.Duration(float64(bytes) / d.rate * float64(time.Second))
}

// send returns when the last of so many bytes has left, after those of all connections
// before.
func (d *direction) send(bytes int) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); d.free.Before(now) {
		d.free = now
	}
	d.free = d.free.Add(d.duration(int64(bytes)))
	return d.free
}

// carry carries one direction of a connection, until its sender ends it or it breaks.
func (d *direction) carry(from, to *net.TCPConn) error {
	ahead, err := newAlarm()
	if err != nil {
		return err
	}
	defer ahead.Close()
	arrival, err := newAlarm()
	if err != nil {
		return err
	}
	defer arrival.Close()

	size := min(64<<10, max(1, int(d.rate*pieceTime.Seconds())))
	unused := sync.Pool{New: func() any { return &piece{buffer: make([]byte, size)} }}
	pieces := make(chan *piece, maxPieces)
	var delivered sync.WaitGroup
	delivered.Go(func() { // ends with pieces
		for p := range pieces {
			arrival.sleepUntil(p.arrives)
			if _, err := to.Write(p.buffer[:p.size]); err != nil {
				from.CloseRead()
			}
			unused.Put(p)
		}
		to.CloseWrite()
	})
	for {
		p := unused.Get().(*piece)
		if p.size, err = from.Read(p.buffer); err != nil {
			break
		}
		if d.replace[0] != nil {
			copy(p.buffer, bytes.ReplaceAll(p.buffer[:p.size], d.replace[0], d.replace[1]))
		}
		left := d.send(p.size)
		ahead.sleepUntil(left.Add(-sendAhead))
		p.arrives = left.Add(d.delay)
		pieces <- p
	}
	close(pieces)
	delivered.Wait()
	return nil
}

// alarm wakes a goroutine in time: time.Sleep may be late by a millisecond
// (go.dev/issue/44343).
type alarm struct {
	*os.File // reads are answered when the time has come (timerfd_create(2))
	fd       int
}

func newAlarm() (alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	return alarm{os.NewFile(uintptr(fd), "timerfd"), fd}, os.NewSyscallError("timerfd_create", err)
}

func (a alarm) sleepUntil(t time.Time) {
	d := time.Until(t)
	if d <= 0 {
		return
	}
	unix.TimerfdSettime(a.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
	a.Read(make([]byte, 8))
}

// TestSlowLink sends bytes there and back, which must not take less than the link does, and
// come back whole.
func TestSlowLink(t *testing.T) {
	const size = 300_000
	l := startSlowLink(t, startEcho(t), 10*time.Millisecond, 100e6)
	content := random(size)
	began := time.Now()
	nc, err := net.Dial("tcp", l.address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write(content); err != nil {
		t.Fatal(err)
	}
	nc.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(nc)
	took := time.Since(began)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes came back, or other ones; error %v", len(got), err)
	}
	if own := l.ownTime(size, 1); took < own {
		t.Errorf("it took %v, but the link alone takes %v", took, own)
	}
}

// startEcho returns the address of a server that sends back to each client what it has
// heard. It ends with the test.
func startEcho(t testing.TB) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { // ends with the listener
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { // ends with the client
				defer nc.Close()
				io.Copy(nc, nc)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l.Addr().String()
}
