package fs

import (
	"context"
	"time"

	"github.com/remofile/remofile/remote"
)

// serverClock tells how late it is on the server, at least: how long ago something was changed there can't be told
// by the clock of this machine. The zero value knows nothing. It is constant.
type serverClock struct {
	server time.Time // what that clock had reached
	here   time.Time // when it had
}

// askClock asks the server for what its clock has reached: the last client has come before now.
func askClock(ctx context.Context, jail *remote.Client) (c serverClock) {
	s, err := jail.Status(ctx)
	if err != nil {
		return c // it does without
	}
	for i := range s.Sessions {
		c.server = later(c.server, s.Sessions[i].Since)
	}
	c.here = time.Now()
	return c
}

// settled reports whether what had these attributes then had been the same for long.
func (c *serverClock) settled(a *remote.Attr, told time.Time) bool {
	return !c.server.IsZero() && c.server.Add(told.Sub(c.here)).Sub(a.Changed) >= settleTime
}
