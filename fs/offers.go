package fs

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

const (
	// offerTime is how long an offer stands: the kernel looks up the path once more in it.
	offerTime = time.Second
	// mostOffers is how many there are at a time.
	mostOffers = 64
)

// offers are the files that opens have found, each in the place of another one. ESTALE makes the kernel look the
// path up once more, and open what it is then; but if the name has yet another file at that time the open
// fails for good. So the thread that opens is shown, when it looks the name up, the file that its open has found, and
// gets that.
//
// They are offered to that thread only, which is in the same open still: to a later one the file might be out of
// date.
type offers struct {
	mu       sync.Mutex        // held for memory accesses only
	byThread map[uint32]*offer // guarded by mu
}

// offer is a file that is open. It is constant.
type offer struct {
	dir  *node // that has name
	name string
	mode int // O_RDONLY, O_WRONLY or O_RDWR
	file *remote.File
	told time.Time // when it was asked for
	end  *time.Timer
}

// threadOf returns the thread that makes a call; 0 where that is not known.
func threadOf(ctx context.Context) uint32 {
	if c, known := fuse.FromContext(ctx); known {
		return c.Pid
	}
	return 0
}

// make offers the file that is open in the place of n.
func (f *offers) make(ctx context.Context, n *node, file *remote.File, flags uint32, told time.Time) {
	name, dir := n.nameIn()
	thread := threadOf(ctx)
	f.mu.Lock()
	last := f.byThread[thread]
	if thread == 0 || dir == nil || len(f.byThread) >= mostOffers && last == nil {
		f.mu.Unlock()
		file.Close()
		return
	}
	o := &offer{dir: dir, name: name, mode: int(flags) & syscall.O_ACCMODE, file: file, told: told}
	o.end = time.AfterFunc(offerTime, func() {
		if f.withdraw(thread, o) {
			file.Close()
		}
	})
	if f.byThread == nil {
		f.byThread = make(map[uint32]*offer)
	}
	f.byThread[thread] = o
	f.mu.Unlock()
	if last != nil {
		last.end.Stop()
		last.file.Close()
	}
}

// end ends all offers.
func (f *offers) end() {
	f.mu.Lock()
	all := f.byThread
	f.byThread = nil
	f.mu.Unlock()
	for _, o := range all {
		o.end.Stop()
		o.file.Close()
	}
}

// withdraw ends an offer, and reports whether it still stood.
func (f *offers) withdraw(thread uint32, o *offer) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byThread[thread] != o {
		return false
	}
	delete(f.byThread, thread)
	return true
}

// find returns the attributes of the file that is offered under a name, to the thread that looks it up.
func (f *offers) find(ctx context.Context, dir *node, name string) (a remote.Attr, told time.Time, found bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.byThread[threadOf(ctx)]
	if o == nil || o.dir != dir || o.name != name {
		return a, told, false
	}
	return o.file.Opened(), o.told, true
}

// take returns the file that is offered to the thread that opens n, or nil, and ends what is offered to it.
func (f *offers) take(ctx context.Context, n *node, flags uint32) *remote.File {
	thread := threadOf(ctx)
	f.mu.Lock()
	o := f.byThread[thread]
	f.mu.Unlock()
	if o == nil || !f.withdraw(thread, o) {
		return nil
	}
	o.end.Stop()
	a := o.file.Opened()
	if o.mode != int(flags)&syscall.O_ACCMODE || !n.is(&a) || o.file.Lost() {
		o.file.Close()
		return nil
	}
	return o.file
}
