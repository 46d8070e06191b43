package curve

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/remofile/remofile/protocol/internal/cost"
)

// plainFrame returns a frame as upper sides write and read it.
func plainFrame(flags byte, body []byte) []byte {
	return append(appendHeader(nil, flags, len(body)), body...)
}

// session is a direction after the handshake, without a connection.
type session struct {
	t        testing.TB
	key      *boxKey
	sealer   *sealer
	maxFrame int
}

func newSession(t testing.TB, maxFrame int) *session {
	key := &boxKey{1, 2, 3}
	return &session{t, key, newSealer(clientPrefix, key, sequence{}), maxFrame}
}

// message returns the next MESSAGE: its flags and body in its frame.
func (s *session) message(inner byte, body []byte) []byte {
	s.t.Helper()
	if err := s.sealer.add(append([]byte{inner}, body...)); err != nil {
		s.t.Fatal(err)
	}
	defer func() { s.sealer.out = nil }()
	return s.sealer.out
}

// receive returns what an upper side reads of all that was sent since the handshake.
func (s *session) receive(sent ...[]byte) ([]byte, error) {
	c := &Conn{Conn: wire(slices.Concat(sent...)), opener: newOpener(clientPrefix, s.key, sequence{}, s.maxFrame)}
	return io.ReadAll(c)
}

// frameSizes are those at which something changes.
var frameSizes = []int{0, 1, 14, 15, 16, 31, 32, 33, 222, 223, 254, 255, 256, 257, 4095, 4096, 8192,
	65535, 65536, flushSize - 33, flushSize, flushSize + 1, keepSize, keepSize + 1}

// TestFramesArriveAsTheyWereWritten has frames of all sizes and flags arrive, however
// they are cut into Writes and Reads.
func TestFramesArriveAsTheyWereWritten(t *testing.T) {
	near, far := memPair()
	c, s := established(t, near, far, keepSize+1)
	random := rand.New(rand.NewPCG(1, 2))
	for _, way := range []struct{ from, to *Conn }{{c, s}, {s, c}} {
		var sent []byte
		for _, size := range frameSizes {
			for _, flags := range []byte{0, flagMore, flagCommand} {
				sent = append(sent, plainFrame(flags, randomBytes(random, size))...)
			}
		}
		for range 300 {
			size := random.IntN(1 << random.IntN(16))
			sent = append(sent, plainFrame(byte(random.IntN(2)), randomBytes(random, size))...)
		}
		written := make(chan error, 1)
		go func() { written <- writeInPieces(way.from, sent) }()
		got := make([]byte, len(sent))
		for rest := got; len(rest) > 0; {
			n, err := way.to.Read(rest[:min(len(rest), 1<<random.IntN(20))])
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, sent) {
			t.Error("other frames arrived")
		}
	}
}

func writeInPieces(c *Conn, b []byte) error {
	random := rand.New(rand.NewPCG(3, 4))
	for len(b) > 0 {
		n := min(len(b), random.IntN(1<<random.IntN(22)))
		if written, err := c.Write(b[:n]); written != n || err != nil {
			return errors.Join(io.ErrShortWrite, err)
		}
		b = b[n:]
	}
	return nil
}

func randomBytes(random *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func TestBothSidesReadAndWriteAtOnce(t *testing.T) {
	near, far := tcpPair(t)
	c, s := established(t, near, far, 1<<16)
	frames := bytes.Repeat(plainFrame(0, make([]byte, 1<<16)), 64)
	var all sync.WaitGroup
	for _, conn := range []*Conn{c, s} {
		all.Go(func() {
			if _, err := conn.Write(frames); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			got := make([]byte, len(frames))
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, frames) {
				t.Errorf("other frames arrived, error %v", err)
			}
		})
	}
	all.Wait()
}

// TestWriteLeavesInOnePiece counts the writes beneath.
func TestWriteLeavesInOnePiece(t *testing.T) {
	near, far := memPair()
	pieces := 0
	count := &tap{Conn: near, edit: func(_ int, b []byte) ([]byte, bool) {
		pieces++
		return b, false
	}}
	c, _ := established(t, count, far, keepSize)
	hello := plainFrame(0, []byte("hello"))
	for _, test := range []struct {
		name    string
		written []byte
		want    int
	}{
		{"nothing", nil, 0},
		{"half a frame", hello[:4], 0},
		{"the other half, and three frames", slices.Concat(hello[4:], hello, hello, hello), 1},
		{"a frame of 2 MiB", plainFrame(0, make([]byte, 2*flushSize)), 1},
		{"4 MiB in small ones", bytes.Repeat(plainFrame(0, make([]byte, 4096)), 1024), 5},
	} {
		pieces = 0
		mustWrite(t, c, test.written)
		if pieces != test.want {
			t.Errorf("%s: %d writes, want %d", test.name, pieces, test.want)
		}
	}
}

