package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/remofile/remofile/protocol"
)

// gate bounds what strangers can cost, so that they never keep out those that know
// the token. A connection is a stranger from enter on, until it shows that it knows the
// server's key, admit makes a session of it, or it leaves.
type gate struct {
	maxSessions int

	mu        sync.Mutex // guards what follows; no other lock is taken under it
	strangers crowd
	knowing   crowd                // that know the key, before admit has checked the token
	sessions  map[*link]struct{}   // each has a place
	failures  map[netip.Addr]tally // wrong tokens and keys, by source

	refusals, evictions warnings
}

// newGate bounds strangers, and those that know the key, to maxStrangers each.
func newGate(maxStrangers, maxSessions int) *gate {
	return &gate{
		maxSessions: maxSessions,
		strangers:   newCrowd(maxStrangers),
		knowing:     newCrowd(maxStrangers),
		sessions:    make(map[*link]struct{}),
		failures:    make(map[netip.Addr]tally),
	}
}

// crowd are connections of which there may be so many.
type crowd struct {
	max   int
	links map[netip.Addr][]*link // by source, the oldest first
	count int
	full  bool // the last one that was added displaced another
}

func newCrowd(most int) crowd {
	return crowd{max: most, links: make(map[netip.Addr][]*link)}
}

// add counts l and returns the one that is no longer counted instead, or nil. first tells
// that this is a new run of such.
func (c *crowd) add(l *link) (displaced *link, first bool) {
	wasFull := c.full
	c.full = c.count >= c.max
	if c.full {
		displaced = c.oldest()
		c.remove(displaced)
	}
	c.links[l.source] = append(c.links[l.source], l)
	c.count++
	return displaced, c.full && !wasFull
}

// oldest returns the one that has to go for another: the oldest of the source that has
// most of them.
func (c *crowd) oldest() *link {
	var most []*link
	for _, of := range c.links {
		if len(of) > len(most) || len(of) == len(most) && of[0].id < most[0].id {
			most = of
		}
	}
	return most[0]
}

// remove no longer counts l, if it was counted.
func (c *crowd) remove(l *link) (counted bool) {
	of := c.links[l.source]
	i := slices.Index(of, l)
	if i < 0 {
		return false
	}
	if of = slices.Delete(of, i, i+1); len(of) == 0 {
		delete(c.links, l.source)
	} else {
		c.links[l.source] = of
	}
	c.count--
	return true
}

// sourceOf returns what peers are told apart by: an IPv4 address, or the /64 of an
// IPv6 one, since a host has all addresses in that. Peers without an IP address have
// the zero Addr in common.
func sourceOf(peer net.Addr) netip.Addr {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap()
	if addr.Is6() {
		// A prefix of 64 bits fits an IPv6 address: there is no error.
		network, _ := addr.Prefix(64)
		return network.Addr()
	}
	return addr
}

// enter counts l as a stranger. Where that makes too many, another one is closed.
func (g *gate) enter(l *link) {
	g.mu.Lock()
	displaced, first := g.strangers.add(l)
	level := g.evictionLevel(first)
	g.mu.Unlock()
	displace(displaced, level)
}

// know takes note that the peer of l knows the server's key: strangers don't displace it
// any longer.
func (g *gate) know(l *link) {
	g.mu.Lock()
	if !g.strangers.remove(l) {
		g.mu.Unlock()
		return // displaced already
	}
	displaced, first := g.knowing.add(l)
	level := g.evictionLevel(first)
	g.mu.Unlock()
	displace(displaced, level)
}

// evictionLevel returns how to log that a connection is displaced; g.mu is held. That
// there is no room is worth a warning once.
func (g *gate) evictionLevel(first bool) slog.Level {
	if first {
		return g.evictions.level()
	}
	return slog.LevelDebug
}

func displace(l *link, level slog.Level) {
	if l == nil {
		return
	}
	l.log.Log(context.Background(), level,
		"too many connections in the handshake, the oldest of its address is closed")
	l.cut()
}

// forget no longer counts l among those in the handshake; g.mu is held.
func (g *gate) forget(l *link) {
	g.strangers.remove(l)
	g.knowing.remove(l)
}

// admit gives l, whose peer knows the token, a place among the sessions. The error
// tells the peer that there is none.
func (g *gate) admit(l *link) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.sessions) >= g.maxSessions {
		return fmt.Errorf("all %d sessions are taken", g.maxSessions)
	}
	g.forget(l)
	g.sessions[l] = struct{}{}
	return nil
}

// leave frees what l holds, whatever has become of it.
func (g *gate) leave(l *link) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(l)
	delete(g.sessions, l)
}

// delay returns how long a connection from source waits before its handshake begins.
func (g *gate) delay(source netip.Addr) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.failures[source]
	further := t.count(protocol.ForgiveTime) - protocol.FreeFailures
	return time.Duration(max(further, 0)) * protocol.DelayStep
}

// maxFailures is how many of a source are counted: those that bring the longest delay.
const maxFailures = protocol.FreeFailures + int(protocol.MaxDelay/protocol.DelayStep)

// fail counts the wrong token or key of l, and logs the error.
func (g *gate) fail(l *link, err error) {
	failures, level := g.countFailure(l.source)
	message := "handshake refused"
	if failures > protocol.FreeFailures {
		message = "handshake refused, the next one from its address is delayed"
	}
	l.log.Log(context.Background(), level, message, "err", err)
}

// logPlain tells of a peer that does not encrypt, which the server wants. It gives no
// reason that a foreign one would show.
func (g *gate) logPlain(l *link) {
	g.mu.Lock()
	level := g.refusals.level()
	g.mu.Unlock()
	l.log.Log(context.Background(), level, "connection without encryption refused")
}

// countFailure returns how many failures of source are not forgiven. Those that cost
// it nothing are worth a warning, and so is the first one that does.
func (g *gate) countFailure(source netip.Addr) (failures int, level slog.Level) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, known := g.failures[source]
	if !known && len(g.failures) >= protocol.MaxAddresses {
		delete(g.failures, g.soonestForgiven())
	}
	failures = t.add(protocol.ForgiveTime, maxFailures)
	g.failures[source] = t
	if failures > protocol.FreeFailures+1 {
		return failures, slog.LevelDebug
	}
	return failures, g.refusals.level()
}

// soonestForgiven returns the source whose failures are forgiven first, or have been
// already; g.mu is held.
func (g *gate) soonestForgiven() (soonest netip.Addr) {
	var first time.Time
	for source, t := range g.failures {
		if first.IsZero() || t.end.Before(first) {
			soonest, first = source, t.end
		}
	}
	return soonest
}

// tally counts events, of which one is forgotten each period.
type tally struct {
	end time.Time // when all are forgotten
}

// count returns how many are not forgotten.
func (t *tally) count(period time.Duration) int {
	return max(0, int((time.Until(t.end)+period-1)/period))
}

// add counts one more, up to limit, and returns the count.
func (t *tally) add(period time.Duration, limit int) int {
	n := t.count(period)
	if n == 0 {
		t.end = time.Now()
	}
	if n < limit {
		t.end = t.end.Add(period)
		n++
	}
	return n
}

// Warnings of what strangers can cause again and again: so many, and then one each
// period. The rest is for debugging.
const (
	maxWarnings   = 32
	warningPeriod = time.Minute
)

// warnings counts those of one kind.
type warnings struct {
	tally
}

// level returns the level of the next message.
func (w *warnings) level() slog.Level {
	if w.count(warningPeriod) >= maxWarnings {
		return slog.LevelDebug
	}
	w.add(warningPeriod, maxWarnings)
	return slog.LevelWarn
}
