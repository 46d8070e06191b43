package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// storage is a file system with faults under a jail: a directory that is mounted somewhere
// else by a process of its own (one that uses its own mount can block itself). It does
// what lines on its standard input say, and answers each with a line:
//
//	fail CALL SKIP ERRNO   the call fails once, after SKIP that succeed
//	hang CALL              the next one does not return
//	met                    whether a call has failed or hangs since then
//	release                what hangs goes on, and nothing fails any longer
type storage struct {
	t       *testing.T
	backing string // the directory
	jail    string // where it is mounted
	stdin   io.WriteCloser
	stdout  *bufio.Reader
}

// storageVariable makes the test binary the process of a storage: of a directory and, after
// a newline, its mountpoint.
const storageVariable = "REMOFILE_TEST_STORAGE"

// mountStorage mounts a new storage until the end of the test, which is skipped where that
// is not permitted, unless with CI=true.
func mountStorage(t *testing.T) *storage {
	t.Helper()
	s := &storage{t: t, backing: t.TempDir(), jail: t.TempDir()}
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), storageVariable+"="+s.backing+"\n"+s.jail)
	process.Stderr = os.Stderr
	var err error
	if s.stdin, err = process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdout = bufio.NewReader(stdout)
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.stdin.Close()
		if err := process.Wait(); err != nil && !t.Skipped() {
			t.Errorf("the storage: %v", err)
		}
	})
	if answer := s.answer(); answer != "mounted" {
		if os.Getenv("CI") == "true" {
			t.Fatal(answer)
		}
		t.Skipf("skipped: %s", answer)
	}
	return s
}

func (s *storage) answer() string {
	line, err := s.stdout.ReadString('\n')
	if err != nil {
		s.t.Fatalf("the storage has ended: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (s *storage) tell(format string, args ...any) {
	s.t.Helper()
	fmt.Fprintf(s.stdin, format+"\n", args...) // where that fails, there is no answer
	if answer := s.answer(); answer != "ok" {
		s.t.Fatalf("the storage answers %q to %q", answer, fmt.Sprintf(format, args...))
	}
}

func (s *storage) fail(call string, skip int, errno syscall.Errno) {
	s.t.Helper()
	s.tell("fail %s %d %d", call, skip, errno)
}

func (s *storage) hang(call string) { s.t.Helper(); s.tell("hang %s", call) }

// met reports whether a call has failed or hangs.
func (s *storage) met() bool {
	s.t.Helper()
	io.WriteString(s.stdin, "met\n") // where that fails, there is no answer
	return s.answer() == "ok"
}

func (s *storage) release() { s.t.Helper(); s.tell("release") }

// faultyStorage is the file system: one of go-fuse whose calls meet faults before they do
// anything.
type faultyStorage struct {
	fuse.RawFileSystem

	mu     sync.Mutex // guards what follows
	faults []*fault
	met    bool // a fault since the last command
}

// fault is what a call meets.
type fault struct {
	call     string
	skip     int
	errno    syscall.Errno // 0: it hangs
	released chan struct{} // closed when it may go on
}

// storageProcess is the process of a storage. It returns when its input ends.
func storageProcess(dir, mountpoint string) error {
	root, err := gofs.NewLoopbackRoot(dir)
	if err != nil {
		return err
	}
	f := &faultyStorage{RawFileSystem: gofs.NewNodeFS(root, &gofs.Options{})}
	server, err := fuse.NewServer(f, mountpoint, &fuse.MountOptions{
		Name: "faulty", DirectMount: true, DisabledCapabilities: fuse.CAP_PASSTHROUGH,
	})
	if err != nil {
		fmt.Println("can't mount:", err)
		return nil
	}
	go server.Serve() // until Unmount
	if err := server.WaitMount(); err != nil {
		return err
	}
	fmt.Println("mounted")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(f.obey(lines.Text()))
	}
	f.obey("release")
	return server.Unmount()
}

func (f *faultyStorage) obey(line string) (answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := &fault{released: make(chan struct{})}
	word, rest, _ := strings.Cut(line, " ")
	var err error
	switch word {
	case "fail":
		_, err = fmt.Sscan(rest, &next.call, &next.skip, &next.errno)
	case "hang":
		next.call = rest
	case "met":
		if !f.met {
			return "no"
		}
		return "ok"
	case "release":
		for _, fault := range f.faults {
			close(fault.released)
		}
		f.faults = nil
		return "ok"
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		return err.Error()
	}
	f.faults = append(f.faults, next)
	f.met = false
	return "ok"
}

// meet returns what a call fails with.
func (f *faultyStorage) meet(call string) fuse.Status {
	fault := f.next(call)
	if fault == nil {
		return fuse.OK
	}
	if fault.errno == 0 {
		<-fault.released
	}
	return fuse.Status(fault.errno)
}

// next returns the fault that a call meets, or nil. One that fails meets no second call.
func (f *faultyStorage) next(call string) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, fault := range f.faults {
		switch {
		case fault.call != call:
			continue
		case fault.skip > 0:
			fault.skip--
			return nil
		case fault.errno != 0:
			f.faults = append(f.faults[:i:i], f.faults[i+1:]...)
		case fault.skip < 0:
			return nil // it has met one
		default:
			fault.skip = -1
		}
		f.met = true
		return fault
	}
	return nil
}

