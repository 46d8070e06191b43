package fs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/fs"
	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// A test that mounts runs in three processes, which are all this binary: the
// test, which uses the mount as any program does; the daemon, because a process
// that holds files of its own mount can block itself for ever (go-fuse, package
// fs); and the server, so that a test can kill it.
const (
	roleVariable = "RMF_TEST_ROLE"
	token        = "a token for tests"
	// patience bounds what should take milliseconds.
	patience = 30 * time.Second
)

// role is what a child process is to do, as JSON in roleVariable. Serve or Mount
// is set.
type role struct {
	Serve *serverRole
	Mount *mountRole
}

type serverRole struct {
	Jail    string
	Address string
	Limit   int64  // of the size of a file
	Refuses bool   // it is read-only
	Standby bool   // it listens when there is something on standard input
	Watches int    // that the system has for it; 0 is as many as it has
	Log     string // the file that gets a line for each request, if any
}

type mountRole struct {
	Address    string
	Directory  string
	Mountpoint string
	ReadOnly   bool
	CacheTime  time.Duration
	Timeout    time.Duration
	TempDir    string
	Protocol   int  // 1: the server is taken for one that speaks no other; else what both know
	Watched    bool // it has a watcher
	SaveAtEnd  bool // at the end, files in use are saved, and not waited for
	UID, GID   *uint32
	Umask      *uint32
}

