package zmtp

import (
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// slowConn takes a bubble's time for what is written: rate is in bytes a second.
type slowConn struct {
	net.Conn
	rate float64
}

func (c *slowConn) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(float64(len(p)) / c.rate * float64(time.Second)))
	return len(p), nil
}

func (*slowConn) SetDeadline(time.Time) error      { return nil }
func (*slowConn) SetWriteDeadline(time.Time) error { return nil }

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowConn{rate: math.Inf(1)}
		l := &link{Conn: slow, writeTimeout: time.Hour}
		if err := l.establish(); err != nil {
			t.Fatal(err)
		}
		c := &Conn{link: l, stream: l}
		write := func(bytes int) {
			for range bytes / sampleSize {
				if err := c.WriteMessage(make([]byte, sampleSize)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // in which there is nothing to deliver
			}
		}
		want := func(least, most float64) {
			t.Helper()
			if got := c.Rate(); got < least || got > most {
				t.Errorf("the rate is %.0f bytes a second, want %.0f to %.0f", got, least, most)
			}
		}
		want(math.Inf(1), math.Inf(1))
		write(4 * rateMemory)
		want(math.Inf(1), math.Inf(1))
		for _, rate := range []float64{1e6, 100e6, 10e6} {
			slow.rate = rate
			write(8 * rateMemory)
			want(0.95*rate, 1.05*rate)
		}
		slow.rate = 100e9
		write(16 * rateMemory)
		want(math.Inf(1), math.Inf(1))
	})
}

// TestRateOfTCP is about a receiver that is slow. How much the kernel takes before that shows
// depends on the machine.
func TestRateOfTCP(t *testing.T) {
	client, server := configs(t, true)
	from, to := pair(t, client, server)
	if rate := from.Rate(); !math.IsInf(rate, 1) {
		t.Errorf("the rate is %.0f bytes a second at first", rate)
	}
	received := make(chan struct{})
	go func() { // ends with the connection
		defer close(received)
		for {
			time.Sleep(5 * time.Millisecond)
			if _, err := to.ReadMessage(); err != nil {
				return
			}
		}
	}()
	for deadline := time.Now().Add(30 * time.Second); from.Rate() > sampleSize/0.005; {
		if err := from.WriteMessage(make([]byte, sampleSize)); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the rate is %.0f bytes a second", from.Rate())
		}
	}
	from.Close()
	<-received
}
