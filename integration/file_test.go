package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// plainFile is what a remote.File and an os.File have in common.
type plainFile interface {
	io.ReadWriteSeeker
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

var (
	_ plainFile     = (*remote.File)(nil)
	_ io.ReaderFrom = (*remote.File)(nil)
	_ io.WriterTo   = (*remote.File)(nil)
	_ fs.File       = (*remote.File)(nil)
)

// outcome is what an operation returned, in words that are the same for both kinds of files.
func outcome(n int64, err error, data []byte) string {
	kind := "done"
	for _, known := range []error{io.EOF, fs.ErrClosed, fs.ErrInvalid} {
		if errors.Is(err, known) {
			kind = known.Error()
			err = nil
		}
	}
	if err != nil {
		kind = "failed"
	}
	return fmt.Sprintf("%d, %s, %x", n, kind, data)
}

// step is one operation of a random history.
type step struct {
	name string
	do   func(f plainFile) string
}

// randomStep keeps the file below 100,000 bytes, but now and then reads and writes more than
// fits into a request.
func randomStep(r *rand.Rand) step {
	const space = 100_000
	offset := r.Int64N(space)
	data := make([]byte, r.IntN(2000))
	if r.IntN(20) == 0 {
		data = make([]byte, r.IntN(700_000))
	}
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	length := len(data)
	switch r.IntN(29) / 4 {
	case 0, 1:
		return step{fmt.Sprintf("Read(%d)", length), func(f plainFile) string {
			p := make([]byte, length)
			n, err := io.ReadFull(f, p) // how much one Read returns is the file's affair
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return outcome(int64(n), err, p[:n])
		}}
	case 2:
		return step{fmt.Sprintf("ReadAt(%d, %d)", length, offset), func(f plainFile) string {
			p := make([]byte, length)
			n, err := f.ReadAt(p, offset)
			return outcome(int64(n), err, p[:n])
		}}
	case 3:
		return step{fmt.Sprintf("Write(%d)", length), func(f plainFile) string {
			n, err := f.Write(data)
			return outcome(int64(n), err, nil)
		}}
	case 4:
		return step{fmt.Sprintf("WriteAt(%d, %d)", length, offset), func(f plainFile) string {
			n, err := f.WriteAt(data, offset)
			return outcome(int64(n), err, nil)
		}}
	case 5:
		whence := r.IntN(3)
		offset -= int64(whence) * space / 2
		return step{fmt.Sprintf("Seek(%d, %d)", offset, whence), func(f plainFile) string {
			n, err := f.Seek(offset, whence)
			if err != nil {
				return "failed"
			}
			return outcome(n, nil, nil)
		}}
	case 6:
		return step{fmt.Sprintf("Truncate(%d)", offset), func(f plainFile) string {
			return outcome(0, f.Truncate(offset), nil)
		}}
	default: // seldom: it takes long
		return step{"Sync", func(f plainFile) string { return outcome(0, f.Sync(), nil) }}
	}
}

// TestAFileIsLikeOneOfTheSystem does the same with a remote file and a local one, at random.
func TestAFileIsLikeOneOfTheSystem(t *testing.T) {
	c, jail := client(t)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for i, flag := range []int{os.O_RDWR | os.O_CREATE, os.O_RDWR, os.O_RDWR | os.O_APPEND, os.O_RDONLY, os.O_WRONLY | os.O_TRUNC} {
		local := filepath.Join(jail, "local")
		want, err := os.OpenFile(local, flag, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.OpenFile(t.Context(), "/remote", flag, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 200 {
			s := randomStep(r)
			if flag&os.O_APPEND != 0 && strings.HasPrefix(s.name, "WriteAt") {
				continue // both refuse it
			}
			if flag == os.O_RDONLY && strings.HasPrefix(s.name, "WriteAt(0,") {
				continue // package os does not ask the system for nothing
			}
			if g, w := s.do(got), s.do(want); g != w {
				t.Fatalf("seed %d, flags %#x, step %d, %s: %.100s, want %.100s", seed, flag, n, s.name, g, w)
			}
		}
		s := func(f plainFile) string { return outcome(0, f.Close(), nil) }
		if g, w := s(got), s(want); g != w {
			t.Fatalf("seed %d, flags %#x, Close: %s, want %s", seed, flag, g, w)
		}
		a, errA := os.ReadFile(local)
		b, errB := os.ReadFile(filepath.Join(jail, "remote"))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Fatalf("seed %d, round %d: the files of %d and %d bytes are not the same; errors %v, %v", seed, i, len(a), len(b), errA, errB)
		}
	}
}

func TestAFileIsAReader(t *testing.T) {
	c, jail := client(t)
	content := "each byte is read on its own"
	write(t, filepath.Join(jail, "f"), content)
	f, err := c.Open(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := iotest.TestReader(f, []byte(content)); err != nil {
		t.Error(err)
	}
}

// TestFilesAreCopied copies one that takes many requests.
func TestFilesAreCopied(t *testing.T) {
	c, jail := client(t)
	content := make([]byte, 20<<20+1)
	rand.NewChaCha8([32]byte{}).Read(content)
	write(t, filepath.Join(jail, "f"), string(content))
	f, err := c.Open(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(5, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	var copied bytes.Buffer
	if n, err := f.WriteTo(&copied); err != nil || n != int64(len(content)-5) || !bytes.Equal(copied.Bytes(), content[5:]) {
		t.Errorf("WriteTo: %d bytes, error %v", n, err)
	}
	to, err := c.Create(t.Context(), "/to")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := to.ReadFrom(bytes.NewReader(content)); err != nil || n != int64(len(content)) {
		t.Errorf("ReadFrom: %d bytes, error %v", n, err)
	}
	if err := to.Close(); err != nil {
		t.Error(err)
	}
	holds(t, filepath.Join(jail, "to"), string(content))
}

// TestAReaderSeesWhatIsAppended follows a file that grows, as tail -f does.
func TestAReaderSeesWhatIsAppended(t *testing.T) {
	c, jail := client(t)
	log, err := c.OpenFile(t.Context(), "/log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	follower, err := c.Open(t.Context(), "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	if got, err := io.ReadAll(follower); err != nil || len(got) != 0 {
		t.Fatalf("read %q, error %v", got, err)
	}
	for i := range 20 {
		line := fmt.Sprintf("line %d\n", i)
		if _, err := io.WriteString(log, line); err != nil {
			t.Fatal(err)
		}
		if err := log.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(follower)
		if err != nil || string(got) != line {
			t.Fatalf("read %q, error %v, want %q", got, err, line)
		}
	}
	info, err := os.Stat(filepath.Join(jail, "log"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
}

// TestAppendsAreNotTornApart has several files append to the same.
func TestAppendsAreNotTornApart(t *testing.T) {
	c, jail := client(t)
	const writers, lines, length = 4, 50, 3000
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			f, err := c.OpenFile(t.Context(), "/log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
			if err != nil {
				t.Error(err)
				return
			}
			for range lines {
				line := bytes.Repeat([]byte{byte('a' + i)}, length)
				if _, err := f.Write(line); err != nil {
					t.Error(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	content, err := os.ReadFile(filepath.Join(jail, "log"))
	if err != nil || len(content) != writers*lines*length {
		t.Fatalf("%d bytes, error %v", len(content), err)
	}
	for line := range slices.Chunk(content, length) {
		if bytes.Count(line, line[:1]) != length {
			t.Fatal("a line is torn apart")
		}
	}
}

// TestAFailedWriteStaysFailed reaches the limit on a file, behind which nothing may succeed.
func TestAFailedWriteStaysFailed(t *testing.T) {
	_, address := startServer(t, server.Options{FileSizeLimit: 1 << 20})
	c := dial(t, remote.Options{Address: address})
	f, err := c.Create(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("too much")); err != nil {
		t.Fatalf("it was waited for: %v", err)
	}
	for range 2 {
		if err := f.Sync(); !errors.Is(err, remote.TooLarge) {
			t.Errorf("Sync: error %v, want %v", err, remote.TooLarge)
		}
	}
	if err := f.Flush(t.Context()); !errors.Is(err, remote.TooLarge) {
		t.Errorf("Flush: error %v, want %v", err, remote.TooLarge)
	}
	if _, err := f.WriteAt([]byte("fits"), 0); !errors.Is(err, remote.TooLarge) {
		t.Errorf("WriteAt: error %v, want %v", err, remote.TooLarge)
	}
	if n, err := f.ReadAt(make([]byte, 8), 0); n != 8 || err != nil {
		t.Errorf("ReadAt: %d bytes, error %v", n, err)
	}
	if err := f.Close(); !errors.Is(err, remote.TooLarge) {
		t.Errorf("Close: error %v, want %v", err, remote.TooLarge)
	}
}

func TestWhatFilesRefuse(t *testing.T) {
	c, jail := client(t)
	ctx := t.Context()
	write(t, filepath.Join(jail, "f"), "content")
	run(t, "mkdir", filepath.Join(jail, "d"))
	run(t, "ln", "-s", "f", filepath.Join(jail, "link"))
	for _, test := range []struct {
		path string
		flag int
		want error
	}{
		{"f", os.O_RDONLY, fs.ErrInvalid},
		{"/missing", os.O_RDONLY, fs.ErrNotExist},
		{"/d", os.O_RDONLY, remote.NotAFile},
		{"/", os.O_RDONLY, remote.NotAFile},
		{"/f", os.O_RDWR | os.O_CREATE | os.O_EXCL, fs.ErrExist},
		{"/f", os.O_RDONLY | os.O_TRUNC, fs.ErrInvalid},
		{"/f", os.O_WRONLY | os.O_RDWR, fs.ErrInvalid},
		{"/f", os.O_RDWR | syscall.O_DIRECT, errors.ErrUnsupported},
		{"/link", os.O_RDONLY | syscall.O_NOFOLLOW, remote.NotAFile},
		{"/link", os.O_RDONLY, nil},
	} {
		f, err := c.OpenFile(ctx, test.path, test.flag, 0o666)
		if !errors.Is(err, test.want) {
			t.Errorf("opening %s with %#x: error %v, want %v", test.path, test.flag, err, test.want)
		}
		if err == nil {
			f.Close()
		}
	}

	f, err := c.Open(ctx, "/f")
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1)
	refuses := func(name string, want error, _ any, err error) {
		t.Helper()
		var e *remote.Error
		if !errors.Is(err, want) || !errors.As(err, &e) || e.Path != "/f" || e.Op == "" {
			t.Errorf("%s: error %v, want %v of /f", name, err, want)
		}
	}
	try := func(name string, want error, do func() (any, error)) {
		t.Helper()
		result, err := do()
		refuses(name, want, result, err)
	}
	try("ReadAt(-1)", fs.ErrInvalid, func() (any, error) { return f.ReadAt(p, -1) })
	try("ReadAt beyond 2^63", fs.ErrInvalid, func() (any, error) { return f.ReadAt(p, math.MaxInt64) })
	try("Seek(-1)", fs.ErrInvalid, func() (any, error) { return f.Seek(-1, io.SeekStart) })
	try("Seek(whence 3)", fs.ErrInvalid, func() (any, error) { return f.Seek(0, 3) })
	try("Truncate(-1)", fs.ErrInvalid, func() (any, error) { return nil, f.Truncate(-1) })
	try("Write", remote.BadHandle, func() (any, error) { return f.Write(p) })
	try("Truncate", remote.BadHandle, func() (any, error) { return nil, f.Truncate(1) })
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	try("Read when closed", fs.ErrClosed, func() (any, error) { return f.Read(p) })
	try("ReadAt when closed", fs.ErrClosed, func() (any, error) { return f.ReadAt(p, 0) })
	try("Write when closed", fs.ErrClosed, func() (any, error) { return f.Write(p) })
	try("Seek when closed", fs.ErrClosed, func() (any, error) { return f.Seek(0, io.SeekStart) })
	try("Stat when closed", fs.ErrClosed, func() (any, error) { return f.Stat() })
	try("Sync when closed", fs.ErrClosed, func() (any, error) { return nil, f.Sync() })
	try("Close when closed", fs.ErrClosed, func() (any, error) { return nil, f.Close() })
}
