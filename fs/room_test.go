package fs

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestRoomForWatches: where there is none, the directory into which nobody has looked for the longest makes room,
// after a minute, and no other is watched in its place before that is done.
func TestRoomForWatches(t *testing.T) {
	now := time.Now()
	for idle, leaves := range map[time.Duration]bool{idleTime - time.Second: false, idleTime + time.Second: true} {
		c := &notices{tree: &tree{cacheTime: time.Second}, table: make(map[string]*watch)}
		c.queued = sync.NewCond(&c.mu)
		for i := range maxWatches {
			w := &watch{path: fmt.Sprint("/", i), state: live, used: now.Add(-idle), memory: memory{all: &c.memories}}
			if i != 7 {
				w.used = now
			}
			c.table[w.path] = w
		}
		for range 2 {
			w := &watch{}
			if c.admit(w, "/new", now) || !w.retry.Equal(now.Add(time.Second)) {
				t.Error("there is room for one more, or it is not asked for again")
			}
			if (len(c.queue) == 1) != leaves || (c.table["/7"].state == leaving) != leaves {
				t.Errorf("idle for %v: %d leave", idle, len(c.queue))
			}
		}
		if leaves {
			c.left(c.queue[0], nil)
			if !c.admit(&watch{}, "/new", now) {
				t.Error("there is no room")
			}
		}
	}
}

// TestFilledDirectoriesMakeRoom after a second: at once all of them, when there are too many watches, or names that they
// outdate.
func TestFilledDirectoriesMakeRoom(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name              string
		watches, outdated int
		room              bool
		leave             int
	}{
		{"there is room", 20, 0, true, 0},
		{"too many watches", maxWatches, 0, false, 5},
		{"too many names", 20, mostOutdated/2 + 1, true, 5},
	} {
		c := &notices{tree: &tree{cacheTime: time.Second}, table: make(map[string]*watch)}
		c.queued = sync.NewCond(&c.mu)
		for i := range test.watches {
			w := &watch{path: fmt.Sprint("/", i), state: live, filled: i < 10, used: now.Add(-filledTime), memory: memory{all: &c.memories}}
			if i < 5 {
				w.used = w.used.Add(-1)
			}
			c.table[w.path] = w
		}
		c.memories.outdated.Store(int64(test.outdated))
		if room := c.admit(&watch{}, "/new", now); room != test.room || len(c.queue) != test.leave {
			t.Errorf("%s: room %v, %d leave; want %v, %d", test.name, room, len(c.queue), test.room, test.leave)
		}
	}
}
