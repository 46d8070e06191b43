package server

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/compression"
)

func newCodec(t testing.TB) *compression.Codec {
	t.Helper()
	codec, err := compression.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

func fresh(n int) []byte { return make([]byte, n) }

// decompressed returns what the payload and the size of a message are.
func decompressed(codec *compression.Codec, payload, size []byte) ([]byte, error) {
	n, err := compression.Size(payload, size)
	if err != nil {
		return nil, err
	}
	return codec.Decompress(payload, n, fresh)
}

// logs returns n bytes of lines.
func logs(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "2026-11-28 %08d INFO request %x\n", i, i*7919)
	}
	return b.Bytes()[:n]
}

// dialZstd begins a session with the feature "zstd".
func (s *served) dialZstd() *client2 {
	s.t.Helper()
	c := s.link2()
	c.codec = newCodec(s.t)
	c.attach = c.want(CodeDone, Request{Operation: OpAttach, Features: []string{FeatureZstd, "future"}}).Answer
	if got := c.attach.Info.Features; !slices.Equal(got, []string{FeatureZstd}) {
		s.t.Errorf("the features of both sides are %q", got)
	}
	return c
}

// sendCompressed is send with a compressed payload.
func (c *client2) sendCompressed(r Request, payload []byte) uint64 {
	c.t.Helper()
	frame := new(compression.Trials).Compress(c.codec, 1, payload, fresh)
	if frame == nil {
		c.t.Fatalf("%d bytes can't be compressed", len(payload))
	}
	return c.sendFrames(r, frame, AppendSize(nil, int64(len(payload))))
}

// sendFrames sends a request with any frames behind the header.
func (c *client2) sendFrames(r Request, frames ...[]byte) uint64 {
	c.t.Helper()
	c.id++
	r.ID = c.id
	c.sent[r.ID] = r.Operation
	if err := c.conn.WriteMessage(append([][]byte{AppendRequest(nil, &r)}, frames...)...); err != nil {
		c.t.Fatal(err)
	}
	return r.ID
}

// TestCompressedPayloadsAreWritten, in order with those that are not.
func TestCompressedPayloadsAreWritten(t *testing.T) {
	s := serve(t, Options{})
	c := s.dialZstd()
	first, second := logs(MaxPayload), logs(100_000)
	c.send(openRequest(1, "/f", OpenWrite|OpenCreate))
	c.sendCompressed(writeRequest(1, 0), make([]byte, MaxPayload))
	c.sendCompressed(writeRequest(1, 0), first)
	c.send(writeRequest(1, 3), []byte("plain")...)
	c.sendCompressed(Request{Operation: OpAppend, Handle: 1}, second)
	c.send(closeRequest(1))
	for id, r := range c.receiveAll() {
		if r.Code != CodeDone {
			t.Errorf("request %d: %v %s", id, r.Code, r.Message)
		}
	}
	copy(first[3:], "plain")
	if got := s.read("f"); got != string(first)+string(second) {
		t.Errorf("the file has %d bytes, or others", len(got))
	}
}

// TestBadCompressedPayloadsAreRefused: the session goes on, but the file does not become visible.
func TestBadCompressedPayloadsAreRefused(t *testing.T) {
	s := serve(t, Options{})
	c := s.dialZstd()
	payload := logs(100_000)
	frame := new(compression.Trials).Compress(c.codec, 1, payload, fresh)
	size := AppendSize(nil, int64(len(payload)))
	c.want(CodeDone, openRequest(1, "/open", OpenRead|OpenWrite|OpenCreate))
	for name, test := range map[string]struct {
		request Request
		frames  [][]byte
	}{
		"another size":               {writeRequest(1, 0), [][]byte{frame, AppendSize(nil, 99_999)}},
		"a size beyond the limit":    {writeRequest(1, 0), [][]byte{frame, AppendSize(nil, MaxPayload+1)}},
		"a size that is none":        {writeRequest(1, 0), [][]byte{frame, {0xff}}},
		"a payload that has grown":   {writeRequest(1, 0), [][]byte{frame, AppendSize(nil, int64(len(frame)))}},
		"an end beyond 2^63-1":       {writeRequest(1, math.MaxInt64-99_999), [][]byte{frame, size}},
		"a cut frame":                {writeRequest(1, 0), [][]byte{frame[:len(frame)-1], size}},
		"no frame at all":            {writeRequest(1, 0), [][]byte{{}, size}},
		"a frame too many":           {writeRequest(1, 0), [][]byte{frame, size, {}}},
		"a payload where none is":    {readRequest(1, 0, 1), [][]byte{frame, size}},
		"bytes that are not a frame": {writeRequest(1, 0), [][]byte{payload[:100], size}},
	} {
		if got := c.receiveOnly(c.sendFrames(test.request, test.frames...)); got.Code != CodeBadRequest || got.Message == "" {
			t.Errorf("%s: %v %q", name, got.Code, got.Message)
		}
	}
	c.want(CodeDone, stageRequest(2, "/f", 0))
	c.receiveOnly(c.sendFrames(writeRequest(2, 0), frame[:len(frame)-1], size))
	c.want(CodeBadRequest, Request{Operation: OpCommit, Handle: 2})
	if got := s.dial2(); got.receiveOnly(got.sendFrames(writeRequest(1, 0), frame, size)).Code != CodeBadRequest {
		t.Error("a compressed payload is taken from a client that has not the feature")
	}
}

