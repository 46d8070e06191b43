package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/remofile/remofile/protocol"
)

// FuzzSession feeds arbitrary requests to a session in each state: each gets an
// answer, and nothing outside the jail changes.
func FuzzSession(f *testing.F) {
	for _, e := range loadExchanges(f) {
		request, _ := e.bytes(f)
		for _, st := range []state{idle, uploading, downloading} {
			f.Add(byte(st), request)
		}
	}
	for _, r := range []protocol.Request{
		{Type: protocol.RemoveFile, Name: "file", Directory: "/dir/.."},
		{Type: protocol.RemoveFile, Name: "out", Directory: "/"},
		{Type: protocol.ListFiles, Directory: "/out/../.."},
		{Type: protocol.UploadFile, Name: "out", Directory: "/dir", Size: 1, ChunkSize: 512, Replace: true},
	} {
		f.Add(byte(idle), protocol.AppendRequest(nil, &r))
	}
	outside := f.TempDir()
	jail := filepath.Join(outside, "jail")
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o644); err != nil {
		f.Fatal(err)
	}
	if err := os.Mkdir(jail, 0o755); err != nil {
		f.Fatal(err)
	}
	s := serve(f, Options{Jail: jail})
	f.Fuzz(func(t *testing.T, st byte, request []byte) {
		furnish(t, jail)
		sess := s.session(t)
		switch state(st % 3) {
		case uploading:
			sess.mustAnswer(t, uploadRequest("up"), protocol.TransferAccepted)
		case downloading:
			sess.mustAnswer(t, downloadRequest("file"), protocol.TransferAccepted)
		}
		sess.handle([][]byte{nil, request})
		if _, err := protocol.DecodeResponse(sess.answer.buf); err != nil {
			t.Errorf("the answer is none: %v", err)
		}
		sess.toIdle()
		requireNoStaging(t, jail)
		empty(t, jail)
		if got := tree(t, outside); got != ". d---------\njail d---------\nsecret \"secret\"\n" {
			t.Errorf("outside of the jail is\n%s", got)
		}
	})
}

// mustAnswer makes a request that is answered by reason.
func (s *session1) mustAnswer(t *testing.T, r protocol.Request, reason protocol.Reason) {
	t.Helper()
	s.handle([][]byte{nil, protocol.AppendRequest(nil, &r)})
	if s.answer.reason != reason {
		t.Fatalf("answer %v, want %v", s.answer.reason, reason)
	}
}

// furnish makes a jail with something to reach for.
func furnish(t *testing.T, jail string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(jail, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "dir/file"} {
		if err := os.WriteFile(filepath.Join(jail, name), []byte("content"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"out": "..", "dir/out": "../../secret"} {
		if err := os.Symlink(text, filepath.Join(jail, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}
