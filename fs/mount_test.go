package fs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/fs"
)

func TestMountFailsClearlyAndLeavesNothing(t *testing.T) {
	needFUSE(t)
	m := &mounted{t: t, jail: t.TempDir(), path: t.TempDir()}
	m.serve(serverRole{Address: "127.0.0.1:0"})
	m.put("file", "")
	for _, c := range []struct {
		name string
		role mountRole
		want string
	}{
		{"no such directory in the jail", mountRole{Directory: "/none", Mountpoint: m.path}, "/none: no such file or directory"},
		{"a file in the jail", mountRole{Directory: "/file", Mountpoint: m.path}, "/file: not a directory"},
		{"no such mount point", mountRole{Directory: "/", Mountpoint: filepath.Join(m.path, "none")}, "none: no such file or directory"},
		{"a file as the mount point", mountRole{Directory: "/", Mountpoint: m.at("file")}, "file: not a directory"},
		{"no directory for copies", mountRole{Directory: "/", Mountpoint: m.path, TempDir: "/nowhere/at/all", Protocol: 1}, "/nowhere/at/all: no such file or directory"},
	} {
		c.role.Address = m.address
		if _, _, err := start(t, role{Mount: &c.role}); err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		wantUnmountError(t, m.path, fs.ErrNotMounted)
	}
}

func TestSecondMountOnAMountpointIsRefused(t *testing.T) {
	m := newMount(t, mountRole{})
	m.put("f", "text")
	_, _, err := start(t, role{Mount: &mountRole{Address: m.address, Directory: "/", Mountpoint: m.path}})
	if err == nil || !strings.HasSuffix(err.Error(), fs.ErrMounted.Error()) {
		t.Errorf("a second mount: %v", err)
	}
	wantError(t, "a check of the mount point", fs.CheckMountpoint(m.path, fs.Options{}), fs.ErrMounted)
	want(t, m.in("f"), "text")
}

func TestMountOfASubdirectory(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`mkdir -p $J/a/b; echo deep > $J/a/b/f`)
	second := t.TempDir()
	t.Cleanup(func() { unix.Unmount(second, unix.MNT_DETACH) })
	if _, _, err := start(t, role{Mount: &mountRole{Address: m.address, Directory: "/a/b/", Mountpoint: second}}); err != nil {
		t.Fatal(err)
	}
	want(t, filepath.Join(second, "f"), "deep\n")
}

func TestReadOnlyMount(t *testing.T) {
	m := newMount(t, mountRole{ReadOnly: true})
	m.put("f", "text")
	want(t, m.in("f"), "text")
	wantError(t, "write", os.WriteFile(m.in("f"), nil, 0o666), syscall.EROFS)
	wantError(t, "create", os.WriteFile(m.in("g"), nil, 0o666), syscall.EROFS)
	wantError(t, "mkdir", os.Mkdir(m.in("d"), 0o777), syscall.EROFS)
	wantError(t, "remove", os.Remove(m.in("f")), syscall.EROFS)
}

// TestOwnerAndUmaskAreShown of all files, whatever the server keeps of them.
func TestOwnerAndUmaskAreShown(t *testing.T) {
	for _, protocol := range []int{1, 2} {
		t.Run(fmt.Sprint("Remofile ", protocol), func(t *testing.T) {
			uid, gid, umask := uint32(1234), uint32(5678), uint32(0o027)
			m := newMount(t, mountRole{Protocol: protocol, UID: &uid, GID: &gid, Umask: &umask})
			m.shell(`cd $J; mkdir -m 777 d; echo text > f; chmod 666 f`)
			if got := m.shell(`cd $M; stat -c "%n %u %g %a" d f`); got != "d 1234 5678 750\nf 1234 5678 640\n" {
				t.Errorf("stat shows\n%s", got)
			}
		})
	}
}

