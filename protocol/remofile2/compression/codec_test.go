package compression

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/remofile/remofile/protocol/internal/cost"
	"github.com/remofile/remofile/protocol/remofile2"
)

func newCodec(t testing.TB) *Codec {
	t.Helper()
	c, err := NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func fresh(n int) []byte { return make([]byte, n) }

// logs returns n bytes that look like a server's log.
func logs(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "2026-11-28T01:%02d:%02d.%03dZ INFO request op=READ id=%d len=262144 dur=%dus\n",
			random.IntN(60), random.IntN(60), random.IntN(1000), b.Len(), random.IntN(100000))
	}
	return b.Bytes()[:n]
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// decompress takes what a message brings.
func decompress(c *Codec, frame []byte, size int64) ([]byte, error) {
	n, err := Size(frame, remofile2.AppendSize(nil, size))
	if err != nil {
		return nil, err
	}
	return c.Decompress(frame, n, fresh)
}

func TestPayloadsSurvive(t *testing.T) {
	c := newCodec(t)
	for _, size := range []int{1024, 1025, 64 << 10, 64<<10 + 1, 256 << 10, 1<<20 - 1, 1 << 20} {
		for name, payload := range map[string][]byte{"logs": logs(size), "zeros": make([]byte, size)} {
			frame := c.compress(payload, fresh)
			if len(frame) == 0 || len(frame) > size-size/10 {
				t.Errorf("%d bytes of %s: a frame of %d", size, name, len(frame))
			}
			got, err := decompress(c, frame, int64(size))
			if err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%d bytes of %s: %d bytes, %v", size, name, len(got), err)
			}
		}
		if frame := c.compress(noise(size), fresh); frame != nil {
			t.Errorf("%d bytes of noise: a frame of %d", size, len(frame))
		}
	}
}

