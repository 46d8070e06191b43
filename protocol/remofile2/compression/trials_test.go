package compression

import (
	"testing"
	"testing/synctest"
	"time"
)

// slowLink is 100 Mbit/s, in bytes a second.
const slowLink = 100e6 / 8

// TestTrialsBackOff counts how many payloads of noise are tried, and finds out when the file
// has become text, and noise again.
func TestTrialsBackOff(t *testing.T) {
	var trials Trials
	tried := 0
	send := func(shrinks bool) bool {
		due := trials.due()
		if due {
			tried++
			trials.learn(shrinks)
		}
		return due
	}
	const payloads = 1000
	for range payloads {
		send(false)
	}
	if tried < payloads/maxPause || tried > payloads/maxPause+7 {
		t.Errorf("%d of %d payloads of noise were tried", tried, payloads)
	}
	found := 0
	for !send(true) {
		found++
	}
	if found > maxPause {
		t.Errorf("text was found after %d payloads", found)
	}
	for i := range payloads {
		if !send(true) {
			t.Fatalf("payload %d of text was not tried", i)
		}
	}
	tried = 0
	for i, due := range []int{1, 1, 2, 2, 2, 3} {
		if send(false); tried != due {
			t.Errorf("%d of the %d payloads after the text were tried, want %d", tried, i+1, due)
		}
	}
}

// TestOneTryAtATime: of payloads that leave together one is tried, as long as it is not known
// that they shrink.
func TestOneTryAtATime(t *testing.T) {
	var trials Trials
	due := func(want ...bool) {
		t.Helper()
		for i := range want {
			if got := trials.due(); got != want[i] {
				t.Errorf("payload %d is tried: %v", i, got)
			}
		}
	}
	due(true, false, false)
	trials.learn(true)
	due(true, true, true)
	for range 3 { // they fail together, and count as one
		trials.learn(false)
	}
	due(false, true, false)
}

func TestWhatIsCompressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where it takes no time to compress
		c := newCodec(t)
		text, random := logs(256<<10), noise(256<<10)
		for _, test := range []struct {
			name    string
			link    float64
			payload []byte
			want    bool
		}{
			{"text on a slow link", slowLink, text, true},
			{"a payload of a few KiB", slowLink, text[:shortPayload], true},
			{"a shorter one", slowLink, text[:shortPayload-1], false},
			{"an empty one", slowLink, nil, false},
			{"text on a fast link", fastLink, text, false},
			{"noise on a slow link", slowLink, random, false},
		} {
			if got := new(Trials).Compress(c, test.link, test.payload, fresh) != nil; got != test.want {
				t.Errorf("%s: compressed is %v", test.name, got)
			}
		}
	})
}

func TestTheCompressorCompetesWithTheLink(t *testing.T) {
	for _, test := range []struct {
		saved int
		took  time.Duration
		link  float64
		want  bool
	}{
		{200 << 10, time.Millisecond, slowLink, true},
		{200 << 10, 50 * time.Millisecond, slowLink, false},
		{200 << 10, 50 * time.Millisecond, slowLink / 10, true},
		{0, 0, slowLink, false},
	} {
		if got := pays(test.saved, test.took, test.link); got != test.want {
			t.Errorf("%d bytes in %v pay on a link of %.0f bytes a second: %v", test.saved, test.took, test.link, got)
		}
	}
}
