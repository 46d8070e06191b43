package integration

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/zmtp/curve"
	"github.com/remofile/remofile/remote"
)

// conversation is what a client sends on one connection without encryption.
type conversation struct {
	greeting []byte
	frames   []frame // the first one is its READY
}

// The names in a recorded conversation. Each replay has others, of the same length.
const (
	recordedName = "mutant ......."
	mutantName   = "mutant %07d"
)

// older makes a server's READY that of one that speaks Remofile 1 only.
type older struct{ net.Conn }

func (o older) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	copy(p, bytes.Replace(p[:n], []byte("X-Remofile\x00\x00\x00\x012"), []byte("X-Remofile\x00\x00\x00\x011"), 1))
	return n, err
}

// recordConversation records a client that does all that it can do, in Remofile 1 or 2, and
// leaves the file recordedName with its name for content.
func recordConversation(t *testing.T, s *serverProcess, version int) (c conversation) {
	t.Helper()
	var sent bytes.Buffer
	client, err := remote.Dial(t.Context(), remote.Options{
		Address: s.address, Token: token, Plain: true, MaxSessions: 1, ChunkSize: 512, Timeout: patience,
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err == nil && version == 1 {
				nc = older{nc}
			}
			return &rewriter{Conn: nc, rewrite: func(_ int, b []byte) []byte { sent.Write(b); return b }}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	upload := func() error {
		return client.Upload(t.Context(), "/"+recordedName, strings.NewReader(recordedName), int64(len(recordedName)),
			remote.TransferOptions{Replace: true})
	}
	if err := errors.Join(client.CreateFile(t.Context(), "/"+recordedName), upload(),
		useServer(t.Context(), client, "/"+recordedName+" more", 1500)); err != nil {
		t.Fatal(err)
	}
	c.greeting = sent.Next(greetingSize)
	for sent.Len() > 0 {
		f, err := readFrame(&sent)
		if err != nil {
			t.Fatal(err)
		}
		c.frames = append(c.frames, f)
	}
	return c
}

// seldomFrames are requests of Remofile 2 that clients make seldom.
func seldomFrames(t *testing.T) (frames []frame) {
	t.Helper()
	const at = "/" + recordedName
	c := &hostile2{id: 1 << 20} // more than the client has used
	c.ask(remofile2.Request{Operation: remofile2.OpMkdir, Path: at + " dir", Mode: 0o755})
	c.ask(remofile2.Request{Operation: remofile2.OpWatch, Path: at + " dir"})
	for range 2 {
		c.ask(remofile2.Request{
			Operation: remofile2.OpStage, Handle: 99, Path: at + " dir/staged", Part: "part", Mode: 0o644,
			Flags: remofile2.StageRead | remofile2.StageResume | remofile2.StageReplace,
		})
		c.ask(remofile2.Request{Operation: remofile2.OpWrite, Handle: 99}, bomb(1), remofile2.AppendSize(nil, 1<<16))
		c.ask(remofile2.Request{Operation: remofile2.OpDigest, Handle: 99, Length: 1 << 16, Block: 1 << 12})
		c.ask(remofile2.Request{Operation: remofile2.OpClose, Handle: 99})
	}
	c.ask(remofile2.Request{Operation: remofile2.OpStage, Handle: 98, Path: at + " reserved", Flags: remofile2.StageReserve})
	c.ask(remofile2.Request{Operation: remofile2.OpOpen, Handle: 97, Path: at + " reserved", Flags: remofile2.OpenWrite | remofile2.OpenRead})
	c.ask(remofile2.Request{Operation: remofile2.OpAppend, Handle: 97}, []byte(recordedName))
	c.ask(remofile2.Request{Operation: remofile2.OpCopy, Handle: 97, ToHandle: 98, ToOffset: 100, Length: 10})
	c.ask(remofile2.Request{Operation: remofile2.OpAllocate, Handle: 98, Offset: 4096, Length: 4096})
	c.ask(remofile2.Request{Operation: remofile2.OpSeek, Handle: 98, Flags: remofile2.SeekHole})
	c.ask(remofile2.Request{Operation: remofile2.OpCommit, Handle: 98, Flags: remofile2.CommitSync})
	c.ask(remofile2.Request{Operation: remofile2.OpLink, Path: at + " reserved", ToPath: at + " link"})
	c.ask(remofile2.Request{Operation: remofile2.OpSymlink, Path: at + " symlink", Target: recordedName})
	c.ask(remofile2.Request{Operation: remofile2.OpReadlink, Path: at + " symlink"})
	c.ask(remofile2.Request{Operation: remofile2.OpRename, Path: at + " link", ToPath: at + " symlink", Flags: remofile2.RenameExchange})
	c.ask(remofile2.Request{Operation: remofile2.OpSpace, Path: "/"})
	c.ask(remofile2.Request{Operation: remofile2.OpRemove, Path: at + " dir", Flags: remofile2.RemoveRecursive})
	c.ask(remofile2.Request{Operation: remofile2.OpUnwatch, Path: at + " dir"})
	c.ask(remofile2.Request{Operation: remofile2.OpGoodbye})
	for c.out.Len() > 0 {
		f, err := readFrame(&c.out)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	return frames
}

// named returns a copy of the conversation with another name.
func (c conversation) named(name string) conversation {
	named := conversation{greeting: slices.Clone(c.greeting)}
	for _, f := range c.frames {
		named.frames = append(named.frames, frame{f.flags, bytes.ReplaceAll(f.body, []byte(recordedName), []byte(name))})
	}
	return named
}

func (c conversation) bytes() []byte {
	b := slices.Clone(c.greeting)
	for _, f := range c.frames {
		b = append(b, f.bytes()...)
	}
	return b
}

// starved is how long a mutant waits for the server's part of a handshake that it may
// have spoilt.
const starved = 100 * time.Millisecond

// introduce does the handshake on a connection that encrypts.
func (c conversation) introduce(nc, stream net.Conn) error {
	nc.SetReadDeadline(time.Now().Add(starved))
	defer nc.SetReadDeadline(time.Now().Add(patience))
	if _, err := stream.Write(c.greeting); err != nil {
		return err
	}
	if _, err := io.ReadFull(stream, make([]byte, greetingSize)); err != nil {
		return err
	}
	if _, err := stream.Write(c.frames[0].bytes()); err != nil {
		return err
	}
	_, err := readFrame(stream)
	return err
}

// sendEncrypted sends the conversation over CURVE, as far as the server lets it. What CURVE
// makes of it goes through rewrite.
func (c conversation) sendEncrypted(nc net.Conn, server curve.Key, rewrite func(n int, b []byte) []byte) {
	stream := curve.Client(&rewriter{Conn: nc, rewrite: rewrite}, &curve.Config{ServerKey: server, MaxFrame: 1 << 20})
	if c.introduce(nc, stream) != nil {
		return
	}
	for _, f := range c.frames[1:] {
		if _, err := stream.Write(f.bytes()); err != nil {
			return
		}
	}
}

// deliver sends something, without waiting for answers, and then waits for the server to
// end the connection, which is an error if it doesn't.
func (s *serverProcess) deliver(send func(nc net.Conn)) error {
	nc, err := s.connect(s.newSource())
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	send(nc)
	nc.CloseWrite() // fails where the server has hung up
	if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the server has not hung up in %v", patience)
	}
	return nil
}

// replayers is how many mutants are there at a time.
const replayers = 16

// mutant is one replay of a conversation, with something changed at random.
type mutant struct {
	*rand.Rand
	conversation
}

// send sends the mutant by one of four ways: changed as bytes or frame by frame, without
// encryption; changed before it is encrypted, so that the server takes it for the work of
// one who knows the token; or changed after that.
func (m *mutant) send(nc net.Conn, way int, server curve.Key) {
	switch way {
	case 0:
		nc.Write(m.mutateBytes(m.bytes()))
	case 1:
		m.mutateFrames()
		nc.Write(m.bytes())
	case 2:
		m.mutateFrames()
		if len(m.frames) > 0 {
			m.sendEncrypted(nc, server, unchanged)
		}
	case 3:
		m.sendEncrypted(nc, server, m.rewriteOne(1+len(m.frames)))
	}
}

// mutateBytes makes a few changes.
func (m *mutant) mutateBytes(b []byte) []byte {
	for range 1 + m.IntN(3) {
		b = m.changeBytes(b)
	}
	return b
}

// changeBytes makes one change, of at most 64 bytes next to each other.
func (m *mutant) changeBytes(b []byte) []byte {
	if len(b) == 0 {
		return []byte{byte(m.Uint32())}
	}
	i := m.IntN(len(b))
	j := min(i+1+m.IntN(64), len(b))
	k := i + m.IntN(j-i)
	switch m.IntN(7) {
	case 0:
		b[i] ^= 1 << m.IntN(8)
		return b
	case 1:
		b[i] = byte(m.Uint32())
		return b
	case 2:
		return slices.Delete(b, i, j)
	case 3:
		return slices.Insert(b, i, binary.BigEndian.AppendUint64(nil, m.Uint64())[:1+m.IntN(8)]...)
	case 4:
		return slices.Insert(b, j, slices.Clone(b[i:j])...)
	case 5:
		return b[:i]
	default:
		return slices.Concat(b[:i], b[k:j], b[i:k], b[j:])
	}
}

// mutateFrames makes a few changes: to whole frames, or to what they carry.
func (m *mutant) mutateFrames() {
	for range 1 + m.IntN(3) {
		if len(m.frames) > 0 {
			m.frames = m.changeFrames(m.frames)
		}
	}
}

func (m *mutant) changeFrames(f []frame) []frame {
	i, j := m.IntN(len(f)), m.IntN(len(f))
	switch m.IntN(9) {
	case 0:
		return slices.Delete(f, i, i+1)
	case 1:
		return slices.Insert(f, j, frame{f[i].flags, slices.Clone(f[i].body)})
	case 2:
		f[i], f[j] = f[j], f[i]
	case 3:
		f[i].flags ^= flagMore
	case 4:
		f[i].flags ^= flagCommand
	case 5:
		return f[:i]
	default:
		f[i].body = m.mutateBytes(f[i].body)
	}
	return f
}

// rewriteOne returns what changes one of so many writes.
func (m *mutant) rewriteOne(writes int) func(n int, b []byte) []byte {
	target, way := m.IntN(writes), m.IntN(6)
	var held []byte
	return func(n int, b []byte) []byte {
		switch {
		case n == target+1:
			return slices.Concat(b, held)
		case n != target:
			return b
		case way == 0:
			return nil
		case way == 1:
			return slices.Concat(b, b)
		case way == 2:
			held = b
			return nil
		default:
			return m.mutateBytes(b)
		}
	}
}

// TestMutatedConversations replays what a client says with random changes, while another
// client goes on. REMOFILE_TEST_SEED repeats the changes of a run that failed.
func TestMutatedConversations(t *testing.T) {
	seed := testSeed(t)
	mutants := uint64(2000)
	if os.Getenv("REMOFILE_TEST_FULL") == "1" || os.Getenv("CI") == "true" && !underRaceDetector() {
		mutants = 10_000
	}

	s := startServerProcess(t)
	kept := filepath.Join(s.jail, "kept")
	makeTree(t, kept, 20, 1<<16)
	keptBefore := describeFiles(t, kept, "")
	// In Remofile 2 a client that hangs up does not get what it has asked for: only in
	// Remofile 1 a replay that is not changed does all that the client did.
	var recorded []conversation
	for _, version := range []int{1, 2} {
		recorded = append(recorded, recordConversation(t, s, version))
		if err := os.Remove(filepath.Join(s.jail, recordedName)); err != nil {
			t.Fatal(err)
		}
	}
	replayUnchanged(t, s, recorded[0])
	seldom := recorded[1]
	seldom.frames = append(seldom.frames[:len(seldom.frames):len(seldom.frames)], seldomFrames(t)...)
	recorded = append(recorded, seldom)

	s.begunWatching()
	stop := s.startBystander()
	var next atomic.Uint64
	var all sync.WaitGroup
	for range replayers {
		all.Go(func() {
			for n := next.Add(1); n <= mutants; n = next.Add(1) {
				m := &mutant{rand.New(rand.NewPCG(seed, n)), recorded[n/4%3].named(fmt.Sprintf(mutantName, n))}
				if err := s.deliver(func(nc net.Conn) { m.send(nc, int(n%4), s.key) }); err != nil {
					t.Errorf("mutant %d: %v", n, err)
				}
				s.removeLeftBy(n)
			}
		})
	}
	all.Wait()
	stop()
	s.mustRecover()
	sameFiles(t, "in another client's directory", describeFiles(t, kept, ""), keptBefore)
	onlyKeptParts(t, s.jail)
}

// leftBy returns the file that a replay leaves in the jail.
func (s *serverProcess) leftBy(n uint64) string {
	return filepath.Join(s.jail, fmt.Sprintf(mutantName, n))
}

// removeLeftBy removes what a mutant may have left, whose name it has not changed.
func (s *serverProcess) removeLeftBy(n uint64) {
	for _, suffix := range []string{"", " more", " dir", " reserved", " link", " symlink"} {
		os.RemoveAll(s.leftBy(n) + suffix)
	}
}

// replayUnchanged fails the test unless the server takes a replay for the client's work:
// else mutants would be turned away for something else than what was changed.
func replayUnchanged(t *testing.T, s *serverProcess, recorded conversation) {
	t.Helper()
	for n, way := range []string{"plain", "encrypted"} {
		name := fmt.Sprintf(mutantName, n)
		c := recorded.named(name)
		err := s.deliver(func(nc net.Conn) {
			if way == "plain" {
				nc.Write(c.bytes())
			} else {
				c.sendEncrypted(nc, s.key, unchanged)
			}
		})
		if err != nil {
			t.Fatalf("%s replay: %v", way, err)
		}
		holds(t, s.leftBy(uint64(n)), name)
		if _, err := os.Stat(s.leftBy(uint64(n)) + " more"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s replay: a file that the client removes is there, error %v", way, err)
		}
		if err := os.Remove(s.leftBy(uint64(n))); err != nil {
			t.Fatal(err)
		}
	}
}

// stagingPattern is what the server's hidden directories are called.
const stagingPattern = ".remofile-*"

func nothingCalled(t *testing.T, pattern string) {
	t.Helper()
	left, err := filepath.Glob(pattern)
	if err != nil || len(left) > 0 {
		t.Errorf("%q was left, error %v", left, err)
	}
}
