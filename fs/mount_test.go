package fs_test

import (
	"errors"
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
		{"no directory for copies", mountRole{Directory: "/", Mountpoint: m.path, TempDir: "/nowhere/at/all"}, "/nowhere/at/all: no such file or directory"},
	} {
		c.role.Address = m.address
		if _, _, err := start(t, role{Mount: &c.role}); err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		wantError(t, c.name, fs.Unmount(m.path), fs.ErrNotMounted)
	}
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
		wantError(t, "a directory", fs.Unmount(t.TempDir()), fs.ErrNotMounted)
		wantError(t, "nothing", fs.Unmount(filepath.Join(t.TempDir(), "none")), os.ErrNotExist)
	})
	t.Run("not ours", func(t *testing.T) {
		wantError(t, "/proc", fs.Unmount("/proc"), fs.ErrNotOurs)
	})
	t.Run("while a file is open", func(t *testing.T) {
		m := newMount(t, mountRole{})
		m.put("f", "text")
		f, err := os.Open(m.in("f"))
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "unmount", fs.Unmount(m.path), fs.ErrBusy)
		want(t, m.in("f"), "text")
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := fs.Unmount(m.path); err != nil {
			t.Error(err)
		}
		<-m.daemon.exited
		wantNone(t, m.in("f"))
	})
	t.Run("through a symbolic link", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(t.TempDir(), link); err != nil {
			t.Fatal(err)
		}
		m := newMount(t, mountRole{Mountpoint: link})
		m.put("f", "text")
		want(t, m.in("f"), "text")
		if err := fs.Unmount(link); err != nil {
			t.Error(err)
		}
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
		_, err = os.Stat(m.path)
		wantError(t, "stat of the dead mount", err, syscall.ENOTCONN)
		_, _, err = start(t, role{Mount: &mountRole{Address: m.address, Directory: "/", Mountpoint: m.path}})
		if err == nil || !strings.Contains(err.Error(), "a dead mount is in the way") {
			t.Errorf("a mount over a dead one: %v", err)
		}
		if err := fs.Unmount(m.path); err != nil {
			t.Error(err)
		}
		wantError(t, "a second time", fs.Unmount(m.path), fs.ErrNotMounted)
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
		return errors.Is(fs.Unmount(m.path), fs.ErrNotMounted)
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
	if err := fs.Unmount(m.path); err != nil {
		t.Error(err)
	}
	<-m.daemon.exited
}

// A server that hangs must not hold programs for longer than they want.
func TestWaitingProgramsCanBeKilled(t *testing.T) {
	m := newMount(t, mountRole{Timeout: time.Hour, CacheTime: -1})
	m.put("f", "text")
	want(t, m.in("f"), "text")
	if err := m.server.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"cat", m.in("f")}, {"ls", "-l", m.path}, {"cat", m.in("none")}} {
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
		cmd.Process.Kill()
		select {
		case <-exited:
		case <-time.After(patience):
			t.Errorf("%v can't be killed", args)
		}
	}
	if err := m.server.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	want(t, m.in("f"), "text")
}
