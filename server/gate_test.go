package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/protocol"
)

// addressedConn is a connection whose peer has an address of the test's choice.
type addressedConn struct {
	net.Conn
	peer net.Addr
}

func (c addressedConn) RemoteAddr() net.Addr { return c.peer }

// from returns the near end of a connection with a peer at ip, and its far end.
func from(t *testing.T, ip string) (near, far net.Conn) {
	near, far = net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	return addressedConn{near, &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}}, far
}

// visitors makes sessions that no goroutine runs.
type visitors struct {
	t    *testing.T
	log  *slog.Logger
	last uint64
}

func (v *visitors) from(ip string) *link {
	nc, _ := from(v.t, ip)
	v.last++
	return newLink(&Server{log: v.log}, nc, v.last)
}

func newVisitors(t *testing.T) *visitors { return &visitors{t: t, log: slog.New(slog.DiscardHandler)} }

func wasCut(s *link) bool { return s.life.Err() != nil }

func TestSourcesAreAddressesAndNetworksOfHosts(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1":              "192.0.2.1",
		"::ffff:192.0.2.1":       "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::",
		"2001:db8:1:2:ffff::":    "2001:db8:1:2::",
		"2001:db8:1:3:3:4:5:6":   "2001:db8:1:3::",
		"fe80::1%lo":             "fe80::",
		"fe80::0:0:0:2%another":  "fe80::",
		"::ffff:192.0.2.1%other": "192.0.2.1",
	} {
		addr := netip.MustParseAddr(address)
		tcp := &net.TCPAddr{IP: addr.AsSlice(), Zone: addr.Zone(), Port: 7}
		if got := sourceOf(tcp); got != netip.MustParseAddr(want) {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
	for _, peer := range []net.Addr{nil, &net.UnixAddr{Name: "1.2.3.4:5", Net: "unix"}} {
		if got := sourceOf(peer); got.IsValid() {
			t.Errorf("%v is %s, want none", peer, got)
		}
	}
}

func TestOldestOfTheAddressWithMostIsClosed(t *testing.T) {
	g, v := newGate(5, 1), newVisitors(t)
	const a, b, c = "192.0.2.1", "192.0.2.2", "2001:db8::"
	entered := make(map[string]*link)
	enter := func(name, ip string, want string) {
		t.Helper()
		entered[name] = v.from(ip)
		g.enter(entered[name])
		for other, s := range entered {
			if wasCut(s) != (other == want) {
				t.Errorf("at %s: %s is closed: %v, want %q to be", name, other, wasCut(s), want)
			}
		}
		delete(entered, want)
	}
	enter("b1", b, "")
	enter("a1", a, "")
	enter("a2", a, "")
	enter("a3", a, "")
	enter("b2", b, "")
	enter("c1", c+"1", "a1") // of 3, 2
	enter("c2", c+"2", "b1") // of 2, 2, 1: the oldest of all
	enter("c3", c+"3", "a2") // of 2, 1, 2
	enter("c4", c+"4", "c1") // of 1, 1, 3
	g.leave(entered["b2"])
	enter("c5", c+"5", "")
	enter("a4", a, "c2") // of 1, 4
	if err := g.admit(entered["c3"]); err != nil {
		t.Error(err)
	}
	enter("a5", a, "")
	enter("a6", a, "a3") // of 3, 2: the session is no stranger
}

func TestOldestOfAllIsClosedWhereAllAddressesHaveOne(t *testing.T) {
	const bound = 16
	g, v := newGate(bound, 1), newVisitors(t)
	var all []*link
	for i := range 2 * bound {
		all = append(all, v.from(fmt.Sprint("192.0.2.", i)))
		g.enter(all[i])
		for j, s := range all {
			if wasCut(s) != (j+bound <= i) {
				t.Fatalf("when %d has entered, %d is closed: %v", i, j, wasCut(s))
			}
		}
	}
}

// TestStrangersDoNotDisplaceWhoKnowsTheKey has a flood from more addresses than there
// is room for, and then one of those that know the key as well.
func TestStrangersDoNotDisplaceWhoKnowsTheKey(t *testing.T) {
	const bound = 16
	g, v := newGate(bound, 1), newVisitors(t)
	flood := func(know bool) {
		for i := range 3 * bound {
			l := v.from(fmt.Sprint("192.0.2.", i))
			g.enter(l)
			if know {
				g.know(l)
			}
		}
	}
	member := v.from("198.51.100.1")
	g.enter(member)
	g.know(member)
	flood(false)
	if wasCut(member) {
		t.Fatal("strangers displace a peer that knows the key")
	}
	flood(true)
	if !wasCut(member) || g.knowing.count != bound {
		t.Errorf("of those that know the key %d are there, want %d; the oldest is closed: %v", g.knowing.count, bound, wasCut(member))
	}
	displaced := v.from("192.0.2.0")
	g.enter(displaced)
	flood(false)
	g.know(displaced)
	if g.knowing.count != bound {
		t.Errorf("a displaced connection makes it %d, want %d", g.knowing.count, bound)
	}
}

// TestStrangersAreBounded has connections come, go and authenticate in any order.
func TestStrangersAreBounded(t *testing.T) {
	const bound = 16
	g, v := newGate(bound, 1000), newVisitors(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var all []*link
	for range 2000 {
		switch i := rng.IntN(len(all) + 1); {
		case len(all) == 0 || rng.IntN(2) == 0:
			all = append(all, v.from(fmt.Sprint("192.0.2.", rng.IntN(6))))
			g.enter(all[len(all)-1])
		case i == len(all):
		case rng.IntN(2) == 0:
			g.leave(all[i])
		default:
			if err := g.admit(all[i]); err != nil {
				t.Fatal(err)
			}
		}
		count := 0
		for source, of := range g.strangers.links {
			if count += len(of); len(of) == 0 {
				t.Fatalf("%s has no strangers, and is in the table", source)
			}
		}
		if count != g.strangers.count || count > bound {
			t.Fatalf("%d strangers are in the table, %d are counted, %d allowed", count, g.strangers.count, bound)
		}
	}
	for _, s := range all {
		g.leave(s)
	}
	if g.strangers.count != 0 || len(g.strangers.links) != 0 || len(g.sessions) != 0 {
		t.Errorf("after all have left: %d, %d strangers, %d sessions", g.strangers.count, len(g.strangers.links), len(g.sessions))
	}
}

func TestSessionsAreBoundedWhenManyComeAtOnce(t *testing.T) {
	g, v := newGate(protocol.MaxUnauthenticated, protocol.MaxSessions), newVisitors(t)
	var admitted atomic.Pointer[link]
	var taken, refused atomic.Int32
	var all sync.WaitGroup
	for range protocol.MaxSessions + 100 {
		s := v.from("192.0.2.1")
		all.Go(func() {
			g.enter(s)
			switch err := g.admit(s); {
			case err == nil:
				admitted.Store(s)
				taken.Add(1)
			case err.Error() == "all 1024 sessions are taken":
				refused.Add(1)
				g.leave(s)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if taken.Load() != protocol.MaxSessions || refused.Load() != 100 {
		t.Errorf("%d are admitted, %d refused, want %d and 100", taken.Load(), refused.Load(), protocol.MaxSessions)
	}
	late := v.from("192.0.2.2")
	g.enter(late)
	if err := g.admit(late); err == nil {
		t.Error("one more is admitted")
	}
	g.leave(admitted.Load())
	if err := g.admit(late); err != nil {
		t.Errorf("after one has left: %v", err)
	}
}

func TestFailuresDelayTheirAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, v := newGate(5, 5), newVisitors(t)
		guesser := v.from("192.0.2.1")
		want := func(failures int, delay time.Duration) {
			t.Helper()
			if got := g.delay(guesser.source); got != delay {
				t.Errorf("after %d failures the delay is %v, want %v", failures, got, delay)
			}
		}
		for n := range 100 {
			want(n, min(max(0, time.Duration(n-protocol.FreeFailures))*time.Second/8, time.Second))
			g.fail(guesser, errors.New("wrong"))
		}
		if got := g.delay(v.from("192.0.2.2").source); got != 0 {
			t.Errorf("another address is delayed by %v", got)
		}
		time.Sleep(time.Second - 1)
		want(16, time.Second)
		time.Sleep(time.Nanosecond)
		want(15, time.Second*7/8)
		time.Sleep(6 * time.Second)
		want(9, time.Second/8)
		time.Sleep(time.Second)
		want(8, 0)
		g.fail(guesser, errors.New("wrong"))
		want(9, time.Second/8)
		time.Sleep(9 * time.Second)
		for range protocol.FreeFailures {
			g.fail(guesser, errors.New("wrong"))
		}
		want(8, 0) // all those before are forgiven
	})
}

func TestAddressForgivenSoonestIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(5, 5)
		source := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
		fail := func(i, times int) {
			for range times {
				g.countFailure(source(i))
			}
		}
		forgotten := func(i int) bool {
			_, known := g.failures[source(i)]
			return !known
		}
		const older, fewer = 0, 77
		fail(older, 4)
		time.Sleep(2 * time.Second)
		for i := 1; i < protocol.MaxAddresses; i++ {
			fail(i, 3)
			if i != fewer {
				fail(i, 1)
			}
		}
		if fail(protocol.MaxAddresses, 1); !forgotten(older) || forgotten(fewer) {
			t.Error("the first to be forgotten is not the one that is forgiven in 2 s")
		}
		fail(protocol.MaxAddresses, 5)
		if fail(protocol.MaxAddresses+1, 1); !forgotten(fewer) || forgotten(1) {
			t.Error("the second to be forgotten is not the one that is forgiven in 3 s")
		}
		if len(g.failures) != protocol.MaxAddresses {
			t.Errorf("%d addresses are remembered, want %d", len(g.failures), protocol.MaxAddresses)
		}
	})
}

