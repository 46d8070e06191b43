package server

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// TestRequestsDoWhatTheSystemsCallsDo makes random requests of a server, does the same
// with system calls in a twin of the jail, and compares answers and directories.
func TestRequestsDoWhatTheSystemsCallsDo(t *testing.T) {
	seeds, requests := 4, 500
	if os.Getenv("REMOFILE_TEST_FULL") == "1" {
		seeds, requests = 40, 5000
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := serve(t, Options{})
			pair := &twins{client2: s.dial2(), twin: newTwin(t.TempDir()), rnd: rand.New(rand.NewPCG(seed, 3))}
			defer pair.twin.close()
			for n := range requests {
				r, payload := pair.random()
				what := fmt.Sprintf("seed %d, request %d: %+v", seed, n, r)
				pair.compare(what, r, payload)
				if n%20 == 0 || n == requests-1 {
					if got, want := tree(t, s.jail), tree(t, pair.twin.dir); got != want {
						t.Fatalf("%s: the jail is\n%swant\n%s", what, got, want)
					}
				}
			}
		})
	}
}

// twins are a jail and its twin.
type twins struct {
	*client2
	twin *twin
	rnd  *rand.Rand
}

// random returns a request that mostly makes sense. STAGE stands for STAGE, WRITE, COMMIT and
// CLOSE.
func (p *twins) random() (r Request, payload []byte) {
	operations := []Operation{OpList, OpStat, OpSet, OpMkdir, OpRemove, OpRename, OpLink, OpSymlink, OpReadlink, OpOpen, OpOpen,
		OpOpen, OpStage, OpClose, OpRead, OpWrite, OpWrite, OpAppend, OpSeek, OpAllocate, OpCopy, OpCopy, OpDigest, OpChunks, OpStat, OpSet}
	one := func(flags ...Flags) Flags { return flags[p.rnd.IntN(len(flags))] }
	r = Request{
		Operation: operations[p.rnd.IntN(len(operations))],
		Path:      p.randomPath(), ToPath: p.randomPath(),
		Handle: p.randomHandle(), ToHandle: p.randomHandle(),
		Offset: p.rnd.Int64N(20_000), ToOffset: p.rnd.Int64N(20_000), Length: 1 + p.rnd.Int64N(10_000),
		Block: 100 + p.rnd.Int64N(5000), Exponent: MinExponent,
		Mode: uint16(0o600 | p.rnd.IntN(0o100)),
	}
	payload = bytes.Repeat([]byte{byte('A' + p.rnd.IntN(26))}, 1+p.rnd.IntN(5000))
	switch r.Operation {
	case OpList:
		r.Length = MaxPage
	case OpMkdir:
		r.Mode |= 0o700
		r.Path = "/" + []string{"d", "e", "d/e", "e/d", "d/d", "a"}[p.rnd.IntN(6)]
	case OpSymlink:
		r.Target = []string{"a", "d", "d/e", "missing", "l"}[p.rnd.IntN(5)]
	case OpRemove:
		r.Flags = one(0, RemoveDirectory, RemoveAny, RemoveAny, RemoveRecursive)
	case OpRename:
		r.Flags = one(0, 0, RenameKeep, RenameExchange)
	case OpOpen:
		r.Handle = Handle(p.rnd.IntN(4))
		r.Flags = one(OpenRead, OpenWrite, OpenRead|OpenWrite, OpenRead|OpenWrite, OpenRead|OpenWrite) |
			one(0, OpenCreate, OpenCreate, OpenCreate|OpenExclusive) | one(0, OpenFollow)
		if r.Flags&OpenWrite != 0 {
			r.Flags |= one(0, OpenTruncate)
		}
	case OpStage:
		r.Flags = one(0, StageReplace)
	case OpSeek:
		r.Flags = one(0, SeekHole)
	case OpAllocate:
		r.Flags = one(0, AllocateKeepSize, AllocatePunch, AllocateZero, AllocateZero|AllocateKeepSize)
	case OpStat, OpSet:
		r.Flags = one(0, StatFollow)
		if p.rnd.IntN(2) == 0 {
			r.Path, r.Flags = "", 0
		}
	}
	if r.Operation == OpSet {
		p.randomChanges(&r)
	}
	return r, payload
}

func (p *twins) randomChanges(r *Request) {
	if p.rnd.IntN(2) == 0 {
		r.Changes.Size = new(p.rnd.Int64N(30_000))
	}
	if p.rnd.IntN(2) == 0 {
		r.Changes.Mode = new(uint16(0o700 | p.rnd.IntN(0o100)))
	}
	if r.Path != "" && p.rnd.IntN(2) == 0 {
		r.Changes.Modified = new(Time(p.rnd.Int64N(1e18)))
	}
}

