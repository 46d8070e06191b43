package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// mirror is what a client knows of the entries in some directories, by the answers to its own
// changes and by notices.
type mirror struct {
	*client2
	entries map[string]Attr // by path
	sent    []Request
}

// look finds out what a path is now.
func (m *mirror) look(path string) {
	m.t.Helper()
	got := m.do(Request{Operation: OpStat, Path: path})
	switch got.Code {
	case CodeDone:
		m.know(path, got.Attr)
	case CodeNotFound, CodeNotADirectory:
		delete(m.entries, path)
	default:
		m.t.Fatalf("STAT %s: %v", path, got.Code)
	}
}

// know takes what notices keep right: the size of a directory is told of no entry.
func (m *mirror) know(path string, a Attr) {
	if a.Kind == KindDirectory {
		a.Size = 0
	}
	m.entries[path] = Attr{Kind: a.Kind, Inode: a.Inode, Size: a.Size, Mode: a.Mode}
}

// change sends the requests of a random change.
func (m *mirror) change(rnd *rand.Rand, paths []string) {
	m.t.Helper()
	m.sent = randomChange(rnd, paths[rnd.IntN(len(paths))], paths[rnd.IntN(len(paths))])
	for i, r := range m.sent {
		m.sent[i].ID = m.send(r, byte(rnd.IntN(256)))
	}
}

// learn takes the answers to the last change for what the entries are. What failed, and where an
// answer does not tell, notices or a look do.
func (m *mirror) learn() {
	m.t.Helper()
	answers := m.receiveAll()
	for _, r := range m.sent {
		a := answers[r.ID]
		if a.Code != CodeDone {
			continue
		}
		switch r.Operation {
		case OpMkdir, OpSymlink, OpSet:
			m.know(r.Path, a.Attr)
		case OpRemove:
			delete(m.entries, r.Path)
		case OpCommit:
			m.know(m.sent[0].Path, a.Attr)
		case OpRename, OpOpen:
			m.look(r.Path)
			if r.ToPath != "" {
				m.look(r.ToPath)
			}
		case OpClose:
			m.look(m.sent[0].Path)
		}
	}
}

// follow looks at what is told until a fence in each of some directories, or until anything may have changed:
// then at all paths, and follow returns false. The fences may be lost then.
func (m *mirror) follow(fence string, directories int, paths []string) bool {
	m.t.Helper()
	for directories > 0 {
		n := m.notice()
		if len(n.Names) == 0 {
			for _, path := range paths {
				m.look(path)
			}
			return false
		}
		for _, name := range n.Names {
			switch path := filepath.Join(n.Directory, name); {
			case name == fence:
				directories--
			case !strings.HasPrefix(name, fencePrefix):
				m.look(path)
			}
		}
	}
	return true
}

// TestAMirrorKeptByNoticesIsRight after random changes of several sessions at a time, while
// and before a process makes others; also where events are lost now and then.
func TestAMirrorKeptByNoticesIsRight(t *testing.T) {
	seeds, rounds := 2, 60
	if os.Getenv("REMOFILE_TEST_FULL") == "1" {
		seeds, rounds = 20, 1000
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testMirrors(t, seed, rounds, false) })
		t.Run(fmt.Sprint(seed, " with losses"), func(t *testing.T) { testMirrors(t, seed, rounds, true) })
	}
}

func testMirrors(t *testing.T, seed uint64, rounds int, losses bool) {
	s := serve(t, Options{})
	s.uploads.signTime = 0
	s.mkdir("dir")
	paths := []string{"/a", "/b", "/dir/a", "/dir/b"}
	rnd := rand.New(rand.NewPCG(seed, 1))
	mirrors := make([]*mirror, 3)
	for i := range mirrors {
		mirrors[i] = &mirror{client2: s.dial2(), entries: make(map[string]Attr)}
		mirrors[i].watch("/", "/dir")
	}
	judge := &mirror{client2: s.dial2(), entries: make(map[string]Attr)}
	for round := range rounds {
		for _, m := range mirrors {
			m.change(rnd, paths)
		}
		changeBehind(s.jail, paths, rnd)
		if losses && rnd.IntN(3) == 0 {
			s.loseEvents()
		}
		for _, m := range mirrors {
			m.learn()
		}
		changeBehind(s.jail, paths, rnd)
		if losses && rnd.IntN(3) == 0 {
			s.loseEvents()
		}
		for i, m := range mirrors {
			s.follow(m, fmt.Sprint(fencePrefix, round, "-", i), paths, losses)
			for _, path := range paths {
				judge.look(path)
				if got, want := m.entries[path], judge.entries[path]; got != want {
					t.Fatalf("round %d, mirror %d: %s is %+v, want %+v", round, i, path, got, want)
				}
			}
		}
	}
}

// follow makes a mirror follow all that was done before, until fences of its own.
func (s *served) follow(m *mirror, fence string, paths []string, losses bool) {
	s.t.Helper()
	for attempt := 0; ; attempt++ {
		name := fmt.Sprint(fence, "-", attempt)
		s.write(name, "")
		s.write("dir/"+name, "")
		if m.follow(name, 2, paths) {
			return
		}
		if !losses || attempt == 2 { // there is one loss before and one after the answers
			s.t.Fatal("anything may have changed")
		}
	}
}

// loseEvents takes what is in the queue of inotify, and has the watcher hear of an overflow instead.
func (s *served) loseEvents() {
	s.t.Helper()
	w := s.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	for buf := make([]byte, 4096); ; {
		if _, err := unix.Read(w.inotify.fd, buf); err != nil {
			if err != unix.EAGAIN {
				s.t.Fatal(err)
			}
			break
		}
	}
	w.overflow()
}

func randomChange(rnd *rand.Rand, path, other string) []Request {
	const h = 1
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

// changeBehind changes the jail some times behind the server's back. What fails does not matter.
func changeBehind(jail string, paths []string, rnd *rand.Rand) {
	for range rnd.IntN(4) {
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
