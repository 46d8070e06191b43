package compression

import (
	"runtime"

	"github.com/klauspost/compress/zstd"

	"github.com/remofile/remofile/protocol/remofile2"
)

const (
	// maxWorkers bounds the memory of a Codec, with some 3 MiB for each.
	maxWorkers = 4
	// window is how far back a frame of ours refers, in bytes.
	window = remofile2.MaxPayload
)

// Codec compresses and decompresses payloads. Any number of goroutines may use it: those
// that find all its workers busy wait for one. It has no goroutine of its own.
type Codec struct {
	workers chan *worker // that are idle
}

// worker is what one compression or decompression needs. Most of its memory comes with
// the first.
type worker struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
	frame   []byte // of the last payload
}

// NewCodec returns a Codec, which needs not be closed.
func NewCodec() (*Codec, error) {
	n := min(runtime.GOMAXPROCS(0), maxWorkers)
	c := &Codec{workers: make(chan *worker, n)}
	for range n {
		w, err := newWorker()
		if err != nil {
			return nil, err
		}
		c.workers <- w
	}
	return c, nil
}

// newWorker fails only where the options make no sense to the library. Checksums are left
// to what carries the payloads, as for those that are not compressed.
func newWorker() (*worker, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(remofile2.MaxWindow),
		zstd.WithDecoderMaxMemory(remofile2.MaxWindow), zstd.WithDecodeAllCapLimit(true))
	return &worker{encoder: encoder, decoder: decoder}, err
}

// compress returns the payload as a frame, in memory of so many bytes that is asked for
// only then, or nil where that is not shorter by a tenth.
func (c *Codec) compress(payload []byte, memory func(n int) []byte) []byte {
	w := <-c.workers
	defer func() { c.workers <- w }()
	if most := w.encoder.MaxEncodedSize(len(payload)); cap(w.frame) < most {
		w.frame = make([]byte, 0, most)
	}
	w.frame = w.encoder.EncodeAll(payload, w.frame[:0])
	if len(w.frame) > len(payload)-len(payload)/10 {
		return nil
	}
	frame := memory(len(w.frame))
	copy(frame, w.frame)
	return frame
}
