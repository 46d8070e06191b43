package fs

import (
	"context"
	"time"
)

// interruptTime is for how long a call goes on that a signal has interrupted: most signals are of no
// concern to it, and few programs expect of open or read that they are interrupted.
const interruptTime = 500 * time.Millisecond

// patient returns a context that ends interruptTime after ctx. It is to be cancelled.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(interruptTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-own.Done():
		}
	})
	return own, func() {
		stop()
		cancel()
	}
}