// TestLimitsCountDecompressed: frames of some bytes fill what a session may have under way.
func TestLimitsCountDecompressed(t *testing.T) {
	s := serve(t, Options{})
	c := s.dialZstd()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
	c.want(CodeDone, Request{Operation: OpSet, Handle: 1, Changes: Changes{Size: new(int64(1 << 40))}})
	slow := c.send(Request{Operation: OpDigest, Handle: 1, Length: 1 << 40, Block: 1 << 40})
	zeros := make([]byte, MaxPayload)
	for range MaxBytes/MaxPayload - 1 {
		c.sendCompressed(writeRequest(1, 0), zeros)
	}
	if got := c.receiveOnly(c.sendCompressed(writeRequest(1, 0), zeros)); got.Code != CodeTooMany {
		t.Errorf("one byte more: %v", got.Code)
	}
	c.cancel(slow)
}

// meteredConn takes a bubble's time for what is written, and counts it.
type meteredConn struct {
	net.Conn
	rate    float64 // bytes a second
	written *int
}

func (c meteredConn) Write(p []byte) (int, error) {
	*c.written += len(p)
	time.Sleep(time.Duration(float64(len(p)) / c.rate * float64(time.Second)))
	return c.Conn.Write(p)
}

// TestWhatIsReadIsCompressed where the link is slow, the file shrinks, and the client takes it.
func TestWhatIsReadIsCompressed(t *testing.T) {
	const size, chunk = 8 << 20, 256 << 10
	noise := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	const slow, fast = 100e6 / 8, 10e9 / 8
	for _, test := range []struct {
		name        string
		rate        float64
		content     []byte
		feature     string
		least, most int // bytes on the wire
	}{
		{"text on a slow link", slow, logs(size), FeatureZstd, size / 100, size / 3},
		{"text on a fast link", fast, logs(size), FeatureZstd, size, size + size/100},
		{"text for a client that takes it as it is", slow, logs(size), FeatureResume, size, size + size/100},
		{"noise on a slow link", slow, noise, FeatureZstd, size, size + size/100},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, Options{})
			if err := os.WriteFile(filepath.Join(s.options.Jail, "f"), test.content, 0o666); err != nil {
				t.Fatal(err)
			}
			near, far := from(t, "192.0.2.1")
			written := 0
			c := pipe2Over(t, s, meteredConn{near, test.rate, &written}, far, Request{Operation: OpAttach, Features: []string{test.feature}})
			c.codec = newCodec(t)
			c.want(CodeDone, openRequest(1, "/f", OpenRead))
			offsets := make(map[uint64]int)
			for offset := 0; offset < size; offset += chunk {
				offsets[c.send(readRequest(1, int64(offset), chunk))] = offset
			}
			for id, got := range c.receiveAll() {
				if offset := offsets[id]; !bytes.Equal(got.payload, test.content[offset:offset+chunk]) {
					t.Fatalf("%s: other bytes at %d: %v", test.name, offset, got.Code)
				}
			}
			c.conn.Close()
			synctest.Wait()
			if written < test.least || written > test.most {
				t.Errorf("%s: %d bytes went over the wire, want %d to %d", test.name, written, test.least, test.most)
			}
		})
	}
}
