package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// mirror is what a client knows of the entries in some directories: it looks at what it is told
// of, and at what it has changed itself.
type mirror struct {
	*client2
	entries map[string]Attr // by path
}

// look finds out what a path is now.
func (m *mirror) look(path string) {
	m.t.Helper()
	got := m.do(Request{Operation: OpStat, Path: path})
	switch got.Code {
	case CodeDone:
		// The times and links of a directory are told of no entry.
		m.entries[path] = Attr{Kind: got.Attr.Kind, Inode: got.Attr.Inode, Size: got.Attr.Size, Mode: got.Attr.Mode}
	case CodeNotFound, CodeNotADirectory:
		delete(m.entries, path)
	default:
		m.t.Fatalf("STAT %s: %v", path, got.Code)
	}
}

// follow looks at what a notice tells of.
func (m *mirror) follow(n Notice, paths []string) {
	m.t.Helper()
	if len(n.Names) == 0 {
		for _, path := range paths {
			m.look(path)
		}
	}
	for _, name := range n.Names {
		m.look(filepath.Join(n.Directory, name))
	}
}

// TestAMirrorKeptByNoticesIsRight at the end of random changes of several sessions, which
// overlap, and of a process.
func TestAMirrorKeptByNoticesIsRight(t *testing.T) {
	seeds, rounds := 2, 150
	if os.Getenv("REMOFILE_TEST_FULL") != "" {
		seeds, rounds = 20, 1500
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := serve(t, Options{})
			s.mkdir("dir")
			var paths []string
			for _, dir := range []string{"/", "/dir"} {
				for _, name := range []string{"a", "b", "c"} {
					paths = append(paths, filepath.Join(dir, name))
				}
			}
			rnd := rand.New(rand.NewPCG(seed, 1))
			mirrors := make([]*mirror, 3)
			for i := range mirrors {
				mirrors[i] = &mirror{client2: s.dial2(), entries: make(map[string]Attr)}
				mirrors[i].watch("/", "/dir")
			}
			ended := make(chan struct{})
			var process sync.WaitGroup // ends with ended
			process.Go(func() { changeAtRandom(s.jail, paths, seed, ended) })
			for range rounds {
				changeTogether(rnd, mirrors, paths)
			}
			close(ended)
			process.Wait()
			s.requireMirrors(mirrors, paths)
		})
	}
}

// changeTogether makes random changes in all sessions at a time.
func changeTogether(rnd *rand.Rand, mirrors []*mirror, paths []string) {
	changed := make([][]string, len(mirrors))
	for range 3 {
		for i, m := range mirrors {
			path, other := paths[rnd.IntN(len(paths))], paths[rnd.IntN(len(paths))]
			changed[i] = append(changed[i], path, other)
			for _, r := range randomChange(rnd, path, other) {
				m.send(r, byte(rnd.IntN(256)))
			}
		}
	}
	for i, m := range mirrors {
		m.receiveAll()
		for _, path := range changed[i] {
			m.look(path)
		}
		for len(m.told) > 0 {
			m.follow(m.notice(), paths)
		}
	}
}

func randomChange(rnd *rand.Rand, path, other string) []Request {
	h := Handle(rnd.Uint32())
	switch rnd.IntN(7) {
	case 0:
		return []Request{pathRequest(OpMkdir, path)}
	case 1:
		return []Request{removeRequest(path, RemoveAny)}
	case 2:
		return []Request{renameRequest(path, other, []Flags{0, RenameKeep, RenameExchange}[rnd.IntN(3)])}
	case 3:
		return []Request{{Operation: OpSymlink, Path: path, Target: "target"}}
	case 4:
		return []Request{{Operation: OpSet, Path: path, Changes: Changes{Mode: new(uint16(0o600 + rnd.IntN(64)))}}}
	case 5:
		return []Request{stageRequest(h, path, StageReplace), writeRequest(h, 0), {Operation: OpCommit, Handle: h}, closeRequest(h)}
	default:
		return []Request{openRequest(h, path, OpenRead|OpenWrite|OpenCreate), {Operation: OpAppend, Handle: h}, closeRequest(h)}
	}
}

// changeAtRandom is what a process does. What fails does not matter.
func changeAtRandom(jail string, paths []string, seed uint64, ended <-chan struct{}) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	for {
		select {
		case <-ended:
			return
		case <-time.After(time.Duration(rnd.IntN(500)) * time.Microsecond):
		}
		path := filepath.Join(jail, paths[rnd.IntN(len(paths))])
		switch rnd.IntN(4) {
		case 0:
			os.Rename(path, filepath.Join(jail, paths[rnd.IntN(len(paths))]))
		case 1:
			os.Remove(path)
		case 2:
			os.Chmod(path, os.FileMode(0o600+rnd.IntN(64)))
		default:
			os.WriteFile(path, []byte{1, 2, 3}, 0o644)
		}
	}
}

// requireMirrors wants each mirror to be what the jail is, when all was told.
func (s *served) requireMirrors(mirrors []*mirror, paths []string) {
	s.t.Helper()
	judge := s.dial2()
	want := &mirror{client2: judge, entries: make(map[string]Attr)}
	for _, path := range paths {
		want.look(path)
	}
	fence := fmt.Sprint(fencePrefix, "last")
	s.write(fence, "")
	s.write("dir/"+fence, "")
	for i, m := range mirrors {
		for seen := 0; seen < 2; {
			n := m.notice()
			if slices.Contains(n.Names, fence) {
				seen++
			}
			m.follow(n, paths)
		}
		for _, path := range paths {
			if got, want := m.entries[path], want.entries[path]; got != want {
				s.t.Errorf("mirror %d: %s is %+v, want %+v", i, path, got, want)
			}
		}
	}
}
