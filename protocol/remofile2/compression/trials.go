package compression

import (
	"sync"
	"time"
)

const (
	// fastLink is from how many bytes a second on nothing is compressed: beyond 1 Gbit/s
	// links are seldom what a transfer waits for.
	fastLink = 128 << 20
	// shortPayload: shorter ones are not compressed. They cost a round trip, not time on
	// the link.
	shortPayload = 4 << 10
	// maxPause is how many payloads are sent as they are before another one is tried.
	maxPause = 64
)

// Trials finds out whether it pays to compress the payloads of one file. The zero value begins with a
// try. Any goroutine may use it.
type Trials struct {
	mu     sync.Mutex // guards what follows
	pays   bool       // as it did for the last one: all are tried
	trying bool       // one is being tried, where it did not pay so far
	left   int        // payloads until the next try
	pause  int        // what left began with
}

// Compress returns a payload of the file compressed, in memory of so many bytes that it
// asks for. Nil is that it is to be sent as it is. link is how fast that is, in bytes a second.
func (t *Trials) Compress(c *Codec, link float64, payload []byte, memory func(n int) []byte) []byte {
	if len(payload) < shortPayload || link >= fastLink || !t.due() {
		return nil
	}
	start := time.Now()
	frame := c.compress(payload, memory)
	t.learn(frame != nil && pays(len(payload)-len(frame), time.Since(start), link))
	return frame
}

// pays reports whether the link takes longer for so many bytes than it took to save them.
func pays(saved int, took time.Duration, link float64) bool {
	return took.Seconds()*link < float64(saved)
}

// due reports whether to try the next payload.
func (t *Trials) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.pays:
		return true
	case t.trying:
		return false
	case t.left > 0:
		t.left--
		return false
	}
	t.trying = true
	return true
}

// learn takes the outcome of a try. Of those that were made at the same time, as long as it
// paid, the first that does not counts.
func (t *Trials) learn(paid bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if paid {
		t.pays, t.trying, t.pause, t.left = true, false, 0, 0
		return
	}
	if !t.pays && !t.trying {
		return
	}
	t.pays, t.trying = false, false
	t.pause = min(max(2*t.pause, 1), maxPause)
	t.left = t.pause
}