func TestTamperedMessageIsNoData(t *testing.T) {
	s := newSession(t, 1000)
	first, second := s.message(0, []byte("first")), s.message(0, []byte("second"))
	for at := range second {
		for _, mask := range []byte{0x01, 0x80} {
			got, err := s.receive(first, edited(second, at, second[at]^mask))
			if err == nil || !bytes.Equal(got, plainFrame(0, []byte("first"))) {
				t.Errorf("byte %d changed by %#x: read %q, error %v", at, mask, got, err)
			}
		}
	}
}

func TestMessagesCannotBeReplayedReorderedOrLeftOut(t *testing.T) {
	s := newSession(t, 1000)
	var m [4][]byte
	for i := range m {
		m[i] = s.message(0, []byte{byte('0' + i)})
	}
	for name, test := range map[string]struct {
		sent [][]byte
		want int // frames that arrive
	}{
		"all":                   {[][]byte{m[0], m[1], m[2], m[3]}, 4},
		"one is repeated":       {[][]byte{m[0], m[1], m[1], m[2]}, 2},
		"one comes later again": {[][]byte{m[0], m[1], m[0]}, 2},
		"two change places":     {[][]byte{m[0], m[2], m[1], m[3]}, 1},
		"one is left out":       {[][]byte{m[0], m[1], m[3]}, 2},
		"the first is left out": {[][]byte{m[1], m[2]}, 0},
	} {
		got, err := s.receive(test.sent...)
		var want []byte
		for i := range test.want {
			want = append(want, plainFrame(0, []byte{byte('0' + i)})...)
		}
		if test.want == len(m) {
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: read %q, error %v", name, got, err)
			}
		} else if !errors.Is(err, errSequence) || !bytes.Equal(got, want) {
			t.Errorf("%s: read %q, error %v, want %q and %v", name, got, err, want, errSequence)
		}
	}
}

// TestSidesCannotBeMistakenForOneAnother sends a side its own MESSAGE.
func TestSidesCannotBeMistakenForOneAnother(t *testing.T) {
	s := newSession(t, 1000)
	sent := s.message(0, []byte("hello"))
	c := &Conn{Conn: wire(sent), opener: newOpener(serverPrefix, s.key, sequence{}, 1000)}
	if got, err := io.ReadAll(c); err == nil || len(got) > 0 {
		t.Errorf("read %q, error %v", got, err)
	}
}

func TestOnlyMessagesAreTakenAfterTheHandshake(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(message []byte) []byte
		ok   bool
	}{
		"as it is":            {func(m []byte) []byte { return m }, true},
		"COMMAND":             {func(m []byte) []byte { return edited(m, 0, flagCommand) }, true},
		"a long header":       {func(m []byte) []byte { return append([]byte{flagLong, 0, 0, 0, 0, 0, 0, 0, m[1]}, m[2:]...) }, true},
		"MORE":                {func(m []byte) []byte { return edited(m, 0, flagMore) }, false},
		"another flag":        {func(m []byte) []byte { return edited(m, 0, 8) }, false},
		"ERROR":               {func([]byte) []byte { return errorFrame }, false},
		"READY":               {func([]byte) []byte { return readyFrame }, false},
		"a plain frame":       {func([]byte) []byte { return plainFrame(0, make([]byte, 100)) }, false},
		"an empty frame":      {func([]byte) []byte { return plainFrame(0, nil) }, false},
		"a box without flags": {func(m []byte) []byte { return plainFrame(0, m[shortHeader:][:messageOverhead-1]) }, false},
	} {
		s := newSession(t, 1000)
		got, err := s.receive(test.edit(s.message(0, []byte("hello"))))
		if test.ok != (err == nil) || test.ok != (len(got) > 0) {
			t.Errorf("%s: read %q, error %v", name, got, err)
		}
	}
}

func TestFlagsInsideOtherThanMoreAndCommandAreAnError(t *testing.T) {
	for inner, want := range map[byte]byte{0: 0, 1: flagMore, 2: flagCommand, 3: flagMore | flagCommand} {
		s := newSession(t, 1000)
		if got, err := s.receive(s.message(inner, nil)); err != nil || !bytes.Equal(got, plainFrame(want, nil)) {
			t.Errorf("flags %d: read %q, error %v", inner, got, err)
		}
	}
	for bit := 2; bit < 8; bit++ {
		s := newSession(t, 1000)
		if got, err := s.receive(s.message(1<<bit, []byte("hello"))); err == nil || len(got) > 0 {
			t.Errorf("flags %d: read %q, error %v", 1<<bit, got, err)
		}
	}
}

