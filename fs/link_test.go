package fs_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/fs"
)

// silence is after what a server is gone: long for one that is only busy.
const silence = 2 * time.Second

// link is what lies between a mount and its server: a port that forwards connections until it is cut.
type link struct {
	listener net.Listener
	server   string

	mu      sync.Mutex // guards what follows
	isCut   bool
	conns   []net.Conn
	running sync.WaitGroup
}

// newLinkedMount is newMount over a link.
func newLinkedMount(t *testing.T, r mountRole) (*mounted, *link) {
	t.Helper()
	needFUSE(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{listener: l}
	m := newMountOver(t, r, func(server string) string {
		k.server = server
		go k.accept() // ends with the listener
		return l.Addr().String()
	})
	t.Cleanup(func() {
		l.Close()
		k.cut()
		k.running.Wait()
	})
	return m, k
}

func (k *link) accept() {
	for {
		nc, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.forward(nc)
	}
}

// forward connects a client with the server, unless the link is cut.
func (k *link) forward(client net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.isCut {
		client.Close()
		return
	}
	server, err := net.Dial("tcp", k.server)
	if err != nil {
		client.Close()
		return
	}
	k.conns = append(k.conns, client, server)
	pipe := func(to, from net.Conn) {
		io.Copy(to, from)
		to.Close()
		from.Close()
	}
	k.running.Go(func() { pipe(server, client) })
	k.running.Go(func() { pipe(client, server) })
}

// cut ends all connections, and refuses others.
func (k *link) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.isCut = true
	for _, nc := range k.conns {
		nc.Close()
	}
	k.conns = nil
}

func (k *link) mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.isCut = false
}

// ways are those in which a server can be gone.
var ways = map[string]func(*mounted, *link){
	"link cut":      func(_ *mounted, k *link) { k.cut() },
	"server frozen": func(m *mounted, _ *link) { m.signalServer(syscall.SIGSTOP) },
	"server killed": func(m *mounted, _ *link) { m.server.kill() },
}

// signalServer sends a signal to the server; after SIGSTOP none of its threads runs any more.
func (m *mounted) signalServer(s syscall.Signal) {
	m.t.Helper()
	if err := m.server.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
	if s == syscall.SIGSTOP {
		eventually(m.t, "the server is frozen", func() bool { return m.server.isFrozen() })
	}
}

func (c *child) isFrozen() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err == nil && stateIn(text) != 'T' { // the thread may have ended
			return false
		}
	}
	return true
}

// whileGone runs a test for each way in which a server can be gone, after prepare, side by side. So it must
// not hold files of its mount: whatever process is started closes its copies of them, and that flushes.
func whileGone(t *testing.T, prepare, test func(t *testing.T, m *mounted)) {
	for name, gone := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, k := newLinkedMount(t, mountRole{Timeout: silence, CacheTime: -1})
			prepare(t, m)
			gone(m, k)
			t.Cleanup(func() { m.server.cmd.Process.Signal(syscall.SIGCONT) }) // it may have been killed
			test(t, m)
		})
	}
}

func TestListingAnswersWhileServerIsGone(t *testing.T) {
	t.Parallel()
	prepare := func(t *testing.T, m *mounted) {
		m.shell(`mkdir $J/d; echo text > $J/d/f; ln -s f $J/d/l; ls -l $M $M/d; stat -f $M`)
	}
	whileGone(t, prepare, func(t *testing.T, m *mounted) {
		if got := m.shell(`ls $M; ls $M/d; readlink $M/d/l; stat -c %s $M/d/f; stat -c %i $M; stat -f $M > /dev/null`); got != "d\nf\nl\nf\n5\n1\n" {
			t.Errorf("they show %q", got)
		}
		_, err := os.Lstat(m.in("d/none"))
		wantError(t, "a name that is not known", err, syscall.EHOSTDOWN)
		_, err = os.ReadFile(m.in("d/f"))
		wantError(t, "open", err, syscall.EHOSTDOWN)
		wantError(t, "mkdir", os.Mkdir(m.in("d/new"), 0o777), syscall.EHOSTDOWN)
	})
}

