package zmtp

import (
	"context"
	"sync"
)

// pulse is what a connection knows of its peer's life.
type pulse struct {
	pings sync.WaitGroup // the goroutine that sends one

	mu      sync.Mutex    // guards what follows
	next    chan struct{} // closed by the next PONG and by the end; nil while nobody waits for it
	ended   bool
	pinging bool // there is such a goroutine
}

// beat takes note of a PONG.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake()
}

// end takes note that nothing comes any longer.
func (p *pulse) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.wake()
}

// wake wakes those who wait; mu is held.
func (p *pulse) wake() {
	if p.next != nil {
		close(p.next)
		p.next = nil
	}
}

// close waits for the PING that is being sent; none is sent afterwards.
func (p *pulse) close() {
	p.end()
	p.pings.Wait()
}

func (p *pulse) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// ask asks for a sign of life and returns what is closed by the next one and by the end, or
// nil after that. The PING may have to wait for what is being sent, and the peer may take
// nothing any longer: it leaves in a goroutine, which ends with the connection, and for which
// Close waits.
func (c *Conn) ask() <-chan struct{} {
	p := &c.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	if p.next == nil {
		p.next = make(chan struct{})
	}
	if !p.pinging {
		p.pinging = true
		p.pings.Go(func() {
			c.Ping() // that it fails the reader notices, too
			p.mu.Lock()
			defer p.mu.Unlock()
			p.pinging = false
		})
	}
	return p.next
}

// Alive asks the peer for a sign of life, and waits for it until ctx ends: that a peer has
// gone may be noticed only when something is sent to it. It reports whether the connection
// goes on, as far as whoever is in ReadMessage knows by then.
func (c *Conn) Alive(ctx context.Context) bool {
	next := c.ask()
	if next == nil {
		return false
	}
	select {
	case <-next:
	case <-ctx.Done():
	}
	return !c.pulse.hasEnded()
}
