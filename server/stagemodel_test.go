package server

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// stageModel is what the specification says of staged files, in one directory.
type stageModel struct {
	files    map[string]*modelFile
	claims   map[string]*modelHandle
	reserved map[string]*modelHandle
	kept     map[[2]string]string // by name and part
	sessions []*modelSession2
}

// modelFile is a file, whatever its name.
type modelFile struct{ content string }

type modelHandle struct {
	session *modelSession2
	file    *modelFile
	name    string
	part    string
	flags   Flags
	staged  bool // COMMIT is possible
	state   stagedState
}

type modelSession2 struct {
	client  *client2
	handles map[Handle]*modelHandle
	lost    bool
}

// answer changes the model as a request of session s does, and returns the code and, for READ, the content.
func (m *stageModel) answer(s *modelSession2, r *Request, payload string) (Code, string) {
	h := s.handles[r.Handle]
	switch r.Operation {
	case OpRemove:
		if m.files[r.Path] == nil {
			return CodeNotFound, ""
		}
		delete(m.files, r.Path)
		return CodeDone, ""
	case OpStage, OpOpen:
		if h != nil {
			return CodeBadHandle, ""
		}
		opens := m.open
		if r.Operation == OpStage {
			opens = m.stage
		}
		h, code := opens(s, r)
		if code == CodeDone {
			s.handles[r.Handle] = h
		}
		return code, ""
	}
	switch {
	case h == nil:
		return CodeBadHandle, ""
	case r.Operation == OpClose:
		m.end(h, closed, r.Flags&CloseDiscard == 0)
		delete(s.handles, r.Handle)
		return CodeDone, ""
	case r.Operation == OpCommit && !h.staged:
		return CodeBadHandle, ""
	case h.staged && h.state == displaced:
		return CodeStale, ""
	case r.Operation == OpCommit:
		return m.commit(h, r.Flags), ""
	case r.Operation == OpRead:
		return CodeDone, h.file.content
	default: // APPEND
		h.file.content += payload
		return CodeDone, ""
	}
}

func (m *stageModel) stage(s *modelSession2, r *Request) (*modelHandle, Code) {
	h := &modelHandle{session: s, file: new(modelFile), name: r.Path, part: r.Part, flags: r.Flags, staged: true}
	shared, reserve := r.Flags&StageShared != 0, r.Flags&StageReserve != 0
	if shared && r.Part != "" {
		return nil, CodeBadRequest
	}
	if m.reserved[r.Path] != nil || m.files[r.Path] != nil && (r.Flags&StageReplace == 0 || reserve) {
		return nil, CodeExists
	}
	if other := m.claims[r.Path]; other != nil && !shared {
		if other.session == s || !other.session.lost {
			return nil, CodeInUse
		}
		m.end(other, displaced, true)
	}
	if !shared {
		m.claims[r.Path] = h
	}
	if r.Part != "" {
		if r.Flags&StageResume != 0 {
			h.file.content = m.kept[[2]string{r.Path, r.Part}]
		}
		delete(m.kept, [2]string{r.Path, r.Part})
	}
	if reserve {
		m.reserved[r.Path] = h
	}
	return h, CodeDone
}

// end takes a staged file out of the table.
func (m *stageModel) end(h *modelHandle, state stagedState, keep bool) {
	if !h.staged || h.state != hidden {
		return
	}
	h.state = state
	if m.claims[h.name] == h {
		delete(m.claims, h.name)
	}
	if m.reserved[h.name] == h {
		delete(m.reserved, h.name)
	}
	if keep && h.part != "" && h.file.content != "" {
		m.kept[[2]string{h.name, h.part}] = h.file.content
	}
}

func (m *stageModel) commit(h *modelHandle, flags Flags) Code {
	if h.state == hidden {
		by := m.reserved[h.name]
		if by != nil && by != h || m.files[h.name] != nil && (h.flags&StageReplace == 0 || flags&CommitKeep != 0) {
			return CodeExists
		}
		m.files[h.name] = h.file
		m.end(h, published, false)
	}
	h.staged = false
	return CodeDone
}

func (m *stageModel) open(s *modelSession2, r *Request) (*modelHandle, Code) {
	exclusive, file, by := r.Flags&OpenExclusive != 0, m.files[r.Path], m.reserved[r.Path]
	switch {
	case exclusive && (file != nil || by != nil):
		return nil, CodeExists
	case file == nil && by != nil:
		file = by.file
		m.files[r.Path] = file
		m.end(by, published, false)
	case file == nil && r.Flags&OpenCreate == 0:
		return nil, CodeNotFound
	case file == nil:
		file = new(modelFile)
		m.files[r.Path] = file
	}
	if r.Flags&OpenTruncate != 0 {
		file.content = ""
	}
	return &modelHandle{session: s, file: file}, CodeDone
}

