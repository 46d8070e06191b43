package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol"
)

// node is a file or a directory of the model.
type node struct {
	children map[string]*node // nil for a file
	content  string
	removed  bool
}

func newDirectory() *node { return &node{children: make(map[string]*node)} }

// modelLimit is the staging limit of the model's server: some pairs of uploads
// exceed it.
const modelLimit = 2000

// model is what the specification says of a jail and its sessions.
type model struct {
	root     *node
	sessions []*modelSession
}

type modelSession struct {
	state state
	// the upload
	parent          *node
	name            string
	replace         bool
	size, chunkSize int
	received        string
	// the download
	rest string
}

// directory finds a directory, or returns the reason why there is none.
func (m *model) directory(path string, missing protocol.Reason) (*node, protocol.Reason) {
	at := m.root
	for _, name := range strings.Split(strings.Trim(path, "/"), "/") {
		if name == "" {
			continue
		}
		if at.children == nil {
			return nil, protocol.NotADirectory
		}
		if at = at.children[name]; at == nil {
			return nil, missing
		}
	}
	if at.children == nil {
		return nil, protocol.NotADirectory
	}
	return at, 0
}

// answer changes the model as the request of session s does, and returns the
// reason of the answer, with the data of a chunk.
func (m *model) answer(s *modelSession, r *protocol.Request) (protocol.Reason, string) {
	if !s.state.allows(r.Type) {
		return protocol.BadRequest, ""
	}
	switch r.Type {
	case protocol.ListFiles:
		_, reason := m.directory(r.Directory, protocol.FileNotFound)
		return orElse(reason, protocol.FilesListed), ""
	case protocol.SendChunk:
		return m.sendChunk(s, string(r.Data)), ""
	case protocol.ReceiveChunk:
		chunk := s.rest[:min(len(s.rest), s.chunkSize)]
		if s.rest = s.rest[len(chunk):]; s.rest != "" {
			return protocol.ChunkSent, chunk
		}
		s.state = idle
		return protocol.TransferCompleted, chunk
	case protocol.CancelTransfer:
		s.state = idle
		return protocol.TransferCancelled, ""
	}
	if !protocol.ValidName(r.Name) {
		return protocol.InvalidFileName, ""
	}
	switch r.Type {
	case protocol.UploadFile:
		return m.upload(s, r), ""
	case protocol.DownloadFile:
		return m.download(s, r), ""
	default:
		return m.change(r), ""
	}
}

func orElse(reason, otherwise protocol.Reason) protocol.Reason {
	if reason == 0 {
		return otherwise
	}
	return reason
}

func (m *model) change(r *protocol.Request) protocol.Reason {
	dir, reason := m.directory(r.Directory, protocol.FileNotFound)
	if reason != 0 {
		return reason
	}
	file, exists := dir.children[r.Name]
	switch {
	case r.Type == protocol.RemoveFile && !exists:
		return protocol.FileNotFound
	case r.Type == protocol.RemoveFile && len(file.children) > 0:
		return protocol.DirectoryNotEmpty
	case r.Type == protocol.RemoveFile:
		file.removed = true
		delete(dir.children, r.Name)
		return protocol.FileRemoved
	case exists:
		return protocol.FileAlreadyExists
	case r.Type == protocol.CreateFile:
		dir.children[r.Name] = &node{}
		return protocol.FileCreated
	default:
		dir.children[r.Name] = newDirectory()
		return protocol.DirectoryCreated
	}
}

func (m *model) upload(s *modelSession, r *protocol.Request) protocol.Reason {
	if r.Size < 0 || r.Size == 0 && !r.Replace || r.Size >= protocol.DefaultFileSizeLimit {
		return protocol.IncorrectFileSize
	}
	if r.ChunkSize < protocol.DefaultMinChunkSize || r.ChunkSize > protocol.DefaultMaxChunkSize {
		return protocol.IncorrectChunkSize
	}
	dir, reason := m.directory(r.Directory, protocol.NotADirectory)
	if reason != 0 {
		return reason
	}
	if file, exists := dir.children[r.Name]; exists && (!r.Replace || file.children != nil) {
		return protocol.FileAlreadyExists
	}
	staged := r.Size
	for _, other := range m.sessions {
		if other.state != uploading {
			continue
		}
		if other.parent == dir && other.name == r.Name {
			return protocol.UnknownError // in use
		}
		staged += int64(other.size)
	}
	if staged > modelLimit {
		return protocol.UnknownError
	}
	*s = modelSession{state: uploading, parent: dir, name: r.Name, replace: r.Replace, size: int(r.Size),
		chunkSize: int(r.ChunkSize)}
	return protocol.TransferAccepted
}