// TestManyAtATime uses one Codec from more goroutines than it has workers.
func TestManyAtATime(t *testing.T) {
	c := newCodec(t)
	payload := logs(300 << 10)
	var group sync.WaitGroup
	for range 4 * maxWorkers {
		group.Go(func() {
			frame := c.compress(payload, fresh)
			if got, err := decompress(c, frame, int64(len(payload))); err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	group.Wait()
}

// hello is the payload of the golden frames.
var hello = strings.TrimSuffix(strings.Repeat("hello ", 14), " ")

// goldenFrames are the program zstd's, version 1.5.4, of hello.
var goldenFrames = map[string]string{
	"one segment":        "28b52ffd 20 53 6d0000 3068656c6c6f2001001ab41401",
	"with a checksum":    "28b52ffd 24 53 6d0000 3068656c6c6f2001001ab41401 ac4e5253",
	"of no told size":    "28b52ffd 00 00 6d0000 3068656c6c6f2001001ab41401",
	"of a window of 2 M": "28b52ffd 00 58 6d0000 3068656c6c6f2001001ab41401",
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenFrames(t *testing.T) {
	c := newCodec(t)
	for name, text := range goldenFrames {
		frame := unhex(t, text)
		if got, err := decompress(c, frame, int64(len(hello))); err != nil || string(got) != hello {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for n := range frame {
			if _, err := decompress(c, frame[:n], int64(len(hello))); err == nil {
				t.Errorf("%s: %d bytes of it are taken", name, n)
			}
		}
	}
}

func TestHostileFramesAreRefused(t *testing.T) {
	c := newCodec(t)
	golden := goldenFrames["of no told size"]
	const zeros128K = "020010 00" // a block
	for name, test := range map[string]struct {
		frame string
		size  int64
	}{
		"longer than the limit":          {golden, remofile2.MaxPayload + 1},
		"of the longest size there is":   {golden, 1<<63 - 1},
		"not shorter than decompressed":  {golden, 22},
		"empty":                          {golden, 0},
		"longer than it told":            {golden, 82},
		"shorter than it told":           {golden, 84},
		"of another size in the header":  {strings.Replace(goldenFrames["one segment"], "20 53", "20 54", 1), 83},
		"with a byte behind it":          {golden + "00", 83},
		"with a second frame":            {golden + golden, 166},
		"with an empty second frame":     {golden + "28b52ffd 20 00 010000", 83},
		"with a skippable frame behind":  {golden + "502a4d18 00000000", 83},
		"with a skippable frame before":  {"502a4d18 00000000" + golden, 83},
		"of another format":              {"1f8b0800000000000003cb48cdc9c95748c0420200", 83},
		"with a dictionary":              {strings.Replace(golden, "00 00", "01 00 07", 1), 83},
		"with a dictionary, one segment": {strings.Replace(goldenFrames["one segment"], "20 53", "21 07 53", 1), 83},
		"of a window of 16 MiB":          {strings.Replace(golden, "00 00", "00 70", 1), 83},
		"of a window of terabytes":       {strings.Replace(golden, "00 00", "00 ff", 1), 83},
		"with a wrong checksum":          {strings.Replace(goldenFrames["with a checksum"], "5253", "5254", 1), 83},
		"with a reserved block":          {"28b52ffd 00 00 070000", 83},
		"a bomb":                         {"28b52ffd 00 68" + strings.Repeat(zeros128K, 1000) + "010000", remofile2.MaxPayload},
		"a bomb that tells its size":     {"28b52ffd a0 00001000" + strings.Repeat(zeros128K, 1000) + "010000", remofile2.MaxPayload},
		"of a great many empty blocks":   {"28b52ffd 00 00" + strings.Repeat("000000", 300000) + "010000", remofile2.MaxPayload},
	} {
		frame := unhex(t, test.frame)
		var err error
		cost.Limit(t, budget, func() { _, err = decompress(c, frame, test.size) })
		if err == nil {
			t.Errorf("a frame that is %s is taken", name)
		}
	}
}

// budget is how many bytes it may allocate to decompress, the payload and a worker's memory.
const budget = 4 << 20

// TestForeignFrames: what we compress the program zstd decompresses, and the other way around.
func TestForeignFrames(t *testing.T) {
	c := newCodec(t)
	for _, size := range []int{4 << 10, 256 << 10, 1 << 20} {
		payload := logs(size)
		if got := runZstd(t, c.compress(payload, fresh), "-d"); !bytes.Equal(got, payload) {
			t.Errorf("of %d bytes zstd gets %d", size, len(got))
		}
		for _, level := range []string{"--fast=5", "-1", "-3", "-19"} {
			frame := runZstd(t, payload, level)
			if got, err := decompress(c, frame, int64(size)); err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%d bytes, zstd %s: %d bytes, %v", size, level, len(got), err)
			}
		}
	}
}

// runZstd runs the program zstd as a filter. Without it the test is skipped, with CI=true it fails.
func runZstd(t *testing.T, input []byte, option string) []byte {
	t.Helper()
	path, err := exec.LookPath("zstd")
	if err != nil {
		const lacking = "no program zstd (Debian: zstd)"
		if os.Getenv("CI") == "true" {
			t.Fatal(lacking)
		}
		t.Skip(lacking)
	}
	cmd := exec.Command(path, "-q", "-c", option)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// Whatever a peer sends is decompressed to what it told, or refused, at little cost.
func FuzzDecompress(f *testing.F) {
	c := newCodec(f)
	for _, text := range goldenFrames {
		f.Add(unhex(f, text), int64(len(hello)))
	}
	f.Add(c.compress(logs(256<<10), fresh), int64(256<<10))
	f.Fuzz(func(t *testing.T, frame []byte, size int64) {
		if size < 0 {
			return
		}
		var payload []byte
		var err error
		cost.Limit(t, budget, func() { payload, err = decompress(c, frame, size) })
		if err == nil && int64(len(payload)) != size {
			t.Errorf("%d bytes of %d", len(payload), size)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	c := newCodec(f)
	f.Add(logs(4<<10), 1)
	f.Add(noise(4<<10), 7)
	f.Add([]byte("a"), 300000)
	f.Fuzz(func(t *testing.T, b []byte, times int) {
		if len(b) == 0 || times < 1 || times > remofile2.MaxPayload/len(b) {
			return
		}
		payload := bytes.Repeat(b, times)
		frame := c.compress(payload, fresh)
		if frame == nil {
			return
		}
		if got, err := decompress(c, frame, int64(len(payload))); err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes of %d, %v", len(got), len(payload), err)
		}
	})
}

// BenchmarkCodec reports how long a frame is, in percent of the payload.
func BenchmarkCodec(b *testing.B) {
	c := newCodec(b)
	const size = 256 << 10
	memory := make([]byte, size)
	reuse := func(n int) []byte { return memory[:n] }
	for name, payload := range map[string][]byte{"logs": logs(size), "noise": noise(size), "zeros": make([]byte, size)} {
		b.Run("compress/"+name, func(b *testing.B) {
			b.SetBytes(size)
			var frame []byte
			for b.Loop() {
				frame = c.compress(payload, reuse)
			}
			b.ReportMetric(float64(len(frame))*100/size, "percent")
		})
	}
	b.Run("decompress/logs", func(b *testing.B) {
		frame := c.compress(logs(size), fresh)
		b.SetBytes(size)
		for b.Loop() {
			if _, err := c.Decompress(frame, size, reuse); err != nil {
				b.Fatal(err)
			}
		}
	})
}
