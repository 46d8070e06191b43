package remote

import (
	"fmt"
	"testing"
	"time"
)

// simulation is one transfer over a link whose narrowest place forwards rate bytes a
// second, and which takes trip there and back.
type simulation struct {
	rate float64
	trip time.Duration

	pace     pace
	now      time.Time
	free     time.Time // when the narrowest place has forwarded all that it got
	flying   []flight
	bytes    int64         // under way
	queued   time.Duration // that the last request waited in front of the narrowest place
	answered int64         // bytes
}

type flight struct {
	mark  mark
	bytes int64
	back  time.Time
}

func newSimulation(rate float64, trip time.Duration) *simulation {
	start := time.Unix(1e9, 0)
	s := &simulation{rate: rate, trip: trip, now: start, free: start, pace: newPace(12<<20, DefaultTimeout, trip, start)}
	return s
}

func (s *simulation) request(bytes int64) {
	begin := s.now
	if s.free.After(begin) {
		begin = s.free
	}
	s.queued = begin.Sub(s.now)
	s.free = begin.Add(seconds(float64(bytes) / s.rate))
	s.bytes += bytes
	m := s.pace.send(s.now, 2*s.bytes >= s.pace.window())
	s.flying = append(s.flying, flight{m, bytes, s.free.Add(s.trip)})
}

// step goes to the next answer.
func (s *simulation) step() {
	f := s.flying[0]
	s.flying = s.flying[1:]
	s.now = f.back
	s.bytes -= f.bytes
	s.answered += f.bytes
	s.pace.answer(f.mark, f.bytes, s.now)
}

// fill sends what may be under way, and waits for the next answer.
func (s *simulation) fill() {
	for {
		chunk := s.pace.chunk()
		if s.bytes > 0 && s.bytes+chunk > s.pace.window() {
			break
		}
		s.request(chunk)
	}
	s.step()
}

const mbit = 1e6 / 8 // bytes a second

// TestTheWindowFitsTheLink: within a moment the link is busy, and what waits in front of it is
// no more than the window: two round trips, and a few chunks.
func TestTheWindowFitsTheLink(t *testing.T) {
	for _, rate := range []float64{0.5 * mbit, 2 * mbit, 20 * mbit, 100 * mbit, 1000 * mbit, 10_000 * mbit} {
		for _, trip := range []time.Duration{50 * time.Microsecond, time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
			t.Run(fmt.Sprintf("%.1f Mbit/s %v", rate/mbit, trip), func(t *testing.T) {
				s := newSimulation(rate, trip)
				start := s.now
				for s.now.Sub(start) < 12*s.trip+time.Second {
					s.fill()
				}
				fits := rate * trip.Seconds()
				possible := min(1, 0.9*float64(s.pace.most)/fits) // of the rate
				chunkTime := seconds(float64(s.pace.chunk()) / rate)
				longest := trip*2 + 6*chunkTime
				from, bytes := s.now, s.answered
				for s.now.Sub(from) < time.Minute {
					s.fill()
					if s.queued > longest {
						t.Fatalf("after %v a request waits for %v, the window is %d", s.now.Sub(start), s.queued, s.pace.window())
					}
				}
				got := float64(s.answered-bytes) / s.now.Sub(from).Seconds()
				if got < 0.93*possible*rate {
					t.Errorf("%.2f of the link are used; the window is %d, %.0f fit", got/rate, s.pace.window(), fits)
				}
			})
		}
	}
}

// TestATransferStartsFast: 64 MiB at 20 ms and 1 Gbit/s within 1.2 of the time for the bytes
// and one round trip.
func TestATransferStartsFast(t *testing.T) {
	s := newSimulation(1000*mbit, 20*time.Millisecond)
	start := s.now
	for s.answered < 64<<20 {
		s.fill()
	}
	ideal := seconds(float64(64<<20)/s.rate) + s.trip
	if took := s.now.Sub(start); took > ideal*6/5 {
		t.Errorf("it took %v, want %v", took, ideal)
	}
}

// TestTheWindowFollowsTheLink when that gets slower, faster or longer.
func TestTheWindowFollowsTheLink(t *testing.T) {
	s := newSimulation(1000*mbit, 20*time.Millisecond)
	run := func(d time.Duration) float64 {
		from, bytes := s.now, s.answered
		for s.now.Sub(from) < d {
			s.fill()
		}
		return float64(s.answered-bytes) / s.now.Sub(from).Seconds()
	}
	run(10 * time.Second)
	for _, link := range []struct {
		rate float64
		trip time.Duration
	}{{10 * mbit, 20 * time.Millisecond}, {1000 * mbit, 20 * time.Millisecond}, {1000 * mbit, 60 * time.Millisecond}, {100 * mbit, 5 * time.Millisecond}} {
		s.rate, s.trip = link.rate, link.trip
		run(30 * time.Second)
		if got := run(10 * time.Second); got < 0.9*link.rate {
			t.Errorf("%.0f Mbit/s and %v: %.2f of it are used, the window is %d", link.rate/mbit, link.trip, got/link.rate, s.pace.window())
		}
		if longest := link.trip*2 + 6*max(chunkTime, seconds(minChunk/link.rate)); s.queued > longest {
			t.Errorf("%.0f Mbit/s and %v: a request waits for %v", link.rate/mbit, link.trip, s.queued)
		}
	}
}

// TestRestDoesNotForgetTheLink: small requests, and pauses, show nothing of what it can.
func TestRestDoesNotForgetTheLink(t *testing.T) {
	s := newSimulation(1000*mbit, 20*time.Millisecond)
	for s.answered < 64<<20 {
		s.fill()
	}
	before := s.pace.window()
	for range 100 {
		s.now = s.now.Add(time.Second)
		s.request(4096)
		for len(s.flying) > 0 {
			s.step()
		}
	}
	s.now = s.now.Add(time.Second)
	if got := s.pace.window(); got < before*3/4 {
		t.Errorf("the window was %d and is %d", before, got)
	}
}
