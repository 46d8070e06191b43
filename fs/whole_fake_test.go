package fs

import (
	"context"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

// fakeJail is a jail in memory, for what a real server does too seldom.
type fakeJail struct {
	foreign bool
	// hook, if not nil, is called before each operation and can delay it or
	// make it fail. Constant while operations are under way.
	hook func(op, path string) error

	mu sync.Mutex
	// Guarded by mu.
	files map[string]string // content by path
	calls []string          // "operation path"
}

func (j *fakeJail) begin(ctx context.Context, op, p string) error {
	j.mu.Lock()
	j.calls = append(j.calls, op+" "+p)
	j.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.hook != nil {
		return j.hook(op, p)
	}
	return nil
}

// called returns how often an operation was called on a path.
func (j *fakeJail) called(op, p string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, call := range j.calls {
		if call == op+" "+p {
			n++
		}
	}
	return n
}

// content returns the content of a file, and whether there is one.
func (j *fakeJail) content(p string) (string, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	text, found := j.files[p]
	return text, found
}

func (j *fakeJail) set(p, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.files[p] = text
}

func fail(op, p string, code remote.Code) error {
	return &remote.Error{Op: op, Path: p, Code: code}
}

func (j *fakeJail) Foreign() bool { return j.foreign }

// ValidName is that of Remofile 1.
func (j *fakeJail) ValidName(name string) bool { return !strings.ContainsAny(name, `<>:"/\|?*`) }

func (j *fakeJail) List(ctx context.Context, dir string) ([]remote.Entry, error) {
	if err := j.begin(ctx, "list", dir); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var entries []remote.Entry
	for p, text := range j.files {
		if path.Dir(p) == dir {
			entries = append(entries, file(path.Base(p), int64(len(text))))
		}
	}
	return entries, nil
}

func (j *fakeJail) Stat(ctx context.Context, p string) (remote.Entry, error) {
	if err := j.begin(ctx, "stat", p); err != nil {
		return remote.Entry{}, err
	}
	text, found := j.content(p)
	if !found {
		return remote.Entry{}, fail("stat", p, remote.NotFound)
	}
	return file(path.Base(p), int64(len(text))), nil
}

func (j *fakeJail) MakeDirectory(ctx context.Context, p string) error {
	return j.begin(ctx, "mkdir", p)
}

func (j *fakeJail) Remove(ctx context.Context, p string) error {
	if err := j.begin(ctx, "remove", p); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, found := j.files[p]; !found {
		return fail("remove", p, remote.NotFound)
	}
	delete(j.files, p)
	return nil
}

func (j *fakeJail) Upload(ctx context.Context, p string, r io.Reader, size int64, o remote.TransferOptions) error {
	if err := j.begin(ctx, "upload", p); err != nil {
		return err
	}
	if o.Replace && j.foreign {
		return fail("upload", p, remote.Unsupported)
	}
	text, err := io.ReadAll(r)
	if err != nil || int64(len(text)) != size {
		return fail("upload", p, remote.Changed)
	}
	if _, found := j.content(p); found && !o.Replace {
		return fail("upload", p, remote.Exists)
	}
	j.set(p, string(text))
	return nil
}

func (j *fakeJail) Download(ctx context.Context, p string, w io.Writer, _ remote.TransferOptions) (int64, error) {
	if err := j.begin(ctx, "download", p); err != nil {
		return 0, err
	}
	text, found := j.content(p)
	if !found {
		return 0, fail("download", p, remote.NotFound)
	}
	n, err := io.WriteString(w, text)
	return int64(n), err
}

// fakeMount is a tree over a fakeJail that no kernel asks: the test calls the
// operations of its root.
type fakeMount struct {
	*wholeNode
	t    *testing.T
	jail *fakeJail
}

func newFakeMount(t *testing.T, j *fakeJail) *fakeMount {
	t.Helper()
	if j.files == nil {
		j.files = make(map[string]string)
	}
	o := Options{TempDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	s, err := o.shown()
	if err != nil {
		t.Fatal(err)
	}
	root, err := newWholeTree(j, "/", s, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.end)
	gofs.NewNodeFS(root, &gofs.Options{})
	return &fakeMount{wholeNode: root, t: t, jail: j}
}

// create makes a file as the kernel and go-fuse do.
func (m *fakeMount) create(name string, flags uint32) *wholeHandle {
	m.t.Helper()
	inode, f, _, errno := m.Create(m.t.Context(), name, flags|syscall.O_CREAT|syscall.O_WRONLY, 0o666, new(fuse.EntryOut))
	if errno != 0 {
		m.t.Fatalf("create %s: %v", name, errno)
	}
	m.AddChild(name, inode, true)
	return f.(*wholeHandle)
}

// lookup returns the node of a name.
func (m *fakeMount) lookup(name string) (*wholeNode, syscall.Errno) {
	inode, errno := m.Lookup(m.t.Context(), name, new(fuse.EntryOut))
	if errno != 0 {
		return nil, errno
	}
	return inode.Operations().(*wholeNode), 0
}

// open opens an existing file.
func (m *fakeMount) open(name string, flags uint32) *wholeHandle {
	m.t.Helper()
	n, errno := m.lookup(name)
	if errno != 0 {
		m.t.Fatalf("look up %s: %v", name, errno)
	}
	f, _, errno := n.Open(m.t.Context(), flags)
	if errno != 0 {
		m.t.Fatalf("open %s: %v", name, errno)
	}
	return f.(*wholeHandle)
}

// write writes text at the end.
func (m *fakeMount) write(h *wholeHandle, text string) {
	m.t.Helper()
	if _, errno := h.Write(m.t.Context(), []byte(text), atEnd); errno != 0 {
		m.t.Errorf("write: %v", errno)
	}
}

// read returns all that a handle reads.
func (m *fakeMount) read(h *wholeHandle) string {
	m.t.Helper()
	buf := make([]byte, 1000)
	result, errno := h.Read(m.t.Context(), buf, 0)
	if errno != 0 {
		m.t.Errorf("read: %v", errno)
		return ""
	}
	text, _ := result.Bytes(buf)
	return string(text)
}

// flush closes a descriptor of the handle.
func (m *fakeMount) flush(h *wholeHandle, want syscall.Errno) {
	m.t.Helper()
	if errno := h.Flush(m.t.Context()); errno != want {
		m.t.Errorf("flush: %v, want %v", errno, want)
	}
}

// close closes the only descriptor of the handle.
func (m *fakeMount) close(h *wholeHandle, want syscall.Errno) {
	m.t.Helper()
	m.flush(h, want)
	h.Release(m.t.Context())
}

// wantServer checks the content of a file on the server.
func (m *fakeMount) wantServer(name, want string) {
	m.t.Helper()
	if got, found := m.jail.content("/" + name); !found || got != want {
		m.t.Errorf("the server has %q (%v) in %s, want %q", got, found, name, want)
	}
}

func (m *fakeMount) wantNotOnServer(name string) {
	m.t.Helper()
	if got, found := m.jail.content("/" + name); found {
		m.t.Errorf("the server has %s with %q, want none", name, got)
	}
}

// list returns the names that the directory shows.
func (m *fakeMount) list() []string {
	m.t.Helper()
	stream, errno := m.Readdir(m.t.Context())
	if errno != 0 {
		m.t.Fatal(errno)
	}
	var names []string
	for stream.HasNext() {
		e, _ := stream.Next()
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return names[2:] // without . and ..
}

// block makes an operation on the jail wait until the test ends it.
type block struct {
	op      string
	reached chan struct{}
	end     chan error // what the operation returns
}

func newBlock(op string) *block {
	return &block{op: op, reached: make(chan struct{}), end: make(chan error)}
}

func (b *block) hook(op, _ string) error {
	if op != b.op {
		return nil
	}
	close(b.reached)
	return <-b.end
}