// The calls that can fail.

func (f *faultyStorage) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if s := f.meet("mkdir"); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Mkdir(cancel, in, name, out)
}

func (f *faultyStorage) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if s := f.meet("create"); !s.Ok() {
		return s
	}
	s := f.RawFileSystem.Create(cancel, in, name, out)
	out.OpenFlags |= fuse.FOPEN_DIRECT_IO // the kernel's pages meet no faults
	return s
}

func (f *faultyStorage) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if s := f.meet("open"); !s.Ok() {
		return s
	}
	s := f.RawFileSystem.Open(cancel, in, out)
	out.OpenFlags |= fuse.FOPEN_DIRECT_IO
	return s
}

func (f *faultyStorage) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if s := f.meet("read"); !s.Ok() {
		return nil, s
	}
	return f.RawFileSystem.Read(cancel, in, buf)
}

func (f *faultyStorage) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if s := f.meet("write"); !s.Ok() {
		return 0, s
	}
	return f.RawFileSystem.Write(cancel, in, data)
}

func (f *faultyStorage) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	if s := f.meet("write"); !s.Ok() {
		return 0, s
	}
	return f.RawFileSystem.Writev(cancel, in, data)
}

func (f *faultyStorage) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if s := f.meet("setattr"); !s.Ok() {
		return s
	}
	return f.RawFileSystem.SetAttr(cancel, in, out)
}

func (f *faultyStorage) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	if s := f.meet("fallocate"); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Fallocate(cancel, in)
}

func (f *faultyStorage) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	if s := f.meet("flush"); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Flush(cancel, in)
}

func (f *faultyStorage) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if s := f.meet("fsync"); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Fsync(cancel, in)
}

func (f *faultyStorage) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if s := f.meet("fsyncdir"); !s.Ok() {
		return s
	}
	return f.RawFileSystem.FsyncDir(cancel, in)
}

func (f *faultyStorage) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	if s := f.meet("rename"); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Rename(cancel, in, from, to)
}

func (f *faultyStorage) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if s := f.meet("link"); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Link(cancel, in, name, out)
}

func (f *faultyStorage) Symlink(cancel <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	if s := f.meet("symlink"); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Symlink(cancel, in, target, name, out)
}

func (f *faultyStorage) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if s := f.meet("unlink"); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Unlink(cancel, in, name)
}

func (f *faultyStorage) Rmdir(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if s := f.meet("rmdir"); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Rmdir(cancel, in, name)
}

// holds fails the test unless the jail, seen from below, has one file of that content, or
// none for "", and nothing else.
func (s *storage) holds(name, content string) {
	s.t.Helper()
	requireNoStaging(s.t, s.backing)
	entries, err := os.ReadDir(s.backing)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(entries) > 1 || len(entries) == 1 != (content != "") {
		s.t.Errorf("the jail holds %v", entries)
	}
	got, err := os.ReadFile(filepath.Join(s.backing, name))
	if string(got) != content || (err == nil) != (content != "") {
		s.t.Errorf("%s holds %.20q, error %v, want %.20q", name, got, err, content)
	}
}
