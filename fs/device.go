package fs

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// device is the kernel's end of a mount, /dev/fuse: requests are read from it, and answers written to it.
//
// go-fuse's own loop waits for requests in a system call. Go's scheduler takes that for work until its monitoring thread
// has looked, and has no processor for the answers of the server meanwhile: programs that read at random places, four at a
// time, got two thirds of what they get where it is the poller that waits, as here. No system call on the device waits
// then, and the scheduler is told of none.
type device struct {
	// Constant.
	file       *os.File
	conn       syscall.RawConn // of file
	server     *fuse.ProtocolServer
	processors *processors // or nil
	log        *slog.Logger

	// requests bounds the large requests that are being served: each holds a buffer of bufferSize.
	requests chan struct{}
	buffers  sync.Pool // of *[bufferSize]byte

	running sync.WaitGroup // the workers
	readers atomic.Int32   // workers that wait for a request, or are about to

	mu      sync.Mutex // guards workers
	workers map[*worker]struct{}
}

const (
	// smallSize is up to how many bytes of requests and answers need no large buffer.
	smallSize = 8 << 10
	// bufferSize holds the largest request and the largest answer: maxWrite, and what is before it.
	bufferSize = maxWrite + 4<<10
	// mostReaders is how many workers wait for a request. More of them end.
	mostReaders = 2
)

// worker serves one request after the other.
type worker struct {
	unique  atomic.Uint64              // the kernel's number of the request being served, 0 between them
	signal  atomic.Pointer[time.Timer] // ends the patience of that, or of one before; nil is none
	in, out [smallSize]byte
	iovecs  [2][1][]byte
}

func newDevice(p *processors, log *slog.Logger) *device {
	return &device{
		processors: p,
		log:        log,
		requests:   make(chan struct{}, maxRequestBytes/bufferSize),
		buffers:    sync.Pool{New: func() any { return new([bufferSize]byte) }},
		workers:    make(map[*worker]struct{}),
	}
}

// open makes the file system answer what is read from file, which then is the device's. It returns when the kernel has
// introduced itself.
func (d *device) open(file *os.File, raw fuse.RawFileSystem, o *fuse.MountOptions) (err error) {
	d.file, d.server = file, fuse.NewProtocolServer(raw, o)
	w := new(worker)
	var r request
	if d.conn, err = file.SyscallConn(); err == nil {
		r, err = d.read(w)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	d.answer(w, r)
	return nil
}

// serve answers requests until the mount is gone and all that was under way is done.
func (d *device) serve() {
	d.start()
	d.running.Wait()
	d.file.Close()
}

// start starts one more worker. It ends when others do its work, or with the mount; serve waits for it.
func (d *device) start() {
	d.readers.Add(1)
	d.running.Go(func() {
		w := new(worker)
		d.enter(w)
		defer d.leave(w)
		d.work(w)
	})
}

func (d *device) enter(w *worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.workers[w] = struct{}{}
}

func (d *device) leave(w *worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.workers, w)
}

// work serves requests; the worker is counted as a reader.
func (d *device) work(w *worker) {
	for {
		r, err := d.read(w)
		left := d.readers.Add(-1)
		if err != nil {
			d.end(err)
			return
		}
		if left == 0 {
			d.start()
		}
		d.answer(w, r)
		if d.readers.Add(1) > mostReaders {
			d.readers.Add(-1)
			return
		}
	}
}

// end is for the error that ends all reading.
func (d *device) end(err error) {
	if err != unix.ENODEV { // the mount is gone
		d.log.Error("requests can't be read", "err", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.workers {
		if unique := w.unique.Load(); unique != 0 {
			d.interrupt(unique)
		}
	}
}

// request is one of the kernel.
type request struct {
	bytes []byte
	large *[bufferSize]byte // that holds it, or nil
}

// header is what each request begins with.
func (r request) header() *fuse.InHeader { return (*fuse.InHeader)(unsafe.Pointer(&r.bytes[0])) }

// read waits for the next request.
func (d *device) read(w *worker) (r request, err error) {
	d.requests <- struct{}{}
	buffer := d.buffers.Get().(*[bufferSize]byte)
	n, err := d.readInto(buffer[:])
	if err == nil && n > smallSize {
		return request{buffer[:n], buffer}, nil
	}
	r.bytes = w.in[:copy(w.in[:], buffer[:n])]
	d.giveBack(buffer)
	if err == nil && n < int(unsafe.Sizeof(fuse.InHeader{})) {
		err = unix.EIO
	}
	return r, err
}

func (d *device) giveBack(buffer *[bufferSize]byte) {
	d.buffers.Put(buffer)
	<-d.requests
}

// readInto waits for a request, and returns its length. ENODEV is the end of the mount.
func (d *device) readInto(p []byte) (n int, err error) {
	ready := func(fd uintptr) bool {
		n, err = readNow(fd, p)
		return err != unix.EAGAIN
	}
	if d.conn.Read(ready) != nil { // the poller has no word for the end of a mount
		d.conn.Control(func(fd uintptr) { n, err = readNow(fd, p) })
	}
	return n, err
}

// readNow returns EAGAIN where there is no request.
func readNow(fd uintptr, p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR, unix.ENOENT: // the request was interrupted before it was read
		default:
			return 0, errno
		}
	}
}

