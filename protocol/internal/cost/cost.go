// Package cost bounds what a call may allocate and how long it may take, in fuzz tests:
// what a stranger sends must be cheap to refuse.
package cost

import (
	"runtime"
	"testing"
	"time"
)

// longest is how long a call may take: far more than any needs on a busy machine, far
// less than what does not end.
const longest = 5 * time.Second

// Limit fails the test when f allocates more than so many bytes in all, or takes longer
// than 5 s. What other goroutines allocate meanwhile counts, too.
func Limit(t testing.TB, bytes uint64, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > bytes {
		t.Errorf("%d bytes were allocated, more than %d", n, bytes)
	}
	if took > longest {
		t.Errorf("it took %v, longer than %v", took, longest)
	}
}
