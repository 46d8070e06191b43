package remote

import "time"

// Bounds of what pace says, in bytes.
const (
	minChunk = 16 << 10
	maxChunk = 1 << 20
	// chunkUnit is what chunks are multiples of: the pages of a file.
	chunkUnit = 4 << 10
	// minWindow is what a session begins with: at 0.5 Mbit/s the link is busy with it for a
	// second, well below any timeout.
	minWindow = spareChunks * minChunk
)

const (
	// chunkTime is how long the link takes for a chunk: longer ones save work where it is
	// fast, shorter ones let other requests pass where it is slow.
	chunkTime = 2 * time.Millisecond
	// windowGain is how many times what fits into the link may be under way: with twice as
	// much a link that is not full yet shows it within one round trip.
	windowGain = 2
	// spareChunks are under way besides: while one is being executed others are on their way.
	spareChunks = 4
	// maxQueue is the part of the timeout that the link may be busy with what is under way.
	maxQueue = 4

	// The rate is the highest of the last one or two rateTimes, or rateTrips round trips.
	rateTime  = time.Second
	rateTrips = 10
	// The delay is measured anew after delayTime, or delayTrips round trips.
	delayTime  = 10 * time.Second
	delayTrips = 100
)

// pace measures one link and says how much may be under way on it. It does as BBR (Cardwell and
// others: BBR: Congestion-Based Congestion Control, 2016) in small: the rate is the highest at
// which content has been delivered lately, the delay the shortest in which a request was
// answered, and what fits into the link is their product.
type pace struct {
	most    int64         // bytes that may be under way
	timeout time.Duration // of silence

	rate        peak // bytes a second
	delay       time.Duration
	measured    time.Time // when delay was
	probing     bool      // one request at a time, which measures the delay
	underWay    int       // requests that were sent and are not answered
	delivered   int64     // bytes of content
	deliveredAt time.Time
}

// mark is what pace has to know of a request until it is answered.
type mark struct {
	sent      time.Time
	delivered int64     // pace.delivered then
	since     time.Time // pace.deliveredAt then
	full      bool      // as much as may be was under way
	alone     bool      // nothing else was
}

// newPace begins with a first measurement of the delay.
func newPace(most int64, timeout, delay time.Duration, measured time.Time) pace {
	return pace{most: most, timeout: timeout, delay: delay, measured: measured}
}

// send takes note of a request that is sent; full tells that the window is used.
func (p *pace) send(now time.Time, full bool) mark {
	alone := p.underWay == 0
	if alone {
		p.deliveredAt = now
	}
	p.underWay++
	return mark{sent: now, delivered: p.delivered, since: p.deliveredAt, full: full, alone: alone}
}

// answer takes note of the answer, which has delivered so many bytes of content.
func (p *pace) answer(m mark, bytes int64, now time.Time) {
	p.underWay--
	p.delivered += bytes
	p.deliveredAt = now
	p.measure(m, bytes, now)
	elapsed := now.Sub(m.since).Seconds()
	if bytes == 0 || elapsed <= 0 {
		return
	}
	rate := float64(p.delivered-m.delivered) / elapsed
	if m.full || rate > p.rate.best() { // a link that is not used does not show what it can
		p.rate.add(rate, now, max(rateTime, rateTrips*p.delay))
	}
}

// measure looks after the delay. While the window is used, requests wait in queues along the
// way, and only a probe shows it.
func (p *pace) measure(m mark, bytes int64, now time.Time) {
	took := now.Sub(m.sent)
	switch {
	case p.probing && m.alone && bytes > 0:
		p.delay = max(took-seconds(float64(bytes)/p.rate.best()), 0)
		p.measured, p.probing = now, false
	case took < p.delay:
		p.delay, p.measured = took, now
	case m.full && now.Sub(p.measured) > max(delayTime, delayTrips*p.delay):
		p.probing = true
	}
}

// window returns how many bytes of content may be under way.
func (p *pace) window() int64 {
	if p.probing {
		return 0
	}
	rate := p.rate.best()
	w := int64(windowGain*rate*p.delay.Seconds()) + spareChunks*p.chunk()
	w = min(w, int64(rate*p.timeout.Seconds()/maxQueue))
	return min(max(w, minWindow), p.most)
}

// chunk returns how many bytes of content a request is to carry.
func (p *pace) chunk() int64 {
	chunk := int64(p.rate.best()*chunkTime.Seconds()) / chunkUnit * chunkUnit
	return min(max(chunk, minChunk), maxChunk)
}

// peak is the greatest of the values of the last one or two periods.
type peak struct {
	before, since float64 // the greatest of the period before this one, and since that
	begun         time.Time
}

func (k *peak) add(v float64, now time.Time, period time.Duration) {
	if now.Sub(k.begun) >= period {
		k.before, k.since, k.begun = k.since, 0, now
	}
	k.since = max(k.since, v)
}

// best is 0 where there is no value yet.
func (k *peak) best() float64 { return max(k.before, k.since) }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
