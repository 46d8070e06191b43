package integration

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
)

// members2 know the token, too, and speak Remofile 2. What they do goes on in hostileDir, but
// for what takes the server long.
var members2 = []attack{
	{name: "watches, changes names and reads nothing", ended: never, do: func(p *peer) {
		c := p.attach()
		c.ask(remofile2.Request{Operation: remofile2.OpWatch, Path: "/"})
		c.ask(remofile2.Request{Operation: remofile2.OpWatch, Path: hostileDir})
		c.flood(func() {
			name := fmt.Sprintf("%s/%d", hostileDir, c.rand.IntN(100))
			c.ask(remofile2.Request{Operation: remofile2.OpMkdir, Path: name})
			c.ask(remofile2.Request{Operation: remofile2.OpRemove, Path: name, Flags: remofile2.RemoveDirectory})
		})
	}},
	{name: "leaves parts without end", ended: never, do: func(p *peer) {
		c := p.attach()
		go io.Copy(io.Discard, p.stream) // ends with the connection
		c.flood(func() {
			c.ask(remofile2.Request{Operation: remofile2.OpStage, Handle: 1, Path: hostileDir + "/staged " + c.name, Part: fmt.Sprint(c.id)})
			c.ask(remofile2.Request{Operation: remofile2.OpWrite, Handle: 1}, []byte("part"))
			c.ask(remofile2.Request{Operation: remofile2.OpClose, Handle: 1})
		})
	}},
	{name: "sends bombs", ended: never, do: func(p *peer) {
		c := p.attach()
		go io.Copy(io.Discard, p.stream) // ends with the connection
		c.ask(remofile2.Request{Operation: remofile2.OpStage, Handle: 1, Path: hostileDir + "/bomb " + c.name})
		c.flood(func() {
			for size, blocks := range map[int64]int{1 << 16: 1, 1 << 20: 1 << 12, math.MaxInt64: 1 << 8} {
				c.ask(remofile2.Request{Operation: remofile2.OpWrite, Handle: 1}, bomb(blocks), remofile2.AppendSize(nil, size))
			}
		})
	}},
	{name: "asks for pages of long listings, and reads none", ended: never, do: func(p *peer) {
		c := p.attach()
		c.flood(func() {
			c.ask(remofile2.Request{Operation: remofile2.OpList, Path: "/long", Length: c.rand.Int64N(1 << 12), Cursor: fmt.Sprintf("file %d", c.rand.IntN(10_000))})
		})
	}},
	{name: "opens, reads and closes, and reads no answer", ended: never, do: func(p *peer) {
		c := p.attach()
		c.flood(func() {
			c.ask(remofile2.Request{Operation: remofile2.OpOpen, Handle: 1, Path: "/large", Flags: remofile2.OpenRead})
			c.ask(remofile2.Request{Operation: remofile2.OpRead, Handle: 1, Offset: c.rand.Int64N(1 << 26), Length: 1 << 10})
			c.ask(remofile2.Request{Operation: remofile2.OpDigest, Handle: 1, Length: 1 << 16, Block: 1 << 12})
			c.ask(remofile2.Request{Operation: remofile2.OpClose, Handle: 1})
		})
	}},
	{name: "random requests", ended: never, do: func(p *peer) {
		c := p.attach()
		go io.Copy(io.Discard, p.stream) // ends with the connection
		c.flood(func() {
			r := c.randomRequest()
			if r.Operation.RequestPayload() {
				c.ask(r, random(1+c.rand.IntN(2000)))
			} else {
				c.ask(r)
			}
		})
	}},
}

// hostileDir is a directory of theirs.
const hostileDir = "/hostile"

// hostile2 is a session in Remofile 2.
type hostile2 struct {
	*peer
	name string
	rand *rand.Rand
	id   uint64 // of the last request
	out  bytes.Buffer
}

// attach begins a session, which ends with its connection.
func (p *peer) attach() *hostile2 {
	c := &hostile2{
		peer: p, name: strings.ReplaceAll(p.nc.LocalAddr().String(), ":", " "),
		rand: rand.New(rand.NewPCG(rand.Uint64(), 0)),
	}
	c.ask(remofile2.Request{Operation: remofile2.OpAttach, Features: []string{remofile2.FeatureZstd}})
	p.stream.Write(c.out.Bytes())
	return c
}

// ask puts a request, with the frames behind its header, into what is sent next.
func (c *hostile2) ask(r remofile2.Request, frames ...[]byte) {
	c.id++
	r.ID = c.id
	frames = append([][]byte{remofile2.AppendRequest(nil, &r)}, frames...)
	for i, f := range frames {
		flags := byte(flagMore)
		if i == len(frames)-1 {
			flags = 0
		}
		c.out.Write(frame{flags, f}.bytes())
	}
}

// flood sends what ask has put there, again and again.
func (c *hostile2) flood(ask func()) {
	c.out.Reset()
	c.peer.flood(writerFunc(func(b []byte) (int, error) {
		c.out.Reset()
		for range 20 {
			ask()
		}
		return c.stream.Write(c.out.Bytes())
	}), nil)
}

