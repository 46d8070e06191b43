package curve

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// TestFramesCostNoMemory counts what a frame takes once the buffers are there.
func TestFramesCostNoMemory(t *testing.T) {
	const frames, size = 50, 1 << 20
	s := newSession(t, size)
	frame := plainFrame(0, make([]byte, size))
	var sent bytes.Buffer
	c := &Conn{Conn: &discard{to: &sent}, sealer: s.sealer}
	write := func() {
		if _, err := c.Write(frame); err != nil {
			t.Error(err)
		}
	}
	write()
	sent.Grow((frames + 2) * (len(frame) + messageOverhead))
	if n := testing.AllocsPerRun(frames, write); n > 0 {
		t.Errorf("%v allocations for a frame that is written", n)
	}
	into := make([]byte, len(frame))
	from := &Conn{Conn: wire(sent.Bytes()), opener: newOpener(clientPrefix, s.key, sequence{}, size)}
	read := func() {
		if _, err := io.ReadFull(from, into); err != nil || !bytes.Equal(into, frame) {
			t.Errorf("another frame, error %v", err)
		}
	}
	read()
	if n := testing.AllocsPerRun(frames-1, read); n > 0 {
		t.Errorf("%v allocations for a frame that is read", n)
	}
}

// discard is a connection whose other end is a buffer.
type discard struct {
	net.Conn
	to *bytes.Buffer
}

func (d *discard) Write(b []byte) (int, error) { return d.to.Write(b) }

// TestLargeBuffersAreNotKept looks at what is held between frames.
func TestLargeBuffersAreNotKept(t *testing.T) {
	near, far := memPair()
	c, s := established(t, near, far, 2*keepSize)
	isSmall := func(name string, b []byte) {
		t.Helper()
		if cap(b) > keepSize {
			t.Errorf("a buffer of %d bytes is kept for what is %s", cap(b), name)
		}
	}
	large, small := plainFrame(0, make([]byte, 2*keepSize)), plainFrame(0, nil)
	mustWrite(t, c, large)
	isSmall("written", c.splitter.frame)
	isSmall("sealed", c.sealer.out)
	mustRead(t, s, large)
	isSmall("received", s.opener.box)
	mustWrite(t, c, small)
	mustRead(t, s, small)
	isSmall("opened", s.opener.frame)
}
