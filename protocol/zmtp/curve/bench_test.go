package curve

import (
	"fmt"
	"io"
	"testing"
)

// BenchmarkFrames moves frames over loopback, sealed on one side and opened on the other.
func BenchmarkFrames(b *testing.B) {
	for _, size := range []int{8 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			near, far := tcpPair(b)
			client, server := established(b, near, far, size)
			out := append(appendHeader(nil, 0, size), make([]byte, size)...)
			in := make([]byte, len(out))
			received := make(chan error, 1)
			go func() {
				for range b.N {
					if _, err := io.ReadFull(server, in); err != nil {
						received <- err
						return
					}
				}
				received <- nil
			}()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := client.Write(out); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-received; err != nil {
				b.Fatal(err)
			}
		})
	}
}