// randomPath returns one of a few, so that requests meet. The names a, b and l are rarely those
// of directories.
func (p *twins) randomPath() string {
	if p.rnd.IntN(40) == 0 {
		return "/"
	}
	path := "/"
	for depth := 0; depth < 2 && p.rnd.IntN(3) == 0; depth++ {
		path += []string{"d", "d", "e", "e", "l"}[p.rnd.IntN(5)] + "/"
	}
	return path + []string{"a", "a", "b", "b", "d", "e", "l"}[p.rnd.IntN(7)]
}

// randomHandle returns mostly one that is open.
func (p *twins) randomHandle() Handle {
	open := slices.Sorted(maps.Keys(p.twin.files))
	if len(open) == 0 || p.rnd.IntN(10) == 0 {
		return Handle(p.rnd.IntN(4))
	}
	return open[p.rnd.IntN(len(open))]
}

// compare makes a request of both.
func (p *twins) compare(what string, r Request, payload []byte) {
	p.t.Helper()
	if r.Operation == OpSeek {
		p.compareSeek(what, r)
		return
	}
	if r.Operation == OpOpen && p.twin.files[r.Handle] != nil {
		p.compare(what+", after CLOSE", closeRequest(r.Handle), nil)
	}
	got := p.ask(r, payload)
	if got.Code == CodeLoop { // os.Root follows fewer links than the kernel
		return
	}
	want, out, err := p.twin.do(&r, payload)
	if err != nil {
		want.Code, _ = codeOf(err)
	}
	if got.Code != want.Code {
		p.t.Fatalf("%s: answer %v %q, want %v (%v)", what, got.Code, got.Message, want.Code, err)
	}
	if want.Code != CodeDone {
		return
	}
	if got.Offset != want.Offset || got.Length != want.Length || got.Removed != want.Removed || got.Target != want.Target ||
		!bytes.Equal(got.payload, out) {
		p.t.Fatalf("%s: answer %+v, want %+v", what, got.Answer, want)
	}
	same := slices.EqualFunc(got.Entries, want.Entries, func(a, b Entry) bool { return a.Name == b.Name && known(a.Attr) == known(b.Attr) })
	if !same || known(got.Attr) != known(want.Attr) {
		p.t.Fatalf("%s: attributes %+v of %+v, want %+v of %+v", what, got.Attr, got.Entries, want.Attr, want.Entries)
	}
}

// known returns what twins have in common.
func known(a Attr) Attr {
	if a.Kind == KindDirectory {
		a.Size = 0
	}
	return Attr{Kind: a.Kind, Size: a.Size, Mode: a.Mode, Links: a.Links}
}

// ask makes a request of the server.
func (p *twins) ask(r Request, payload []byte) reply {
	p.t.Helper()
	if r.Operation != OpStage {
		return p.do(r, payload...)
	}
	r.Handle += 100
	if got := p.do(r); got.Code != CodeDone {
		return got
	}
	p.want(CodeDone, writeRequest(r.Handle, 0), payload...)
	committed := p.do(Request{Operation: OpCommit, Handle: r.Handle})
	p.want(CodeDone, closeRequest(r.Handle))
	return committed
}

// compareSeek holds what SEEK finds against the content: where holes are is the file system's
// affair.
func (p *twins) compareSeek(what string, r Request) {
	p.t.Helper()
	got := p.do(r)
	f := p.twin.files[r.Handle]
	if f == nil {
		if got.Code != CodeBadHandle {
			p.t.Fatalf("%s: answer %v", what, got.Code)
		}
		return
	}
	content := p.twin.content(f)
	size := int64(len(content))
	skipped := content[min(r.Offset, size):]
	switch {
	case r.Offset >= size && got.Code == CodeNoData:
		return
	case r.Offset < size && got.Code == CodeNoData && r.Flags == 0:
	case r.Offset < size && got.Code == CodeDone && got.Offset >= r.Offset && got.Offset <= size:
		skipped = content[r.Offset:got.Offset]
	default:
		p.t.Fatalf("%s: answer %v %d of %d", what, got.Code, got.Offset, size)
	}
	if r.Flags == 0 && len(bytes.Trim(skipped, "\x00")) > 0 {
		p.t.Fatalf("%s: data is skipped", what)
	}
}