func TestLongFramesAreNotRead(t *testing.T) {
	const most = 1000
	s := newSession(t, most)
	longest := make([]byte, most)
	if got, err := s.receive(s.message(0, longest)); err != nil || !bytes.Equal(got, plainFrame(0, longest)) {
		t.Errorf("a frame of the greatest length: %d bytes read, error %v", len(got), err)
	}
	for _, size := range []uint64{most + uint64(messageOverhead) + 1, 1 << 30, 1 << 62, math.MaxUint64} {
		header := binary.BigEndian.AppendUint64([]byte{flagLong}, size)
		p := wire(append(header, make([]byte, 5000)...))
		c := &Conn{Conn: p, opener: newOpener(clientPrefix, s.key, sequence{}, most)}
		cost.Limit(t, 4<<10, func() {
			if _, err := c.Read(make([]byte, 1)); err != errTooLarge || len(p.sent) != 5000 {
				t.Errorf("%d bytes: error %v, want %v; %d bytes were left", size, err, errTooLarge, len(p.sent))
			}
		})
	}
}

func TestEachSideHoldsItsMaxFrame(t *testing.T) {
	const most = 1000
	near, far := memPair()
	c, s := established(t, near, far, most)
	for _, way := range []struct{ from, to *Conn }{{c, s}, {s, c}} {
		longest := plainFrame(0, make([]byte, most))
		mustWrite(t, way.from, longest)
		mustRead(t, way.to, longest)
		mustWrite(t, way.from, plainFrame(0, make([]byte, most+1)))
		if _, err := way.to.Read(make([]byte, 1)); err != errTooLarge {
			t.Errorf("error %v, want %v", err, errTooLarge)
		}
	}
}

func TestEndInsideAFrameIsNoEnd(t *testing.T) {
	s := newSession(t, 1000)
	first, second := s.message(0, []byte("first")), s.message(0, make([]byte, 500))
	for at := range second {
		want := error(io.ErrUnexpectedEOF)
		if at == 0 {
			want = nil // ReadAll's for io.EOF
		}
		if got, err := s.receive(first, second[:at]); err != want || !bytes.Equal(got, plainFrame(0, []byte("first"))) {
			t.Errorf("%d bytes of the second: read %q, error %v, want %v", at, got, err, want)
		}
	}
}

func TestShortNoncesDoNotWrap(t *testing.T) {
	s := newSession(t, 1000)
	s.sealer.last = math.MaxUint64 - 1
	last := s.message(0, nil)
	if err := s.sealer.add([]byte{0}); err != errExhausted {
		t.Errorf("a nonce after the last one: error %v, want %v", err, errExhausted)
	}
	o := newOpener(clientPrefix, s.key, sequence{last: math.MaxUint64 - 1}, 1000)
	if _, err := o.read(wire(last)); err != nil {
		t.Errorf("the last nonce: %v", err)
	}
	if err := o.accept(make([]byte, shortNonceSize)); err != errSequence {
		t.Errorf("0 after the last nonce: error %v, want %v", err, errSequence)
	}
}

func TestErrorsAreFinalForTheirDirection(t *testing.T) {
	near, far := memPair()
	c, s := established(t, near, far, 1000)
	if _, err := c.Write([]byte{8, 0}); err != errFrame {
		t.Errorf("a frame that is none: error %v, want %v", err, errFrame)
	}
	if _, err := c.Write(plainFrame(0, []byte("hello"))); err != errFrame {
		t.Errorf("after it: error %v, want %v", err, errFrame)
	}
	mustWrite(t, s, plainFrame(0, []byte("hello")))
	mustRead(t, c, plainFrame(0, []byte("hello")))

	if _, err := near.Write([]byte{flagMore, 100}); err != nil {
		t.Fatal(err)
	}
	s.Conn = &broken{s.Conn}
	for range 2 {
		if _, err := s.Read(make([]byte, 1)); err != errFrame {
			t.Errorf("a frame that is none: error %v, want %v", err, errFrame)
		}
	}
	for range 2 {
		if n, err := s.Write(plainFrame(0, nil)); n != 0 || !errors.Is(err, os.ErrClosed) {
			t.Errorf("%d bytes written on a broken connection, error %v", n, err)
		}
		s.Conn = far // it stays broken
	}
}

// broken is a connection that can't be written to.
type broken struct{ net.Conn }

func (*broken) Write([]byte) (int, error) { return 0, os.ErrClosed }
