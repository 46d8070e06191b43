package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// What a transfer does, whatever the part: of an upload the head is sent before it is known
// whether there is a part, of a download it is asked for. Blocks are compared.
const (
	uploadHead   = 1 << 20
	downloadHead = 16 << 10
	compared     = 256 << 10
)

// resumption is a file that is moved one way.
type resumption struct {
	t           *testing.T
	up          bool
	server      string // its address
	jail, local string // directories
	source      string // the file
	destination string // where it goes to
}

func newResumption(t *testing.T, up bool) *resumption {
	t.Helper()
	r := &resumption{t: t, up: up, local: t.TempDir()}
	r.jail, r.server = startServer(t, server.Options{})
	r.source, r.destination = filepath.Join(r.jail, "file"), filepath.Join(r.local, "file")
	if up {
		r.source, r.destination = r.destination, r.source
	}
	return r
}

// transfer moves the file through a link of its own, and returns how many bytes that has
// carried. After so many bytes, if not 0, interrupted is called.
func (r *resumption) transfer(ctx context.Context, o remote.TransferOptions, after int64, interrupted func()) (carried int64, err error) {
	r.t.Helper()
	link := startMeteredLink(r.t, r.server)
	o.ChunkSize = downloadHead // else it depends on the link
	if after > 0 {
		link.after(after, interrupted)
	}
	c := dial(r.t, remote.Options{Address: link.address})
	defer c.Close()
	if r.up {
		err = c.UploadFile(ctx, r.source, "/file", o)
	} else {
		err = c.DownloadFile(ctx, "/file", r.destination, o)
	}
	return link.carried(), err
}

// complete transfers the file without an interruption.
func (r *resumption) complete(o remote.TransferOptions) error {
	r.t.Helper()
	_, err := r.transfer(r.t.Context(), o, 0, nil)
	return err
}

// interrupt ends the context of a transfer when so many bytes have been carried, and reports
// whether it came to its end nevertheless.
func (r *resumption) interrupt(after int64, o remote.TransferOptions) (completed bool) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	_, err := r.transfer(ctx, o, after, cancel)
	if err != nil && !errors.Is(err, context.Canceled) {
		r.t.Fatalf("interrupted after %d bytes: error %v", after, err)
	}
	return err == nil
}