// watchArgument makes this binary the watcher of a mount.
const watchArgument = "watch"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == watchArgument {
		if err := fs.Watch(os.Stdin); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if text, isChild := os.LookupEnv(roleVariable); isChild {
		if err := runRole(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runRole(text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	if r.Serve != nil {
		return r.Serve.run()
	}
	return r.Mount.run()
}

// run serves until standard input ends.
func (r *serverRole) run() error {
	if r.Watches > 0 { // in a user namespace of its own
		if err := os.WriteFile("/proc/sys/user/max_inotify_watches", fmt.Append(nil, r.Watches), 0); err != nil {
			return err
		}
	}
	o := server.Options{Jail: r.Jail, Token: token, FileSizeLimit: r.Limit, ReadOnly: r.Refuses, MaxChunkSize: 1 << 20}
	if r.Log != "" {
		f, err := os.Create(r.Log)
		if err != nil {
			return err
		}
		defer f.Close()
		o.Logger = slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s, err := server.New(o)
	if err != nil {
		return err
	}
	if r.Standby {
		fmt.Println("ready")
		if n, err := os.Stdin.Read(make([]byte, 1)); n == 0 {
			return err
		}
	}
	l, err := net.Listen("tcp", r.Address)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go s.Serve(l)
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, s.Close())
}

// run mounts until standard input ends.
func (r *mountRole) run() error {
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	o := remote.Options{Address: r.Address, Token: token, Timeout: r.Timeout, FailFast: true}
	if r.Protocol == 1 {
		o.ChunkSize, o.Plain, o.Dial = 1<<20, true, dialOlder
	}
	client, err := remote.Dial(ctx, o)
	if err != nil {
		return err
	}
	defer client.Close()
	mo := fs.Options{
		ReadOnly:      r.ReadOnly,
		CacheTime:     r.CacheTime,
		TempDir:       r.TempDir,
		UID:           r.UID,
		GID:           r.GID,
		Umask:         r.Umask,
		SetProcessors: true,
		Logger:        log,
	}
	if r.Watched {
		mo.Watcher = exec.Command(os.Args[0], watchArgument)
	}
	m, err := fs.Mount(ctx, client, r.Directory, r.Mountpoint, mo)
	if err != nil {
		return err
	}
	fmt.Println("mounted")
	go func() { // ends with the process
		io.Copy(io.Discard, os.Stdin)
		inUse, err := m.Unmount()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		if inUse && r.SaveAtEnd {
			m.Save(ctx)
			os.Exit(0)
		}
	}()
	m.Wait()
	return nil
}

// mounted is a jail that is served and mounted.
type mounted struct {
	t       *testing.T
	jail    string // on the server's side
	path    string // where it is mounted
	address string
	server  *child
	daemon  *child
}

// newMount serves a new jail and mounts it as r says; what r leaves out is filled
// in.
func newMount(t *testing.T, r mountRole) *mounted {
	t.Helper()
	return newLimitedMount(t, r, 0)
}

func newLimitedMount(t *testing.T, r mountRole, limit int64) *mounted {
	t.Helper()
	needFUSE(t)
	m := &mounted{t: t, jail: t.TempDir(), path: t.TempDir()}
	m.serve(serverRole{Address: "127.0.0.1:0", Limit: limit})
	r.Address = m.address
	m.mount(r)
	return m
}

// newMountOver is newMount where the daemon connects to the address that via returns for the server's.
func newMountOver(t *testing.T, r mountRole, via func(server string) string) *mounted {
	t.Helper()
	m := &mounted{t: t, jail: t.TempDir(), path: t.TempDir()}
	m.serve(serverRole{Address: "127.0.0.1:0"})
	r.Address = via(m.address)
	m.mount(r)
	return m
}

// mount mounts what is served.
func (m *mounted) mount(r mountRole) {
	t := m.t
	t.Helper()
	if r.Mountpoint == "" {
		r.Mountpoint = m.path
	}
	m.path = r.Mountpoint
	if r.Directory == "" {
		r.Directory = "/"
	}
	// Not even a test that fails leaves a mount behind. A second umount finds
	// nothing, which is no error here.
	t.Cleanup(func() { unix.Unmount(m.path, unix.MNT_DETACH) })
	var err error
	m.daemon, _, err = start(t, role{Mount: &r})
	if err != nil {
		t.Fatal(err)
	}
}

// second mounts what is served once more, and returns where.
func (m *mounted) second(r mountRole) string {
	m.t.Helper()
	r.Address, r.Directory, r.Mountpoint = m.address, "/", m.t.TempDir()
	m.t.Cleanup(func() { unix.Unmount(r.Mountpoint, unix.MNT_DETACH) })
	if _, _, err := start(m.t, role{Mount: &r}); err != nil {
		m.t.Fatal(err)
	}
	return r.Mountpoint
}

// serve starts the server.
func (m *mounted) serve(r serverRole) {
	m.t.Helper()
	r.Jail = m.jail
	var err error
	m.server, m.address, err = start(m.t, role{Serve: &r})
	if err != nil {
		m.t.Fatal(err)
	}
}

// serveAgain starts the server anew at the address that it had.
func (m *mounted) serveAgain() {
	m.t.Helper()
	m.serve(serverRole{Address: m.address})
}

// standBy starts a server that begins to listen at the address of the present one when the function that
// is returned is called, which starts no process: that closes the descriptors of this one, and would
// wait for the server where they are files of the mount.
func (m *mounted) standBy() (begin func()) {
	m.t.Helper()
	c, _, err := start(m.t, role{Serve: &serverRole{Jail: m.jail, Address: m.address, Standby: true}})
	if err != nil {
		m.t.Fatal(err)
	}
	return func() {
		if _, err := c.stdin.Write([]byte{'\n'}); err != nil {
			m.t.Fatal(err)
		}
	}
}

// needFUSE skips the test where nothing can be mounted, but fails under CI.
func needFUSE(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		f.Close()
		if os.Geteuid() != 0 {
			_, err = exec.LookPath("fusermount3")
		}
	}
	if err != nil {
		lacking(t, fmt.Sprintf("nothing can be mounted: %v", err))
	}
}

// lacking skips the test for want of something, but fails under CI.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// in returns the path of a name in the mount.
func (m *mounted) in(name ...string) string {
	return filepath.Join(append([]string{m.path}, name...)...)
}

// at returns the path of a name in the jail.
func (m *mounted) at(name ...string) string {
	return filepath.Join(append([]string{m.jail}, name...)...)
}

// put writes a file on the server's side, as another client would: under another
// name first.
func (m *mounted) put(name, content string) {
	m.t.Helper()
	temporary := m.at(".put")
	if err := os.WriteFile(temporary, []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(temporary, m.at(name)); err != nil {
		m.t.Fatal(err)
	}
}

// want checks the content of a file, on either side.
func want(t *testing.T, path, content string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v, want %.40q", err, content)
	} else if string(got) != content {
		t.Errorf("%s has %.40q (%d bytes), want %.40q (%d bytes)", path, got, len(got), content, len(content))
	}
}

// wantNone checks that there is no such file.
func wantNone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v, want that it does not exist", path, err)
	}
}

// wantError checks an error.
func wantError(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

// unmount unmounts as rmf umount does.
func unmount(t *testing.T, path string) {
	t.Helper()
	if inUse, err := fs.Unmount(path); err != nil || inUse {
		t.Errorf("unmount: in use %v, error %v", inUse, err)
	}
}

// wantUnmountError checks the error of an unmount.
func wantUnmountError(t *testing.T, path string, target error) {
	t.Helper()
	_, err := fs.Unmount(path)
	wantError(t, "unmount of "+path, err, target)
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// shell runs a script with the mount as $M and the jail as $J and returns its
// output.
func (m *mounted) shell(script string) string {
	m.t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Env = append(os.Environ(), "M="+m.path, "J="+m.jail, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Errorf("%v: %s\n%s", err, script, out)
	}
	return string(out)
}