// The copies go to the directory below the mount, not into the mount.
func TestMountOverTheDirectoryForCopies(t *testing.T) {
	dir := t.TempDir()
	m := &mounted{t: t, jail: t.TempDir(), path: dir}
	needFUSE(t)
	m.serve(serverRole{Address: "127.0.0.1:0"})
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	if _, _, err := start(t, role{Mount: &mountRole{Address: m.address, Directory: "/", Mountpoint: dir, TempDir: dir}}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.in("f"), []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	want(t, m.in("f"), "text")
	want(t, m.at("f"), "text")
}

func TestUnmount(t *testing.T) {
	t.Run("no mount point", func(t *testing.T) {
		wantUnmountError(t, t.TempDir(), fs.ErrNotMounted)
		wantUnmountError(t, filepath.Join(t.TempDir(), "none"), os.ErrNotExist)
	})
	t.Run("not ours", func(t *testing.T) {
		wantUnmountError(t, "/proc", fs.ErrNotOurs)
	})
	t.Run("while a file is open", func(t *testing.T) {
		m := newMount(t, mountRole{})
		m.put("f", "text")
		f, err := os.OpenFile(m.in("f"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if inUse, err := fs.Unmount(m.path); err != nil || !inUse {
			t.Errorf("unmount: in use %v, error %v", inUse, err)
		}
		wantNone(t, m.in("f"))
		wantUnmountError(t, m.path, fs.ErrNotMounted)
		m.daemon.stdin.Close() // the daemon's own unmount then finds nothing to do
		if _, err := f.WriteString("more"); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		want(t, m.at("f"), "more")
		<-m.daemon.exited
	})
	t.Run("while the daemon hangs", func(t *testing.T) {
		m := newMount(t, mountRole{})
		if err := m.daemon.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			unmount(t, m.path)
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the unmount hangs as well")
		}
		if err := m.daemon.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		<-done
		<-m.daemon.exited
	})
	t.Run("through a symbolic link", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(t.TempDir(), link); err != nil {
			t.Fatal(err)
		}
		m := newMount(t, mountRole{Mountpoint: link})
		m.put("f", "text")
		want(t, m.in("f"), "text")
		unmount(t, link)
	})
	t.Run("after the daemon was killed", func(t *testing.T) {
		m := newMount(t, mountRole{})
		m.put("f", "text")
		f, err := os.Open(m.in("f")) // so that it is busy as well
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		m.daemon.kill()
		eventually(t, "a stat of the dead mount fails, when the kernel has forgotten its attributes", func() bool {
			_, err := os.Stat(m.path)
			return errors.Is(err, syscall.ENOTCONN)
		})
		if _, err := fs.Unmount(m.path); err != nil {
			t.Error(err)
		}
		wantUnmountError(t, m.path, fs.ErrNotMounted)
	})
}

// The daemon's own end does not wait for others: what they hold open stays usable.
func TestEndOfTheDaemonDetachesABusyMount(t *testing.T) {
	m := newMount(t, mountRole{})
	f, err := os.Create(m.in("f"))
	if err != nil {
		t.Fatal(err)
	}
	m.daemon.stdin.Close()
	eventually(t, "the path is free", func() bool {
		_, err := fs.Unmount(m.path)
		return errors.Is(err, fs.ErrNotMounted)
	})
	if _, err := f.WriteString("text"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	<-m.daemon.exited
	want(t, m.at("f"), "text")
}

func TestCloseTellsThatTheServerRefusedTheFile(t *testing.T) {
	m := newLimitedMount(t, mountRole{}, 1000)
	err := os.WriteFile(m.in("f"), make([]byte, 1001), 0o666)
	wantError(t, "a file that is too large", err, syscall.EFBIG)
	eventually(t, "the file is gone", func() bool {
		_, err := os.Lstat(m.in("f"))
		return errors.Is(err, os.ErrNotExist)
	})
	if err := os.WriteFile(m.in("f"), make([]byte, 999), 0o666); err != nil {
		t.Error(err)
	}
}

func TestServerThatGoesAndComesBack(t *testing.T) {
	m := newMount(t, mountRole{Timeout: 500 * time.Millisecond})
	m.put("old", "old")
	f, err := os.Create(m.in("f"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("text"); err != nil {
		t.Fatal(err)
	}
	m.server.kill()

	wantError(t, "fsync", f.Sync(), syscall.EHOSTDOWN)
	wantError(t, "close after a failed fsync", f.Close(), syscall.EHOSTDOWN)
	_, err = os.ReadFile(m.in("old"))
	wantError(t, "open", err, syscall.EHOSTDOWN)
	eventually(t, "the log of the daemon tells that changes may be lost", func() bool {
		return strings.Contains(m.daemon.log.String(), `level=ERROR msg="changes are not saved" op=fsync path=/f `)
	})
	if _, err := os.Stat(m.path); err != nil {
		t.Errorf("the mount point itself: %v", err)
	}

	m.serveAgain()
	eventually(t, "the link is back", func() bool {
		_, err := os.Stat(m.in("none"))
		return errors.Is(err, os.ErrNotExist)
	})
	want(t, m.in("old"), "old")
	wantNone(t, m.at("f"))
	if err := os.WriteFile(m.in("f"), []byte("again"), 0o666); err != nil {
		t.Error(err)
	}
	want(t, m.at("f"), "again")
}

func TestUnmountWhileTheServerIsGone(t *testing.T) {
	m := newMount(t, mountRole{})
	m.put("f", "text")
	want(t, m.in("f"), "text")
	m.server.kill()
	unmount(t, m.path)
	<-m.daemon.exited
}

// A server that hangs must not hold programs for longer than they want.
func TestWaitingProgramsCanBeInterrupted(t *testing.T) {
	m := newMount(t, mountRole{Timeout: time.Hour, CacheTime: -1})
	m.put("f", "text")
	want(t, m.in("f"), "text")
	m.signalServer(syscall.SIGSTOP)
	for i, args := range [][]string{{"cat", m.in("f")}, {"ls", "-l", m.path}, {"cat", m.in("none")}, {"cat", m.in("f")}} {
		signal := []os.Signal{os.Interrupt, os.Kill}[i%2]
		cmd := exec.Command(args[0], args[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan struct{})
		go func() {
			cmd.Wait()
			close(exited)
		}()
		select {
		case <-exited:
			t.Errorf("%v ended by itself", args)
			continue
		case <-time.After(50 * time.Millisecond):
		}
		cmd.Process.Signal(signal)
		select {
		case <-exited:
		case <-time.After(patience):
			t.Errorf("%v can't be ended by %v", args, signal)
		}
	}
	m.signalServer(syscall.SIGCONT)
	want(t, m.in("f"), "text")
}

// TestAForcedUnmountEndsWhatWaits: programs get their error at once, and the daemon ends though the server is silent.
func TestAForcedUnmountEndsWhatWaits(t *testing.T) {
	m := newMount(t, mountRole{Timeout: time.Hour, CacheTime: -1})
	m.put("f", "text")
	want(t, m.in("f"), "text")
	m.signalServer(syscall.SIGSTOP)
	defer m.signalServer(syscall.SIGCONT)
	cmd := exec.Command("cat", m.in("f"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "cat waits for the mount", func() bool {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		return strings.Contains(string(status), "Name:\tcat") && strings.Contains(string(status), "State:\tS")
	})
	if err := unix.Unmount(m.path, unix.MNT_FORCE|unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("cat has read something")
	}
	<-m.daemon.exited
}