// randomStageRequest returns a request on one of a few names and handles.
func randomStageRequest(rnd *rand.Rand) Request {
	some := func(flags ...Flags) (sum Flags) {
		for _, f := range flags {
			if rnd.IntN(2) == 0 {
				sum |= f
			}
		}
		return sum
	}
	r := Request{Handle: Handle(rnd.IntN(3)), Path: []string{"/a", "/b"}[rnd.IntN(2)], Mode: 0o666}
	switch rnd.IntN(12) {
	case 0, 1, 2, 3:
		r.Operation, r.Flags = OpStage, StageRead|some(StageReplace, StageReplace, StageResume)
		r.Part = []string{"", "p", "q"}[rnd.IntN(3)]
		switch rnd.IntN(4) {
		case 0:
			r.Flags |= StageReserve
		case 1:
			r.Flags |= StageShared
		}
		return r
	case 4:
		r.Operation, r.Flags = OpOpen, OpenRead|OpenWrite|some(OpenCreate, OpenTruncate)
		if r.Flags&OpenCreate != 0 {
			r.Flags |= some(OpenExclusive)
		}
		return r
	case 5:
		return removeRequest(r.Path, 0)
	}
	r.Path = ""
	switch rnd.IntN(6) {
	case 0:
		r.Operation, r.Flags = OpClose, some(CloseDiscard)
	case 1:
		r.Operation, r.Flags = OpCommit, some(CommitKeep)
	case 2:
		r.Operation, r.Length = OpRead, MaxPayload
	default:
		r.Operation = OpAppend
	}
	return r
}

// TestStagedFilesBehaveAsTheModel makes random requests in two sessions, which lose their
// connections now and then.
func TestStagedFilesBehaveAsTheModel(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			s := serve(t, Options{})
			s.uploads.signTime = 0
			m := &stageModel{make(map[string]*modelFile), make(map[string]*modelHandle), make(map[string]*modelHandle),
				make(map[[2]string]string), nil}
			for range 2 {
				m.sessions = append(m.sessions, &modelSession2{client: s.dial2(), handles: make(map[Handle]*modelHandle)})
			}
			for step := range 400 {
				sess := m.sessions[rnd.IntN(2)]
				if rnd.IntN(20) == 0 && !sess.lost {
					s.lose(sess)
					continue
				}
				if sess.lost {
					sess.client, sess.lost = s.resume(sess.client), false
				}
				r := randomStageRequest(rnd)
				payload := ""
				if r.Operation == OpAppend {
					payload = fmt.Sprint(step, " ")
				}
				want, content := m.answer(sess, &r, payload)
				got := sess.client.do(r, []byte(payload)...)
				if got.Code != want || r.Operation == OpRead && string(got.payload) != content {
					t.Fatalf("step %d: %s %s of handle %d, part %q, flags %b: %v %q %q, want %v %q", step, r.Operation, r.Path, r.Handle,
						r.Part, r.Flags, got.Code, got.Message, got.payload, want, content)
				}
			}
			var staged int
			for _, sess := range m.sessions {
				for _, h := range sess.handles {
					m.end(h, closed, true)
				}
				if sess.lost {
					sess.client = s.resume(sess.client)
				}
				sess.client.want(CodeDone, Request{Operation: OpGoodbye})
			}
			for _, content := range m.kept {
				staged += len(content)
			}
			requireParts(t, s.jail, len(m.kept))
			if got := s.uploads.total(); got != int64(staged) {
				t.Errorf("%d bytes are staged, want %d", got, staged)
			}
			s.uploads.removeBefore(time.Now().Add(time.Second))
			var want strings.Builder
			want.WriteString(". d---------\n")
			for _, path := range []string{"/a", "/b"} {
				if file := m.files[path]; file != nil {
					fmt.Fprintf(&want, "%s %q\n", path[1:], file.content)
				}
			}
			if got := tree(t, s.jail); got != want.String() {
				t.Errorf("the jail is\n%swant\n%s", got, &want)
			}
		})
	}
}

// lose cuts the connection of a session and waits until the server has noticed.
func (s *served) lose(sess *modelSession2) {
	sess.client.conn.Close()
	sess.lost = true
	id := sess.client.attach.Session
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		of := s.sessions[id]
		s.mu.Unlock()
		if of.connection() == nil {
			return
		}
	}
	s.t.Fatal("the server does not notice that the connection has ended")
}
