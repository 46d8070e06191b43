package integration

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/remofile/remofile/remote"
)

// delta replaces a file by another version of it.
var delta = remote.TransferOptions{Replace: true, Delta: true}

// eachWay runs a test for an upload and a download.
func eachWay(t *testing.T, test func(t *testing.T, r *resumption)) {
	t.Helper()
	for name, up := range map[string]bool{"upload": true, "download": false} {
		t.Run(name, func(t *testing.T) { test(t, newResumption(t, up)) })
	}
}

// versions writes the file and what it is to replace.
func (r *resumption) versions(source, destination []byte) {
	r.t.Helper()
	write(r.t, r.source, string(source))
	write(r.t, r.destination, string(destination))
}

// arrived fails the test unless the file has come, and nothing besides.
func (r *resumption) arrived(want []byte) {
	r.t.Helper()
	got, err := os.ReadFile(r.destination)
	if err != nil || !bytes.Equal(got, want) {
		r.t.Errorf("%d bytes of %d have come, or others, error %v", len(got), len(want), err)
	}
	hasOnly(r.t, filepath.Dir(r.destination), "file")
}

func noise(seed uint64, size int) []byte {
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(content)
	return content
}

// TestDeltaMovesLittle has 1 MiB changed in the middle, and inserted at the front: it and a
// list of chunks are carried. Of 1 GiB with REMOFILE_TEST_FULL=1.
func TestDeltaMovesLittle(t *testing.T) {
	size := 8 << 20
	if fullSize() {
		size = 1 << 30
	}
	eachWay(t, func(t *testing.T, r *resumption) {
		old, fresh := noise(1, size), noise(2, 1<<20)
		for name, content := range map[string][]byte{
			"in the middle": slices.Concat(old[:size/2], fresh, old[size/2+len(fresh):]),
			"at the front":  slices.Concat(fresh, old),
		} {
			r.versions(content, old)
			var saved int64
			o := delta
			o.Resumed = func(bytes int64, _ string) { saved += bytes }
			carried, err := r.transfer(t.Context(), o, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.arrived(content)
			t.Logf("%s: %d KiB carried, %d saved", name, carried>>10, saved>>10)
			if most := int64(3 << 20); carried >= most || saved < int64(len(content))-most {
				t.Errorf("%s: %d bytes were carried, %d saved", name, carried, saved)
			}
		}
	})
}

// edited returns content after some edits, and how many bytes of it are new at most.
func edited(random *rand.Rand, content []byte, edits int) (after []byte, fresh int64) {
	after = slices.Clone(content)
	for range edits {
		at := random.IntN(len(after))
		end := min(len(after), at+random.IntN(100_000))
		piece := noise(random.Uint64(), random.IntN(100_000))
		switch random.IntN(4) {
		case 0:
			after = slices.Insert(after, at, piece...)
			fresh += int64(len(piece))
		case 1:
			after = slices.Delete(after, at, end)
		case 2:
			fresh += int64(copy(after[at:], piece))
		case 3: // moved
			moved := slices.Clone(after[at:end])
			after = slices.Delete(after, at, end)
			after = slices.Insert(after, random.IntN(len(after)), moved...)
		}
	}
	return after, fresh
}

// TestDeltaOfRandomEdits holds that what arrives is right, and that what is carried is in
// proportion: what is new, some chunks about each edit, and the list.
func TestDeltaOfRandomEdits(t *testing.T) {
	eachWay(t, func(t *testing.T, r *resumption) {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		for range 3 {
			old := slices.Concat(noise(seed, 1<<20+random.IntN(1<<20)), make([]byte, random.IntN(1<<20)), noise(seed+1, 1<<20))
			edits := random.IntN(8)
			content, fresh := edited(random, old, edits)
			r.versions(content, old)
			carried, err := r.transfer(t.Context(), delta, 0, nil)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			r.arrived(content)
			const chunk, list = 32 << 10, 256 << 10
			if most := fresh + int64(edits)*6*chunk + list; carried > most {
				t.Errorf("seed %d: %d bytes were carried for %d edits of %d", seed, carried, edits, fresh)
			}
		}
	})
}

// TestAnInterruptedDeltaGoesOn holds that what it has moved, or copied, is not moved again.
func TestAnInterruptedDeltaGoesOn(t *testing.T) {
	eachWay(t, func(t *testing.T, r *resumption) {
		const begin, end = 2 << 20, 4 << 20 // of what is new
		old := noise(3, 4<<20)
		content := slices.Concat(old[:begin], noise(4, end-begin), old[begin:])
		for _, after := range []int64{1, 1 << 20, 3 << 19} {
			r.versions(content, old)
			if !r.interrupt(after, delta) {
				if got, err := os.ReadFile(r.destination); err != nil || !bytes.Equal(got, old) {
					t.Errorf("interrupted after %d bytes: not the old content, error %v", after, err)
				}
			}
			most := int64(end - begin + 2*compared + 128<<10) // a block at either end of what is new, and the list
			if path := r.part(); path != "" {
				part, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				for at := begin; at+compared <= min(len(part), end); at += compared {
					if bytes.Equal(part[at:at+compared], content[at:at+compared]) {
						most -= compared
					}
				}
			}
			carried, err := r.transfer(t.Context(), delta, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.arrived(content)
			if carried > most {
				t.Errorf("interrupted after %d bytes: %d were carried then, at most %d are needed", after, carried, most)
			}
		}
	})
}

// TestDeltaOfAFileThatChanges has the file that is replaced written to in the middle.
func TestDeltaOfAFileThatChanges(t *testing.T) {
	eachWay(t, func(t *testing.T, r *resumption) {
		old := noise(5, 8<<20)
		content := slices.Concat(noise(6, 100_000), old)
		r.versions(content, old)
		o, changed := delta, false
		o.Progress = func(_ []byte, remaining, size int64, _ string) bool {
			if !changed && remaining < size/2 {
				changed = true
				f, err := os.OpenFile(r.destination, os.O_WRONLY, 0)
				if err == nil {
					_, err = f.WriteAt(make([]byte, 8<<20), 0)
					err = errors.Join(err, f.Close())
				}
				if err != nil {
					t.Error(err)
				}
			}
			return true
		}
		if err := r.complete(o); err != nil {
			t.Fatal(err)
		}
		r.arrived(content)
	})
}

// TestDeltaWithoutABasis holds that what can't be looked at does no harm: nothing, a short file, a
// directory that the name leads to.
func TestDeltaWithoutABasis(t *testing.T) {
	eachWay(t, func(t *testing.T, r *resumption) {
		content := noise(7, 3<<20)
		write(t, r.source, string(content))
		if err := r.complete(delta); err != nil {
			t.Fatal(err)
		}
		r.arrived(content)
		r.versions(content, content[:1000])
		if err := r.complete(delta); err != nil {
			t.Fatal(err)
		}
		r.arrived(content)
		r.versions(content[:1000], content)
		if err := r.complete(delta); err != nil {
			t.Fatal(err)
		}
		r.arrived(content[:1000])
		r.versions(nil, content)
		if err := r.complete(delta); err != nil {
			t.Fatal(err)
		}
		r.arrived(nil)
		o := delta
		o.Replace = false
		if err := r.complete(o); !errors.Is(err, remote.Exists) {
			t.Errorf("not to be replaced: error %v", err)
		}
	})
}

// TestManyDeltas are more at a time than look at chunks at a time.
func TestManyDeltas(t *testing.T) {
	c, jail := client(t)
	old := noise(8, 2<<20)
	content := slices.Concat(old[:1<<20], []byte("new"), old[1<<20:])
	local := t.TempDir()
	for _, dir := range []string{"up", "down"} {
		for _, root := range []string{jail, local} {
			if err := os.Mkdir(filepath.Join(root, dir), 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 12 {
		name := string(rune('a' + i))
		write(t, filepath.Join(local, "up", name), string(content))
		write(t, filepath.Join(jail, "up", name), string(old))
		write(t, filepath.Join(jail, "down", name), string(content))
		write(t, filepath.Join(local, "down", name), string(old))
	}
	ctx := t.Context()
	for _, transfer := range []func() (remote.Summary, error){
		func() (remote.Summary, error) {
			return c.SynchronizeUpload(ctx, filepath.Join(local, "up"), "/up", remote.SyncOptions{})
		},
		func() (remote.Summary, error) {
			return c.SynchronizeDownload(ctx, "/down", filepath.Join(local, "down"), remote.SyncOptions{})
		},
	} {
		sum, err := transfer()
		if err != nil || sum.Files != 12 || sum.Sent > sum.Bytes/2 {
			t.Errorf("%+v, error %v", sum, err)
		}
	}
	settle(t, jail)
	run(t, "diff", "-r", local, jail)
}