type writerFunc func(b []byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// randomRequest returns one of a few names and handles, so that requests meet.
func (c *hostile2) randomRequest() remofile2.Request {
	path := func() string {
		return hostileDir + []string{"", "/a", "/b", "/c", "/a/a", "/a/b", "/b/a", "/b/../..", "/c/c"}[c.rand.IntN(9)]
	}
	number := func() int64 { return []int64{0, 1, 100, 4096, 1 << 16, math.MaxInt64}[c.rand.IntN(6)] }
	size := number()
	r := remofile2.Request{
		Operation: remofile2.Operation(2 + c.rand.IntN(29)),
		Handle:    remofile2.Handle(c.rand.IntN(4)), ToHandle: remofile2.Handle(c.rand.IntN(4)),
		Path: path(), ToPath: path(), Target: path(), Offset: number(), ToOffset: number(), Length: number(), Block: number(),
		Flags: remofile2.Flags(1<<c.rand.IntN(7)) | remofile2.Flags(c.rand.IntN(4)), Mode: uint16(c.rand.IntN(0o1000)),
		Part: []string{"", "", "p"}[c.rand.IntN(3)], Cancel: c.id - min(c.id, c.rand.Uint64N(5)),
	}
	if size < 1<<20 { // or a file is of no bytes that it has
		r.Changes.Size = &size
	}
	if r.Operation == remofile2.OpGoodbye {
		r.Operation = remofile2.OpStatus
	}
	if c.rand.IntN(2) == 0 && (r.Operation == remofile2.OpStat || r.Operation == remofile2.OpSet || r.Operation == remofile2.OpSync) {
		r.Path = ""
	}
	return r
}

// bomb is a zstd frame (RFC 8878, section 3.1.1) of so many blocks of 64 KiB, each of which is
// one byte repeated.
func bomb(blocks int) []byte {
	const header, block, last = "28b52ffd0030", "02000800", "03000800"
	b, err := hex.DecodeString(header + strings.Repeat(block, blocks-1) + last)
	if err != nil {
		panic(err)
	}
	return b
}

// onlyKeptParts fails the test unless what is left in hidden directories are parts that can
// be resumed, no more than there may be.
func onlyKeptParts(t *testing.T, jail string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(jail, stagingPattern, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range left {
		if !strings.HasPrefix(filepath.Base(name), "keep-") {
			t.Errorf("%s was left", name)
		}
	}
	if len(left) > remofile2.MaxKept {
		t.Errorf("%d parts are kept", len(left))
	}
	t.Logf("%d parts are kept", len(left))
}

func holdsSomething(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0
}

// begunWatching has the server do once what it does not end then: watch for changes, and keep
// a part. Its usage is compared with that of then.
func (s *serverProcess) begunWatching() {
	s.t.Helper()
	p := s.mustConnect(null)
	if err := p.introduce(metadata(token)); err != nil {
		s.t.Fatal(err)
	}
	c := p.attach()
	c.out.Reset()
	c.ask(remofile2.Request{Operation: remofile2.OpWatch, Path: "/"})
	c.ask(remofile2.Request{Operation: remofile2.OpStage, Handle: 1, Path: "/first", Part: "first"})
	c.ask(remofile2.Request{Operation: remofile2.OpWrite, Handle: 1}, []byte("part"))
	c.ask(remofile2.Request{Operation: remofile2.OpClose, Handle: 1})
	p.stream.Write(c.out.Bytes())
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		parts, err := filepath.Glob(filepath.Join(s.jail, stagingPattern, "keep-*"))
		if err != nil || time.Now().After(deadline) {
			s.t.Fatalf("no part is kept: %v", err)
		}
		if len(parts) == 1 && holdsSomething(parts[0]) { // an empty one would not be kept
			break
		}
	}
	p.nc.Close()
	const watching = 1 // goroutine, of the one who watches for all
	at := s.before.goroutines + watching
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if s.before = s.usage(); s.before.goroutines == at {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("there are %d goroutines, want %d", s.before.goroutines, at)
		}
	}
}

// TestHostilePeers2 has a crowd of each kind of members in Remofile 2, while a client goes on
// using the server.
func TestHostilePeers2(t *testing.T) {
	s := startServerProcess(t)
	makeLong(t, s.jail)
	if err := os.Mkdir(filepath.Join(s.jail, hostileDir), 0o755); err != nil {
		t.Fatal(err)
	}
	s.begunWatching()
	stop := s.startBystander()
	const few = 10 // each of them may have many requests under way
	c := &campaign{server: s, crowd: few, over: make(chan struct{})}
	for i, a := range withToken(members2) {
		if c.mechanism = null; i%2 == 0 {
			c.mechanism = encrypted
		}
		c.begin(a, s.crowdSource).Wait()
	}
	stop()
	s.mustRecover()
	onlyKeptParts(t, s.jail)
}