// part returns the path of the part that was left, or "". A process that is killed may leave
// an empty file that is to become one.
func (r *resumption) part() (path string) {
	r.t.Helper()
	err := filepath.WalkDir(filepath.Dir(r.destination), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || p == r.destination {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() == 0 {
			return err
		}
		if path != "" {
			r.t.Errorf("both %s and %s are left", path, p)
		}
		path = p
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return path
}

// there returns how many bytes of a part need not be transferred again.
func (r *resumption) there(part, content []byte) (there int64) {
	head := downloadHead
	if r.up {
		head = uploadHead
	}
	for at := head; at < min(len(part), len(content)); at += compared {
		end := min(at+compared, len(content))
		if end <= len(part) && bytes.Equal(part[at:end], content[at:end]) {
			there += int64(end - at)
		}
	}
	return there
}

// rerun transfers the file again. It must succeed, with as few bytes as there may be.
func (r *resumption) rerun(part, content []byte, o remote.TransferOptions) {
	r.t.Helper()
	there := r.there(part, content)
	var resumed, reported int64
	o.Resumed = func(bytes int64, _ string) { resumed += bytes }
	o.Progress = func(chunk []byte, remaining, size int64, _ string) bool {
		if remaining != int64(len(content))-reported || size != int64(len(content)) {
			r.t.Errorf("%d of %d bytes remain after %d of %d", remaining, size, reported, len(content))
		}
		reported += int64(len(chunk))
		return true
	}
	carried, err := r.transfer(r.t.Context(), o, 0, nil)
	if err != nil {
		r.t.Fatalf("again: %v", err)
	}
	if resumed != there || reported != int64(len(content)) {
		r.t.Errorf("%d bytes need not be transferred, want %d; %d of %d are reported", resumed, there, reported, len(content))
	}
	if most := int64(len(content)) - there; carried > most+most/50+64<<10 {
		r.t.Errorf("%d bytes were carried, for %d of %d that are to be transferred", carried, most, len(content))
	}
	if got := read(r.t, r.destination); !bytes.Equal(got, content) {
		r.t.Errorf("%d bytes have arrived, or other ones than the %d of the source", len(got), len(content))
	}
	if left := r.part(); left != "" {
		r.t.Errorf("%s is left", left)
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// randomBytes returns bytes that no compression makes fewer.
func randomBytes(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// mishap is what happens to the part or to the source before the rerun.
type mishap struct {
	name string
	do   func(random *rand.Rand, part, content []byte) (newPart, newContent []byte)
}

var mishaps = []mishap{
	{"nothing", func(_ *rand.Rand, part, content []byte) ([]byte, []byte) { return part, content }},
	{"a flipped byte", func(random *rand.Rand, part, content []byte) ([]byte, []byte) {
		if len(part) > 0 {
			part[random.IntN(len(part))] ^= 0x10
		}
		return part, content
	}},
	{"a shorter part", func(random *rand.Rand, part, content []byte) ([]byte, []byte) {
		return part[:random.IntN(len(part)+1)], content
	}},
	{"a part longer than the file", func(random *rand.Rand, part, content []byte) ([]byte, []byte) {
		return append(part, randomBytes(random, len(content)-len(part)+1+random.IntN(2<<20))...), content
	}},
	{"a whole part", func(_ *rand.Rand, _, content []byte) ([]byte, []byte) { return bytes.Clone(content), content }},
	{"another version", func(random *rand.Rand, part, content []byte) ([]byte, []byte) {
		content = bytes.Clone(content)
		at := random.IntN(len(content))
		copy(content[at:], randomBytes(random, random.IntN(1<<20)))
		return part, content
	}},
	{"a longer version", func(random *rand.Rand, part, content []byte) ([]byte, []byte) {
		return part, append(bytes.Clone(content), randomBytes(random, 1+random.IntN(1<<20))...)
	}},
	{"a shorter version", func(random *rand.Rand, part, content []byte) ([]byte, []byte) {
		return part, content[:uploadHead+1+random.IntN(len(content)-uploadHead-1)]
	}},
}

// TestInterruptedTransfersResume interrupts transfers at random and lets something happen
// before the rerun. REMOFILE_TEST_SEED repeats a run that failed.
func TestInterruptedTransfersResume(t *testing.T) {
	rounds := 2
	if fullSize() {
		rounds = 20
	}
	seed := testSeed(t)
	for way, up := range []bool{false, true} {
		for i, m := range mishaps {
			t.Run(fmt.Sprintf("up %v, %s", up, m.name), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, uint64(way*len(mishaps)+i)))
				r := newResumption(t, up)
				for range rounds {
					r.round(random, m)
				}
			})
		}
	}
}

func (r *resumption) round(random *rand.Rand, m mishap) {
	r.t.Helper()
	content := randomBytes(random, uploadHead+1+random.IntN(5<<20))
	old := []byte("the old content")
	o := remote.TransferOptions{Replace: random.IntN(2) == 0}
	os.Remove(r.destination)
	if o.Replace {
		write(r.t, r.destination, string(old))
		if err := os.Chmod(r.destination, 0o400); err != nil {
			r.t.Fatal(err)
		}
	}
	write(r.t, r.source, string(content))
	after := 1 + random.Int64N(int64(len(content)))
	completed := r.interrupt(after, o)
	now, err := os.ReadFile(r.destination)
	switch {
	case err == nil && bytes.Equal(now, content): // the interruption came too late
		return
	case completed, o.Replace && !bytes.Equal(now, old), !o.Replace && !errors.Is(err, fs.ErrNotExist):
		r.t.Fatalf("after the interrupted transfer there are %d bytes, error %v", len(now), err)
	}
	path := r.part()
	var part []byte
	if path == "" {
		r.t.Logf("no part after %d of %d bytes", after, len(content))
	} else {
		part, content = m.do(random, read(r.t, path), content)
		write(r.t, path, string(part))
	}
	write(r.t, r.source, string(content))
	r.t.Logf("%d of %d bytes, a part of %d: %d are right", after, len(content), len(part), r.there(part, content))
	r.rerun(part, content, o)
	info, err := os.Stat(r.destination)
	if err != nil {
		r.t.Fatal(err)
	}
	if o.Replace && info.Mode() != 0o400 {
		r.t.Errorf("the replaced file has got the mode %v", info.Mode())
	}
}

// TestAFileThatChangesIsNotDownloaded changes it after the first chunk, of many, has come.
func TestAFileThatChangesIsNotDownloaded(t *testing.T) {
	const size = 20 << 20 // more than may be under way
	content := strings.Repeat("0123456789abcdef", size/16)
	for name, test := range map[string]struct {
		change func(file string) error
		want   error
	}{
		"its content": {func(file string) error {
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("x"), size-1)
			return errors.Join(err, f.Close())
		}, remote.Changed},
		"shorter": {func(file string) error { return os.Truncate(file, size-1) }, remote.Changed},
		"longer":  {func(file string) error { return os.Truncate(file, size+1) }, nil},
		"replaced": {func(file string) error {
			return errors.Join(os.WriteFile(file+"2", nil, 0o666), os.Rename(file+"2", file))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newResumption(t, false)
			write(t, r.source, content)
			o := remote.TransferOptions{Progress: func(_ []byte, remaining, size int64, _ string) bool {
				if remaining == size {
					if err := test.change(r.source); err != nil {
						t.Error(err)
					}
				}
				return true
			}}
			if err := r.complete(o); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if test.want != nil {
				hasOnly(t, r.local)
				return
			}
			holds(t, r.destination, content)
			hasOnly(t, r.local, "file")
		})
	}
}

// TestTwoDownloadsDoNotShareAPart has two of one file under way.
func TestTwoDownloadsDoNotShareAPart(t *testing.T) {
	for _, replace := range []bool{false, true} {
		r := newResumption(t, false)
		content := strings.Repeat("0123456789abcdef", 4<<20/16)
		write(t, r.source, content)
		begun := false
		second := func(_ []byte, remaining, size int64, _ string) bool {
			if remaining <= size/2 && !begun {
				begun = true
				if err := r.complete(remote.TransferOptions{Replace: replace}); err != nil {
					t.Errorf("the second: %v", err)
				}
				holds(t, r.destination, content)
			}
			return true
		}
		err := r.complete(remote.TransferOptions{Replace: replace, Progress: second})
		if replace && err != nil || !replace && !errors.Is(err, fs.ErrExist) {
			t.Errorf("the first, replacing %v: %v", replace, err)
		}
		holds(t, r.destination, content)
		hasOnly(t, r.local, "file")
	}
}

// TestOfTwoUploadsTheSecondIsRefused has the same one under way twice.
func TestOfTwoUploadsTheSecondIsRefused(t *testing.T) {
	r := newResumption(t, true)
	content := strings.Repeat("0123456789abcdef", 4<<20/16)
	write(t, r.source, content)
	begun := false
	second := func(_ []byte, remaining, size int64, _ string) bool {
		if remaining <= size/2 && !begun {
			begun = true
			if err := r.complete(remote.TransferOptions{}); !errors.Is(err, remote.Busy) {
				t.Errorf("the second: error %v, want %v", err, remote.Busy)
			}
		}
		return true
	}
	if err := r.complete(remote.TransferOptions{Progress: second}); err != nil {
		t.Errorf("the first: %v", err)
	}
	holds(t, r.destination, content)
	hasOnly(t, r.jail, "file")
}

// TestACancelledTransferKeepsNothing cancels it by its Progress.
func TestACancelledTransferKeepsNothing(t *testing.T) {
	for _, up := range []bool{false, true} {
		r := newResumption(t, up)
		write(t, r.source, strings.Repeat("0123456789abcdef", 4<<20/16))
		half := func(_ []byte, remaining, size int64, _ string) bool { return remaining > size/2 }
		if err := r.complete(remote.TransferOptions{Progress: half}); !errors.Is(err, remote.Cancelled) {
			t.Errorf("up %v: error %v, want %v", up, err, remote.Cancelled)
		}
		hasOnly(t, filepath.Dir(r.destination))
	}
}

// TestTreesResume interrupts the transfer of a directory in its one file.
func TestTreesResume(t *testing.T) {
	for _, up := range []bool{false, true} {
		t.Run(fmt.Sprintf("up %v", up), func(t *testing.T) {
			jail, address := startServer(t, server.Options{})
			c := dial(t, remote.Options{Address: address})
			local := t.TempDir()
			source, destination := filepath.Join(jail, "tree"), filepath.Join(local, "tree")
			transfer := func(ctx context.Context, o remote.TreeOptions) (remote.Summary, error) {
				return c.DownloadFiles(ctx, []string{"/tree"}, local, o)
			}
			if up {
				source, destination = destination, source
				transfer = func(ctx context.Context, o remote.TreeOptions) (remote.Summary, error) {
					return c.UploadFiles(ctx, []string{source}, "/", o)
				}
			}
			run(t, "mkdir", source)
			write(t, filepath.Join(source, "file"), strings.Repeat("0123456789abcdef", 20<<20/16))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var moved int64
			o := remote.TreeOptions{Recursive: true, Conflict: remote.ConflictReplace}
			o.Observe = func(e remote.Event) {
				if moved += e.Bytes; moved >= e.Size/8*7 && e.Kind == remote.EventMoved { // what is under way may get lost
					cancel()
				}
			}
			if _, err := transfer(ctx, o); !errors.Is(err, context.Canceled) {
				t.Fatalf("interrupted: error %v", err)
			}
			o.Observe = nil
			sum, err := transfer(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if sum.Saved == 0 {
				t.Error("all has been transferred again")
			}
			run(t, "diff", "-r", source, destination)
			hasOnly(t, destination, "file")
		})
	}
}

func entriesOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestAbandonedPartsAreSwept has parts and files of other people that look like them in
// the directory of a download.
func TestAbandonedPartsAreSwept(t *testing.T) {
	r := newResumption(t, false)
	write(t, r.source, string(random(20<<20))) // more than may be under way
	abandon := func(name string) (part string) {
		known := entriesOf(t, r.local)
		r.destination = filepath.Join(r.local, name)
		if r.interrupt(3<<20, remote.TransferOptions{}) {
			t.Fatal("the download was not interrupted")
		}
		for _, e := range entriesOf(t, r.local) {
			if !slices.Contains(known, e) {
				part = e
			}
		}
		return filepath.Join(r.local, part)
	}
	long := time.Now().Add(-25 * time.Hour)
	old := func(name string) string {
		if err := os.Chtimes(name, long, long); err != nil {
			t.Fatal(err)
		}
		return filepath.Base(name)
	}
	abandoned := abandon("abandoned")
	copied := filepath.Join(r.local, ".rmf-part-00000000000000000000000000000000")
	run(t, "cp", "-a", abandoned, copied)
	foreign := filepath.Join(r.local, ".rmf-part-0123456789abcdef0123456789abcdef")
	similar := filepath.Join(r.local, ".rmf-ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	for _, name := range []string{foreign, similar} {
		write(t, name, "somebody's")
	}
	stay := []string{old(copied), old(foreign), old(similar)}
	old(abandoned)
	fresh := abandon("fresh")
	if fresh == abandoned {
		t.Fatal("two destinations have one part")
	}
	stay = append(stay, filepath.Base(fresh), "file")
	r.destination = filepath.Join(r.local, "file")
	if err := r.complete(remote.TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(stay)
	hasOnly(t, r.local, stay...)
}
