package remote

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/compression"
	"github.com/remofile/remofile/protocol/zmtp"
)

// readable is a server of one file, which answers each READ with the frames that answer
// returns. It has the feature "zstd", or not.
func readable(size int64, zstd bool, answer func(r *remofile2.Request) [][]byte) *fake {
	return &fake{version: 2, serve: func(conn *zmtp.Conn, _ int) {
		for {
			frames, err := conn.ReadMessage()
			if err != nil {
				return
			}
			r, err := remofile2.DecodeRequest(frames[0])
			if err != nil {
				return
			}
			a := remofile2.Answer{ID: r.ID}
			var payload [][]byte
			switch r.Operation {
			case remofile2.OpAttach:
				a.Session, a.Secret = strings.Repeat("s", 16), strings.Repeat("t", 32)
				a.Info = remofile2.Info{Requests: 8, Bytes: 8 << 20, Payload: 1 << 20}
				if zstd {
					a.Info.Features = []string{remofile2.FeatureZstd}
				}
			case remofile2.OpOpen, remofile2.OpStat:
				a.Attr.Size = size
			case remofile2.OpRead:
				payload = answer(&r)
			}
			conn.WriteMessage(append([][]byte{remofile2.AppendAnswer(nil, r.Operation, &a)}, payload...)...)
		}
	}}
}

// compressed returns the frames of a payload.
func compressed(t *testing.T, payload []byte) [][]byte {
	t.Helper()
	codec, err := compression.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	frame := new(compression.Trials).Compress(codec, 1, payload, func(n int) []byte { return make([]byte, n) })
	if frame == nil {
		t.Fatalf("%d bytes can't be compressed", len(payload))
	}
	return [][]byte{frame, remofile2.AppendSize(nil, int64(len(payload)))}
}

func TestCompressedAnswers(t *testing.T) {
	content := []byte(strings.Repeat("2026-11-28 INFO request\n", 50_000))
	synctest.Test(t, func(t *testing.T) {
		odd := false
		c := readable(int64(len(content)), true, func(r *remofile2.Request) [][]byte {
			piece := content[r.Offset:min(r.Offset+r.Length, int64(len(content)))]
			if odd = !odd; odd {
				return compressed(t, piece)
			}
			return [][]byte{piece}
		}).client(t, Options{})
		for range 2 {
			var got bytes.Buffer
			if _, err := c.Download(t.Context(), "/f", &got, TransferOptions{}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), content) {
				t.Errorf("%d bytes of %d, or others", got.Len(), len(content))
			}
		}
	})
}

func TestBadCompressedAnswers(t *testing.T) {
	const chunk = 256 << 10
	content := []byte(strings.Repeat("line\n", 20_000))
	frames := compressed(t, content)
	size := int64(len(content))
	for _, test := range []struct {
		name   string
		zstd   bool
		answer [][]byte
	}{
		{"without the feature", false, frames},
		{"cut", true, [][]byte{frames[0][:len(frames[0])-1], frames[1]}},
		{"of another size", true, [][]byte{frames[0], remofile2.AppendSize(nil, size-1)}},
		{"of more than was asked for", true, compressed(t, make([]byte, chunk+1))},
		{"of more than any payload", true, [][]byte{frames[0], remofile2.AppendSize(nil, 1<<40)}},
		{"with a frame too many", true, append(frames[:2:2], nil)},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := readable(size, test.zstd, func(*remofile2.Request) [][]byte { return test.answer }).client(t, Options{})
			if _, err := c.Download(t.Context(), "/f", new(bytes.Buffer), TransferOptions{ChunkSize: chunk}); !errors.Is(err, Corrupted) {
				t.Errorf("an answer %s: error %v", test.name, err)
			}
		})
	}
}
