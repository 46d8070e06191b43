package remote

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/chunks"
)

// chunksOf answers CHUNKS as it is specified.
func chunksOf(content []byte, r *remofile2.Request) (list []byte) {
	cutter := chunks.NewCutter(bytes.NewReader(content[min(r.Offset, int64(len(content))):]), r.Exponent)
	for at := int64(0); at < r.Length; {
		chunk, _, err := cutter.Next()
		if err != nil {
			break
		}
		list = remofile2.AppendChunk(list, &chunk)
		at += chunk.Length
	}
	return list
}

// versions returns a file, which has something new, and writes what it replaces.
func versions(t *testing.T) (content []byte, destination string) {
	t.Helper()
	old := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{9}).Read(old)
	destination = filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(destination, old, 0o666); err != nil {
		t.Fatal(err)
	}
	return slices.Insert(slices.Clone(old), 1<<20, []byte("new")...), destination
}

// TestDeltaWithAnOlderServer moves all.
func TestDeltaWithAnOlderServer(t *testing.T) {
	content, name := versions(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFake2()
		f.files["/f"] = string(content)
		c := f.client(t, Options{})
		o := TransferOptions{Replace: true, Delta: true}
		if err := c.DownloadFile(t.Context(), "/f", name, o); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes of %d have come, or others, error %v", len(got), len(content), err)
		}
		f.files["/f"] = string(content[1:])
		if err := c.UploadFile(t.Context(), name, "/f", o); err != nil {
			t.Fatal(err)
		}
		if got := f.files["/f"]; got != string(content) {
			t.Errorf("%d bytes of %d have gone, or others", len(got), len(content))
		}
	})
}

// TestListsOfChunksThatAreNot has a server whose lists are not of what it has: what comes is what READ
// says, or the download fails.
func TestListsOfChunksThatAreNot(t *testing.T) {
	for name, test := range map[string]struct {
		change func(list []byte) []byte
		want   error
	}{
		"right":                  {func(list []byte) []byte { return list }, nil},
		"nothing":                {func([]byte) []byte { return nil }, nil},
		"the first ones alone":   {func(list []byte) []byte { return list[:len(list)/remofile2.ChunkSize/2*remofile2.ChunkSize] }, nil},
		"digests of other bytes": {func(list []byte) []byte { list[10]++; return list }, nil},
		"half a chunk":           {func(list []byte) []byte { return list[:len(list)-1] }, Corrupted},
		"a chunk that is long":   {func(list []byte) []byte { list[0]++; return list }, Corrupted},
		"chunks of 0 bytes":      {func(list []byte) []byte { return make([]byte, len(list)) }, Corrupted},
		"beyond the end":         {func(list []byte) []byte { list[10]++; return slices.Repeat(list[:remofile2.ChunkSize], 1000) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			content, destination := versions(t)
			synctest.Test(t, func(t *testing.T) {
				f := newFake2()
				f.files["/f"] = string(content)
				f.chunks = func(content []byte, r *remofile2.Request) []byte {
					list := chunksOf(content, r)
					if len(list) == 0 {
						return nil
					}
					return test.change(list)
				}
				c := f.client(t, Options{})
				err := c.DownloadFile(t.Context(), "/f", destination, TransferOptions{Replace: true, Delta: true})
				if !errors.Is(err, test.want) {
					t.Fatalf("error %v, want %v", err, test.want)
				}
				got, readErr := os.ReadFile(destination)
				if readErr != nil || bytes.Equal(got, content) != (err == nil) {
					t.Errorf("%d bytes of %d, or others, error %v", len(got), len(content), readErr)
				}
			})
		})
	}
}
