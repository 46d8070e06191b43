package zmtp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket reads from a TCP connection and writes to it without a word to Go's scheduler: these system calls never
// wait. For others that wakes its monitoring thread, where all processors were idle before, which then looks about
// every 20 µs for a while, as Processors tells.
//
// One goroutine at a time reads, and one writes.
type socket struct {
	net.Conn
	raw               syscall.RawConn
	reading, writing  transfer
	tryRead, tryWrite func(fd uintptr) bool // which move these
}

// sent orders memory as package syscall does: what is done before a write is done before a read in the same process that
// gets what was written. It matters to the race detector alone.
var sent atomic.Uint32

// transfer is what one system call is to move, and what came of it.
type transfer struct {
	bytes []byte
	n     int
	errno syscall.Errno
}

// newSocket returns nc itself where it is of another kind.
func newSocket(nc net.Conn) net.Conn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nc
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nc // it is closed
	}
	s := &socket{Conn: nc, raw: raw}
	s.tryRead = func(fd uintptr) bool { return s.reading.try(unix.SYS_READ, fd) }
	s.tryWrite = func(fd uintptr) bool { return s.writing.try(unix.SYS_WRITE, fd) }
	return s
}

// try makes the system call, and reports false where it would have to wait.
func (t *transfer) try(call, fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(t.bytes))), uintptr(len(t.bytes)))
		if errno == unix.EINTR {
			continue
		}
		t.n, t.errno = int(n), errno
		return errno != unix.EAGAIN
	}
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	s.reading = transfer{bytes: p}
	waited := s.raw.Read(s.tryRead)
	sent.Load()
	t := s.reading
	s.reading = transfer{}
	if err := s.failure("read", waited, t.errno); err != nil {
		return 0, err
	}
	if t.n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return t.n, nil
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		s.writing = transfer{bytes: p[n:]}
		sent.Add(1)
		waited := s.raw.Write(s.tryWrite)
		t := s.writing
		s.writing = transfer{}
		if err := s.failure("write", waited, t.errno); err != nil {
			return n, err
		}
		n += t.n
	}
	return len(p), nil
}

// failure returns the error of Conn for that of a wait, or else of a system call.
func (s *socket) failure(op string, waited error, errno syscall.Errno) error {
	var e *net.OpError
	switch {
	case errors.As(waited, &e):
		e.Op = op // it has a name of its own
		return e
	case waited != nil:
		return waited
	case errno != 0:
		return &net.OpError{Op: op, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
	default:
		return nil
	}
}