// TestCallsFailAtOnceWhileServerIsGone: the first one waits for the timeout, for all.
func TestCallsFailAtOnceWhileServerIsGone(t *testing.T) {
	t.Parallel()
	m, k := newLinkedMount(t, mountRole{Timeout: silence})
	k.cut()
	begun := time.Now()
	const calls = 100
	for range calls {
		_, err := os.Lstat(m.in("none"))
		wantError(t, "stat", err, syscall.EHOSTDOWN)
	}
	if took := time.Since(begun); took > calls*silence/2 {
		t.Errorf("%d calls took %v: each waits", calls, took)
	}
	k.mend()
	eventually(t, "the link is back by itself", func() bool {
		_, err := os.Lstat(m.in("none"))
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestUnmountWorksWhileServerIsGone(t *testing.T) {
	t.Parallel()
	for name, unmount := range map[string]func(m *mounted) error{
		"rmf umount": func(m *mounted) error { _, err := fs.Unmount(m.path); return err },
		"umount":     func(m *mounted) error { return exec.Command("umount", m.path).Run() },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "umount" && os.Geteuid() != 0 {
				t.Skip("only root can call umount")
			}
			prepare := func(t *testing.T, m *mounted) { m.shell(`echo text > $J/f; cat $M/f`) }
			whileGone(t, prepare, func(t *testing.T, m *mounted) {
				if err := unmount(m); err != nil {
					t.Error(err)
				}
				<-m.daemon.exited
			})
		})
	}
}

func TestOpenFilesGoOnOverTheNextLink(t *testing.T) {
	m, k := newLinkedMount(t, mountRole{Timeout: silence})
	m.put("read", "text")
	m.put("written", "text")
	m.put("unlinked", "text")
	read, written, unlinked := m.open("read"), m.open("written"), m.open("unlinked")
	if err := os.Remove(m.in("unlinked")); err != nil {
		t.Fatal(err)
	}
	created, err := os.Create(m.in("created"))
	if err != nil {
		t.Fatal(err)
	}
	defer created.Close()
	k.cut()
	_, err = os.Lstat(m.in("none"))
	wantError(t, "stat", err, syscall.EHOSTDOWN)
	_, err = written.WriteAt([]byte("lost"), 0)
	wantError(t, "write", err, syscall.EHOSTDOWN)
	k.mend()
	eventually(t, "the link is back", func() bool {
		_, err := os.Lstat(m.in("none"))
		return errors.Is(err, os.ErrNotExist)
	})
	for _, f := range []*os.File{read, written, unlinked} {
		wantRead(t, f, "text")
	}
	for _, f := range []*os.File{written, unlinked, created} {
		if _, err := f.WriteAt([]byte("more"), 4); err != nil {
			t.Errorf("%s: %v", f.Name(), err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
	want(t, m.at("written"), "textmore")
	want(t, m.at("created"), "\x00\x00\x00\x00more")
}

// TestFrozenServerLosesNothing: calls fail while it is, and afterwards it has what was written before and after.
func TestFrozenServerLosesNothing(t *testing.T) {
	m := newMount(t, mountRole{Timeout: silence, CacheTime: -1})
	m.put("f", "text")
	f, created := m.open("f"), m.create("created")
	for _, f := range []*os.File{f, created} {
		if _, err := f.WriteAt([]byte("before "), 0); err != nil {
			t.Fatal(err)
		}
	}
	m.signalServer(syscall.SIGSTOP)
	_, err := os.Lstat(m.in("none"))
	wantError(t, "stat", err, syscall.EHOSTDOWN)
	m.signalServer(syscall.SIGCONT)
	eventually(t, "the server is back", func() bool {
		_, err := os.Lstat(m.in("none"))
		return errors.Is(err, os.ErrNotExist)
	})
	for _, f := range []*os.File{f, created} {
		if _, err := f.WriteAt([]byte("after"), 7); err != nil {
			t.Errorf("%s: %v", f.Name(), err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
	want(t, m.at("f"), "before after")
	want(t, m.at("created"), "before after")
}

// TestRemovedDirectoryCanBeSynced by who has it open.
func TestRemovedDirectoryCanBeSynced(t *testing.T) {
	m := newMount(t, mountRole{})
	if err := os.Mkdir(m.in("d"), 0o777); err != nil {
		t.Fatal(err)
	}
	d, err := os.Open(m.in("d"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := os.Remove(m.in("d")); err != nil {
		t.Fatal(err)
	}
	if err := d.Sync(); err != nil {
		t.Error(err)
	}
}

// TestOpenFilesAreOpenedAgainAfterARestart of the server, if they are the same files still.
func TestOpenFilesAreOpenedAgainAfterARestart(t *testing.T) {
	m := newMount(t, mountRole{Timeout: patience / 3})
	m.shell(`cd $J; echo text > read; echo text > renamed; echo text > replaced; echo text > removed; echo text > synced`)
	read, renamed, replaced, removed, synced := m.open("read"), m.open("renamed"), m.open("replaced"), m.open("removed"), m.open("synced")
	if _, err := synced.WriteAt([]byte("next"), 0); err != nil {
		t.Fatal(err)
	}
	if err := synced.Sync(); err != nil {
		t.Fatal(err)
	}
	m.shell(`mv $M/renamed $M/other`)
	m.server.kill()
	m.shell(`cd $J; echo other > replacing; mv replacing replaced; rm removed`)
	m.serveAgain()
	wantRead(t, read, "text")
	wantRead(t, renamed, "text")
	wantRead(t, synced, "next")
	for _, f := range []*os.File{replaced, removed} {
		_, err := f.ReadAt(make([]byte, 1), 0)
		wantError(t, f.Name(), err, syscall.ESTALE)
	}
	if _, err := synced.WriteAt([]byte("more"), 4); err != nil {
		t.Error(err)
	}
	if err := synced.Sync(); err != nil {
		t.Error(err)
	}
	want(t, m.at("synced"), "nextmore")
	for _, f := range []*os.File{read, renamed, replaced, removed, synced} {
		f.Close()
	}
	unmount(t, m.path)
	<-m.daemon.exited // before the server
}

// TestWritesThatMayBeLostAreTold when the server forgets them, by all calls from then on.
func TestWritesThatMayBeLostAreTold(t *testing.T) {
	m, k := newLinkedMount(t, mountRole{Timeout: patience / 3})
	m.shell(`cd $J; echo text > flying; echo text > closed; echo text > unsynced`)
	serveAgain := m.standBy()
	flying, closed, unsynced := m.open("flying"), m.open("closed"), m.open("unsynced")
	created, err := os.Create(m.in("created"))
	if err != nil {
		t.Fatal(err)
	}
	defer created.Close()
	if _, err := unsynced.WriteAt([]byte("next"), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server has it", func() bool {
		content, err := os.ReadFile(m.at("unsynced"))
		return err == nil && string(content) == "next\n"
	})
	k.cut()
	for _, f := range []*os.File{flying, closed, created} {
		if _, err := f.WriteAt([]byte("lost"), 0); err != nil {
			t.Fatal(err)
		}
	}
	m.server.kill()
	serveAgain()
	k.mend()
	wantError(t, "close", closed.Close(), syscall.EIO)
	for _, f := range []*os.File{flying, created, unsynced} {
		wantError(t, "fsync of "+f.Name(), f.Sync(), syscall.EIO)
		wantError(t, "fsync of "+f.Name(), f.Sync(), syscall.EIO)
		_, err := f.WriteAt([]byte("more"), 0)
		wantError(t, "write to "+f.Name(), err, syscall.EIO)
		wantError(t, "close of "+f.Name(), f.Close(), syscall.EIO)
	}
	wantNone(t, m.at("created"))
	want(t, m.in("unsynced"), "next\n")
	want(t, m.in("flying"), "text\n")
	want(t, m.in("closed"), "text\n")
}

// open opens a file of the mount for reading and writing, until the end of the test.
func (m *mounted) open(name string) *os.File {
	m.t.Helper()
	f, err := os.OpenFile(m.in(name), os.O_RDWR, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { f.Close() }) // it may be closed already
	return f
}

// create makes a file in the mount, which is open until the end of the test.
func (m *mounted) create(name string) *os.File {
	m.t.Helper()
	f, err := os.Create(m.in(name))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { f.Close() }) // it may be closed already
	return f
}

// wantRead checks what an open file begins with. The kernel's pages are not asked.
func wantRead(t *testing.T, f *os.File, content string) {
	t.Helper()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(content))
	if _, err := f.ReadAt(got, 0); err != nil || string(got) != content {
		t.Errorf("%s begins with %q, %v, want %q", f.Name(), got, err, content)
	}
}