// answer serves a request.
func (d *device) answer(w *worker, r request) {
	if r.header().Opcode == opInterrupt && len(r.bytes) >= int(unsafe.Sizeof(fuse.InterruptIn{})) {
		d.interruptSoon((*fuse.InterruptIn)(unsafe.Pointer(&r.bytes[0])))
		return
	}
	w.unique.Store(r.header().Unique)
	defer w.done()
	out, large := w.out[:], (*[bufferSize]byte)(nil)
	size := answerSize(r)
	d.processors.serve(len(r.bytes) + size)
	if size > smallSize {
		large = d.buffers.Get().(*[bufferSize]byte)
		defer d.buffers.Put(large)
		out = large[:]
	}
	w.iovecs = [2][1][]byte{{r.bytes}, {out}}
	n, status := d.server.HandleRequest(w.iovecs[0][:], w.iovecs[1][:])
	opcode := r.header().Opcode
	if r.large != nil {
		d.giveBack(r.large)
	}
	if !status.Ok() || n == 0 {
		return // nobody waits for an answer
	}
	switch err := d.write(out[:n]); err {
	case nil, unix.ENOENT, unix.ENODEV: // the request was given up meanwhile, or the mount
	default:
		d.log.Warn("the kernel refuses an answer", "code", opcode, "err", err)
	}
}

// done is called when the request was served.
func (w *worker) done() {
	w.unique.Store(0)
	if t := w.signal.Swap(nil); t != nil {
		t.Stop()
	}
}

// Requests of linux/fuse.h.
const (
	opRead        = 15
	opReadDir     = 28
	opInterrupt   = 36
	opReadDirPlus = 44
)

// answerSize returns how many bytes the answer may take, if they are many.
func answerSize(r request) int {
	switch r.header().Opcode {
	case opRead, opReadDir, opReadDirPlus:
		if len(r.bytes) >= int(unsafe.Sizeof(fuse.ReadIn{})) {
			return int((*fuse.ReadIn)(unsafe.Pointer(&r.bytes[0])).Size) + int(unsafe.Sizeof(fuse.OutHeader{}))
		}
	}
	return 0
}

// write sends an answer, or a notification.
func (d *device) write(p []byte) (err error) {
	closed := d.conn.Control(func(fd uintptr) {
		for {
			_, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
			if errno == unix.EINTR {
				continue
			}
			if errno != 0 {
				err = errno
			}
			return
		}
	})
	if closed != nil {
		return unix.ENODEV
	}
	return err
}

// bytesOf returns the memory of v.
func bytesOf[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

// InodeNotify makes the kernel forget the attributes of a node, and with off >= 0 pages: see
// gofs.ServerCallbacks.
func (d *device) InodeNotify(node uint64, off, length int64) fuse.Status {
	const invalInode = 2 // FUSE_NOTIFY_INVAL_INODE of linux/fuse.h
	n := struct {
		fuse.OutHeader
		fuse.NotifyInvalInodeOut
	}{
		fuse.OutHeader{Status: invalInode},
		fuse.NotifyInvalInodeOut{Ino: node, Off: off, Length: length},
	}
	n.OutHeader.Length = uint32(unsafe.Sizeof(n))
	return fuse.ToStatus(d.write(bytesOf(&n)))
}

// The other notifications are not needed.

func (d *device) DeleteNotify(uint64, uint64, string) fuse.Status { return fuse.ENOSYS }
func (d *device) EntryNotify(uint64, string) fuse.Status          { return fuse.ENOSYS }
func (d *device) InodeRetrieveCache(uint64, int64, []byte) (int, fuse.Status) {
	return 0, fuse.ENOSYS
}
func (d *device) InodeNotifyStoreCache(uint64, int64, []byte) fuse.Status { return fuse.ENOSYS }

// filled is what a read has put into the buffer that it was given: go-fuse would copy it onto itself.
type filled []byte

func (f filled) Size() int                          { return len(f) }
func (f filled) Bytes([]byte) ([]byte, fuse.Status) { return f, fuse.OK }
func (f filled) Done()                              {}

// Readv is what go-fuse asks for. Only dst[0] is ever more than nothing.
func (f filled) Readv(dst [][]byte) (int, fuse.Status) {
	if len(f) > 0 && len(dst) > 0 && &f[0] != &dst[0][0] {
		return copy(dst[0], f), fuse.OK
	}
	return len(f), fuse.OK
}
