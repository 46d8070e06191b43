//go:build !race

package server

import (
	"testing"
	"testing/synctest"

	"github.com/remofile/remofile/protocol"
)

// TestSilentStrangersNeverKeepOutClients is left out where races are looked for: with more goroutines at a time than
// it has slots, 256, the detector now and then ends the process ("ThreadSanitizer: CHECK failed").
// TestSilentStrangersOnSockets states the same promise there.
func TestSilentStrangersNeverKeepOutClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		var silent []*peer
		for range 300 {
			silent = append(silent, connect(t, s, "192.0.2.1"))
		}
		connect(t, s, "192.0.2.1").mustEnter(t, 0)
		connect(t, s, "192.0.2.2").mustEnter(t, 0)
		for i, p := range silent {
			// The 300 and the first client displaced the oldest ones.
			want := protocol.HandshakeTimeout
			if i < 300+1-protocol.MaxUnauthenticated {
				want = 0
			}
			if after := p.awaitEnd(t, false); after != want {
				t.Errorf("stranger %d is closed after %v, want %v", i, after, want)
			}
		}
		synctest.Wait()
		if s.gate.strangers.count != 0 || len(s.gate.sessions) != 2 {
			t.Errorf("%d strangers and %d sessions are left, want 0 and 2", s.gate.strangers.count, len(s.gate.sessions))
		}
	})
}
