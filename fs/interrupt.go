package fs

import (
	"syscall"
	"time"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// interruptTime is for how long a request goes on that a signal has interrupted: most signals are of no concern to
// it, and few programs expect of open or read that they are interrupted.
const interruptTime = 500 * time.Millisecond

// interruptSoon interrupts a request that is still being served after interruptTime. Where it is not yet, the kernel is
// to say it again.
func (d *device) interruptSoon(in *fuse.InterruptIn) {
	unique := in.Unique
	w := d.find(unique)
	if w == nil {
		again := fuse.OutHeader{Status: -int32(syscall.EAGAIN), Unique: in.InHeader.Unique}
		again.Length = uint32(unsafe.Sizeof(again))
		d.write(bytesOf(&again)) // that it was served already is an error here
		return
	}
	if t := w.signal.Swap(time.AfterFunc(interruptTime, func() { d.interrupt(unique) })); t != nil {
		t.Stop()
	}
}

// find returns the worker that serves a request, or nil.
func (d *device) find(unique uint64) *worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.workers {
		if w.unique.Load() == unique {
			return w
		}
	}
	return nil
}

// interrupt makes a request end as soon as it can, if it is being served.
func (d *device) interrupt(unique uint64) {
	in := fuse.InterruptIn{Unique: unique}
	in.Length, in.Opcode = uint32(unsafe.Sizeof(in)), opInterrupt
	var out [smallSize]byte // for nobody
	d.server.HandleRequest([][]byte{bytesOf(&in)}, [][]byte{out[:]})
}
