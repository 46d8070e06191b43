package server

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remofile/remofile/protocol"
)

// exchange is a request and the response of the Python implementation, as
// recorded in protocol/testdata.
type exchange struct {
	Name     string
	Request  string
	Response string
}

func loadExchanges(t testing.TB) []exchange {
	t.Helper()
	text, err := os.ReadFile("../protocol/testdata/python-remofile.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Exchanges []exchange }
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	return golden.Exchanges
}

func (e *exchange) bytes(t testing.TB) (request []byte, want protocol.Response) {
	t.Helper()
	request, err := hex.DecodeString(e.Request)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := hex.DecodeString(e.Response)
	if err != nil {
		t.Fatal(err)
	}
	if want, err = protocol.DecodeResponse(encoded); err != nil {
		t.Fatal(err)
	}
	return request, want
}

// recordedJail is what the recording tells of the jail when it began.
type recordedJail struct {
	entries  map[string]protocol.Entry // by path, the first listing of each directory
	contents map[string][]byte         // by path, of what was downloaded whole
}

func readRecording(t testing.TB, exchanges []exchange) recordedJail {
	t.Helper()
	j := recordedJail{make(map[string]protocol.Entry), make(map[string][]byte)}
	listed := make(map[string]bool)
	var downloaded string
	var content []byte
	for _, e := range exchanges {
		b, want := e.bytes(t)
		request, err := protocol.DecodeRequest(b)
		if err != nil {
			continue
		}
		switch request.Type {
		case protocol.ListFiles:
			if want.Reason != protocol.FilesListed || listed[request.Directory] {
				continue
			}
			listed[request.Directory] = true
			for _, entry := range want.Entries {
				j.entries[filepath.Join(request.Directory, entry.Name)] = entry
			}
		case protocol.DownloadFile:
			downloaded, content = filepath.Join(request.Directory, request.Name), nil
		case protocol.ReceiveChunk:
			content = append(content, want.Data...)
			if want.Reason == protocol.TransferCompleted {
				j.contents[downloaded] = content
			}
		}
	}
	return j
}

// build makes the jail in dir. Files whose content was not recorded are sparse.
func (j recordedJail) build(t *testing.T, dir string) {
	t.Helper()
	for path, entry := range j.entries {
		path = filepath.Join(dir, path)
		if entry.Directory {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	for path, entry := range j.entries {
		if entry.Directory {
			continue
		}
		local := filepath.Join(dir, path)
		if err := os.WriteFile(local, j.contents[path], 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(local, entry.Size); errors.Is(err, syscall.EFBIG) {
			t.Logf("left out: the size of %s, which this file system can't hold", path)
			delete(j.entries, path)
			os.Remove(local)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(local, entry.Modified, entry.Modified); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGoldenConversations replays what a Python client and a Python server said,
// one session for each conversation, and compares the answers.
func TestGoldenConversations(t *testing.T) {
	exchanges := loadExchanges(t)
	recorded := readRecording(t, exchanges)
	s := serve(t, Options{})
	recorded.build(t, s.jail)
	var c *client
	conversation := ""
	for _, e := range exchanges {
		name, _, _ := strings.Cut(e.Name, "/")
		if name != conversation {
			conversation = name
			c = s.dial()
		}
		request, want := e.bytes(t)
		got := c.send(nil, request)
		if isListing(request) && want.Reason == protocol.BadRequest {
			// The one difference: the specification allows LIST_FILES in
			// every state (4.6), the Python server does not.
			want = protocol.Response{Type: protocol.Accepted, Reason: protocol.FilesListed, Entries: got.Entries}
		}
		compare(t, e.Name, got, want, recorded)
	}
}

func isListing(request []byte) bool {
	r, err := protocol.DecodeRequest(request)
	return err == nil && r.Type == protocol.ListFiles
}

func compare(t *testing.T, name string, got, want protocol.Response, recorded recordedJail) {
	t.Helper()
	if got.Type != want.Type || got.Reason != want.Reason || got.Size != want.Size || got.Message != want.Message ||
		string(got.Data) != string(want.Data) {
		t.Errorf("%s: answer %s of %d, want %s of %d", name, describe(got), got.Size, describe(want), want.Size)
	}
	entries := make(map[string]protocol.Entry)
	for _, e := range got.Entries {
		entries[e.Name] = e
	}
	if len(got.Entries) != len(want.Entries) {
		t.Errorf("%s: %d entries, want %d", name, len(got.Entries), len(want.Entries))
	}
	for _, w := range want.Entries {
		g := entries[w.Name]
		// Only a file that nobody touched since has the recorded time.
		if !recorded.untouched(w) {
			g.Modified = w.Modified
		}
		if g.Name != w.Name || g.Directory != w.Directory || g.Size != w.Size ||
			g.Modified.Sub(w.Modified).Abs() > time.Microsecond {
			t.Errorf("%s: entry %+v, want %+v", name, g, w)
		}
	}
}

// untouched reports whether e is a file just as when the recording began.
func (j recordedJail) untouched(e protocol.Entry) bool {
	for path, first := range j.entries {
		if filepath.Base(path) == e.Name && !e.Directory && first.Modified.Equal(e.Modified) {
			return true
		}
	}
	return false
}
