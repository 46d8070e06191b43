package zmtp

import (
	"io"
	"net"
	"testing"
	"time"
)

const (
	benchFrame  = 1 << 20
	benchFrames = 64 // of a round of one system
)

// BenchmarkThroughput moves frames of 1 MiB over loopback, in turns by TCP alone, by a plain
// connection and by an encrypted one, and reports the rates of all and how they compare.
func BenchmarkThroughput(b *testing.B) {
	systems := []struct {
		name string
		way  func(frames int) time.Duration
	}{{"tcp", rawWay(b)}, {"plain", messageWay(b, true)}, {"curve", messageWay(b, false)}}
	spent := make(map[string]time.Duration)
	for _, s := range systems {
		s.way(benchFrames) // touches the memory
	}
	rounds := 0
	for b.Loop() {
		for _, s := range systems {
			spent[s.name] += s.way(benchFrames)
		}
		rounds++
	}
	rate := func(name string) float64 {
		return float64(rounds*benchFrames*benchFrame) / (1 << 20) / spent[name].Seconds()
	}
	for _, s := range systems {
		b.ReportMetric(rate(s.name), s.name+"-MiB/s")
	}
	b.ReportMetric(rate("plain")/rate("tcp"), "plain/tcp")
	b.ReportMetric(rate("curve")/rate("tcp"), "curve/tcp")
	b.ReportMetric(0, "ns/op")
}

// rawWay returns a function that sends and receives by TCP and tells how long it took.
func rawWay(b *testing.B) func(frames int) time.Duration {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	from, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	to, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { from.Close(); to.Close() })
	in, out := make([]byte, benchFrame), make([]byte, benchFrame)
	return timed(b, func() error { _, err := from.Write(out); return err },
		func() error { _, err := io.ReadFull(to, in); return err })
}

// messageWay is rawWay by messages of an empty frame and one of 1 MiB.
func messageWay(b *testing.B, plain bool) func(frames int) time.Duration {
	client, server := configs(b, plain)
	from, to := pair(b, client, server)
	out := make([]byte, benchFrame)
	return timed(b, func() error { return from.WriteMessage(nil, out) },
		func() error { _, err := to.ReadMessage(); return err })
}

func timed(b *testing.B, send, receive func() error) func(frames int) time.Duration {
	return func(frames int) time.Duration {
		start := time.Now()
		received := make(chan error, 1)
		go func() {
			for range frames {
				if err := receive(); err != nil {
					received <- err
					return
				}
			}
			received <- nil
		}()
		for range frames {
			if err := send(); err != nil {
				b.Fatal(err)
			}
		}
		if err := <-received; err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
}