func (m *model) sendChunk(s *modelSession, data string) protocol.Reason {
	if len(data) != min(s.chunkSize, s.size-len(s.received)) {
		s.state = idle
		return protocol.BadRequest
	}
	s.received += data
	if len(s.received) < s.size {
		return protocol.ChunkReceived
	}
	s.state = idle
	file, exists := s.parent.children[s.name]
	switch {
	case s.parent.removed:
		return protocol.FileNotFound
	case exists && (!s.replace || file.children != nil):
		return protocol.FileAlreadyExists
	}
	s.parent.children[s.name] = &node{content: s.received}
	return protocol.TransferCompleted
}

func (m *model) download(s *modelSession, r *protocol.Request) protocol.Reason {
	if r.ChunkSize < protocol.DefaultMinChunkSize || r.ChunkSize > protocol.DefaultMaxChunkSize {
		return protocol.IncorrectChunkSize
	}
	dir, reason := m.directory(r.Directory, protocol.NotADirectory)
	if reason != 0 {
		return reason
	}
	file, exists := dir.children[r.Name]
	if !exists {
		return protocol.FileNotFound
	}
	if file.children != nil {
		return protocol.NotAFile
	}
	*s = modelSession{state: downloading, rest: file.content, chunkSize: int(r.ChunkSize)}
	return protocol.TransferAccepted
}

// tree has the form of the function tree.
func (n *node) tree(t *testing.T) string {
	dir := t.TempDir()
	n.write(t, dir)
	return tree(t, dir)
}

func (n *node) write(t *testing.T, path string) {
	t.Helper()
	var err error
	if n.children == nil {
		err = os.WriteFile(path, []byte(n.content), 0o644)
	} else if err = os.MkdirAll(path, 0o755); err == nil {
		for name, child := range n.children {
			child.write(t, filepath.Join(path, name))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// randomRequest returns a request that mostly makes sense in the state of s.
func randomRequest(rnd *rand.Rand, s *modelSession) protocol.Request {
	pick := func(choices ...string) string { return choices[rnd.IntN(len(choices))] }
	r := protocol.Request{
		Type:      protocol.RequestType(1 + rnd.IntN(9)),
		Name:      pick("a", "a", "b", "b", "c", "d", "in|valid"),
		Directory: pick("/", "/", "/d", "/d/a", "/b", "/missing"),
		Size:      max(int64(rnd.IntN(1600))-100, 0),
		ChunkSize: int64(500 + rnd.IntN(600)),
		Replace:   rnd.IntN(2) == 0,
	}
	if s.state != idle && rnd.IntN(3) > 0 {
		r.Type = protocol.SendChunk
		if s.state == downloading {
			r.Type = protocol.ReceiveChunk
		}
	}
	if r.Type == protocol.SendChunk {
		n := min(s.chunkSize, s.size-len(s.received))
		if rnd.IntN(10) == 0 {
			n += 1 - rnd.IntN(3)
		}
		r.Data = []byte(strings.Repeat(string(rune('A'+rnd.IntN(26))), max(n, 0)))
	}
	return r
}

// TestSessionsBehaveAsTheModel makes random requests in two sessions.
func TestSessionsBehaveAsTheModel(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			s := serve(t, Options{StagingLimit: modelLimit})
			m := &model{root: newDirectory(), sessions: []*modelSession{{}, {}}}
			sessions := []*session1{s.session(t), s.session(t)}
			before := descriptors(t)
			for range 1000 {
				i := rnd.IntN(len(sessions))
				r := randomRequest(rnd, m.sessions[i])
				want, data := m.answer(m.sessions[i], &r)
				sessions[i].handle([][]byte{nil, protocol.AppendRequest(nil, &r)})
				got, err := protocol.DecodeResponse(sessions[i].answer.buf)
				if err != nil {
					t.Fatal(err)
				}
				if got.Reason != want || string(got.Data) != data {
					t.Fatalf("session %d, %v of %q in %q, replace %v: answer %s, want %v with %d bytes", i, r.Type,
						r.Name, r.Directory, r.Replace, describe(got), want, len(data))
				}
				if sessions[i].state != m.sessions[i].state {
					t.Fatalf("state %v, want %v", sessions[i].state, m.sessions[i].state)
				}
			}
			for _, sess := range sessions {
				sess.toIdle()
			}
			if got, want := tree(t, s.jail), m.root.tree(t); got != want {
				t.Errorf("the jail is\n%swant\n%s", got, want)
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors are open, %d were", after, before)
			}
		})
	}
}
