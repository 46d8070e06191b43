package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/remote"
)

// content is what this mount holds of one file: while a handle is open, or an
// operation needs it, a private local copy that all of them share.
type content struct {
	// turn has room for one: the operation that changes the copy or moves it
	// between here and the server. A channel, because such an operation takes
	// as long as the network does, and who waits for it must be able to give up.
	turn chan struct{}

	// mu is held for memory accesses and reads of the copy. The fields are
	// changed by who has the turn and holds mu; having either is enough to
	// read them.
	mu      sync.RWMutex
	state   state
	copy    *os.File     // nil: none is held
	handles int          // open handles
	dirty   bool         // the copy has changes that the server does not have
	emptied bool         // the last of them is an open with O_TRUNC
	version wholeVersion // of which the copy was downloaded
}

// state is where a file's name stands.
type state int

const (
	// onServer: the name is the server's.
	onServer state = iota
	// created: made through this mount, not sent yet.
	created
	// createdExclusive: the same with O_EXCL; it must not replace a file that
	// another client has made meanwhile.
	createdExclusive
	// unlinked: the name is gone, what handles do is of no concern to the server.
	unlinked
)

// wholeVersion tells whether a file on the server is still the same. The zero value is
// no known wholeVersion.
type wholeVersion struct {
	size     int64
	modified time.Time
}

func wholeVersionOf(e remote.Entry) wholeVersion {
	return wholeVersion{size: e.Size, modified: e.Modified}
}

func (v wholeVersion) known() bool {
	return !v.modified.IsZero()
}

func (v wholeVersion) equal(w wholeVersion) bool {
	return v.size == w.size && v.modified.Equal(w.modified)
}

// newContent returns what is held of a file in state s without a copy.
func newContent(s state) *content {
	return &content{turn: make(chan struct{}, 1), state: s}
}

// take waits for the turn.
func (c *content) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// give ends the turn.
func (c *content) give() {
	<-c.turn
}

// status returns the state of the name.
func (c *content) status() state {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.state
}

// isNew reports whether the server does not have the file yet.
func (s state) isNew() bool {
	return s == created || s == createdExclusive
}

// unsaved reports whether there are changes that the server still is to get.
func (c *content) unsaved() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.unsavedLocked()
}

func (c *content) unsavedLocked() bool {
	return c.dirty && c.state != unlinked
}

// The methods from here to drop need the turn.

// set makes f the copy, and closes the one before.
func (c *content) set(f *os.File, v wholeVersion) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.copy != nil {
		c.copy.Close()
	}
	c.copy, c.version, c.dirty, c.emptied = f, v, false, false
}

// touch records that the copy has changed.
func (c *content) touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty, c.emptied = true, false
}

// empty makes the copy empty, for an open with O_TRUNC.
func (c *content) empty() error {
	if err := c.truncate(0); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emptied = c.state == onServer
	return nil
}

// write writes to the copy, at its end where off is atEnd.
func (c *content) write(data []byte, off int64) error {
	if off == atEnd {
		size, err := c.size()
		if err != nil {
			return err
		}
		off = size
	}
	c.touch()
	_, err := c.copy.WriteAt(data, off)
	return err
}

// truncate sets the size of the copy.
func (c *content) truncate(size int64) error {
	c.touch()
	return c.copy.Truncate(size)
}

// modifyNow sets the time of modification of the copy to now.
func (c *content) modifyNow() error {
	c.touch()
	now := unix.NsecToTimeval(time.Now().UnixNano())
	return unix.Futimes(int(c.copy.Fd()), []unix.Timeval{now, now})
}

// size returns the size of the copy.
func (c *content) size() (int64, error) {
	info, err := c.copy.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// isEmpty reports whether the copy has no bytes.
func (c *content) isEmpty() bool {
	size, err := c.size()
	return err == nil && size == 0
}

// saved records that the server has the copy.
func (c *content) saved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.dirty, c.emptied, c.version = onServer, false, false, wholeVersion{}
}

// unlink records that the file has lost its name.
func (c *content) unlink() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = unlinked
}

// hold counts one handle more.
func (c *content) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handles++
}

// release counts one handle less.
func (c *content) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handles--
}

// drop closes the copy and reports whether changes are lost with it.
func (c *content) drop() (lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.copy == nil {
		return false
	}
	c.copy.Close()
	lost = c.unsavedLocked()
	if c.state.isNew() {
		c.state = onServer
	}
	c.copy, c.dirty, c.version = nil, false, wholeVersion{}
	return lost
}

// read reads from the copy; it returns less than dest holds at the end only.
func (c *content) read(dest []byte, off int64) (int, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n, err := c.copy.ReadAt(dest, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// seek finds data or a hole at off or after it.
func (c *content) seek(off int64, whence int) (int64, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return unix.Seek(int(c.copy.Fd()), off, whence)
}
