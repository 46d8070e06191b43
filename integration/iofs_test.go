package integration

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/remofile/remofile/remote"
)

// TestTheJailIsAnFS in both protocols.
func TestTheJailIsAnFS(t *testing.T) {
	c, jail := client(t)
	fill := func(jail string) {
		write(t, filepath.Join(jail, "hello.txt"), "hello")
		write(t, filepath.Join(jail, "empty"), "")
		run(t, "mkdir", "-p", filepath.Join(jail, "a", "b", "c"))
		write(t, filepath.Join(jail, "a", "b", "large"), strings.Repeat("0123456789", 300))
	}
	fill(jail)
	run(t, "ln", "-s", "../hello.txt", filepath.Join(jail, "a", "link"))
	expected := []string{"hello.txt", "empty", "a/b/c", "a/b/large"}
	if err := fstest.TestFS(c.FS(), append(expected, "a/link")...); err != nil {
		t.Error(err)
	}
	sub, err := fs.Sub(c.FS(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(sub, "c", "large"); err != nil {
		t.Error(err)
	}

	foreign := t.TempDir()
	fill(foreign)
	old := dial(t, remote.Options{Address: startPythonServer(t, foreign, token), Plain: true})
	if err := fstest.TestFS(old.FS(), expected...); err != nil {
		t.Error(err)
	}
}

func TestErrorsOfTheFSNameWhatWasAskedFor(t *testing.T) {
	c, jail := client(t)
	run(t, "mkdir", filepath.Join(jail, "d"))
	sub, err := fs.Sub(c.FS(), "d")
	if err != nil {
		t.Fatal(err)
	}
	_, err = sub.Open("missing")
	var e *fs.PathError
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, remote.NotFound) || !errors.As(err, &e) || e.Path != "missing" {
		t.Errorf("error %v", err)
	}
}

// TestTheJailIsServedToBrowsers has net/http read and seek in a file.
func TestTheJailIsServedToBrowsers(t *testing.T) {
	c, jail := client(t)
	write(t, filepath.Join(jail, "f.txt"), "0123456789")
	for ranges, want := range map[string]string{"": "0123456789", "bytes=3-5": "345", "bytes=-2": "89"} {
		request := httptest.NewRequest(http.MethodGet, "/f.txt", nil)
		if ranges != "" {
			request.Header.Set("Range", ranges)
		}
		response := httptest.NewRecorder()
		http.FileServerFS(c.FS()).ServeHTTP(response, request)
		if got := response.Body.String(); got != want {
			t.Errorf("range %q: %d, %q, want %q", ranges, response.Code, got, want)
		}
	}
}