func TestFloodsAreLoggedOnce(t *testing.T) {
	wrong := errors.New("wrong")
	for name, test := range map[string]struct {
		warnings int // of 1000 at once
		next     func(g *gate, v *visitors, i int)
	}{
		"failures of one address": {protocol.FreeFailures + 1, func(g *gate, v *visitors, _ int) {
			g.fail(v.from("192.0.2.1"), wrong)
		}},
		"failures from all over": {maxWarnings, func(g *gate, v *visitors, i int) {
			g.fail(v.from(fmt.Sprintf("10.1.%d.%d", i/256, i%256)), wrong)
		}},
		"silent connections": {1, func(g *gate, v *visitors, _ int) {
			g.enter(v.from("192.0.2.1"))
		}},
		"connections that hang up": {maxWarnings, func(g *gate, v *visitors, _ int) {
			s := v.from("192.0.2.1")
			g.enter(s)
			g.enter(v.from("192.0.2.2"))
			g.leave(s)
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log syncBuffer
			g, v := newGate(5, 5), newVisitors(t)
			v.log = slog.New(slog.NewTextHandler(&log, nil))
			for i := range 1000 {
				test.next(g, v, i)
			}
			if n := strings.Count(log.b.String(), "\n"); n != test.warnings {
				t.Errorf("%s: 1000 at once bring %d warnings, want %d", name, n, test.warnings)
			}
			log.b.Reset()
			for i := range 1000 {
				time.Sleep(time.Second)
				test.next(g, v, i)
			}
			if n := strings.Count(log.b.String(), "\n"); n > 1000/60+1 {
				t.Errorf("%s: 1000 in 1000 s bring %d warnings, want one a minute", name, n)
			}
		})
	}
}
