package fs

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestSmallRequestsUseOneProcessor, and large ones, or more of them than one can do, all that there were.
func TestSmallRequestsUseOneProcessor(t *testing.T) {
	const all = 3
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(all))
	synctest.Test(t, func(t *testing.T) {
		p := newProcessors()
		uses := func(want int, when string) {
			t.Helper()
			synctest.Wait()
			if got := runtime.GOMAXPROCS(0); got != want {
				t.Errorf("%s: %d processors are used, want %d", when, got, want)
			}
		}
		small := func() {
			for range checkedRequests {
				p.serve(100)
			}
		}
		uses(1, "at first")
		p.serve(largeRequest - 1)
		uses(1, "after a small request")
		p.serve(largeRequest)
		uses(all, "after a large one")
		time.Sleep(largeTime / 2)
		p.serve(largeRequest)
		time.Sleep(largeTime * 3 / 4)
		uses(all, "soon after the next large one")
		time.Sleep(largeTime)
		uses(1, "when there was no large one for long")
		small()
		small() // in no time
		uses(all, "when one processor does not do")
		p.serve(largeRequest)
		time.Sleep(2 * largeTime)
		uses(all, "as long as it is not known to do")
		time.Sleep(busyTime)
		uses(1, "when it may")
		time.Sleep(time.Hour)
		small()
		uses(1, "when one does")
		p.serve(largeRequest)
		p.end()
		uses(all, "at the end")
		p.serve(largeRequest)
		time.Sleep(time.Hour)
		uses(all, "after it")
	})
}
