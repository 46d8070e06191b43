package fs_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/fs"
)

func TestAMountWhoseDaemonDiedIsReplaced(t *testing.T) {
	m := newMount(t, mountRole{})
	m.put("f", "text")
	f, err := os.Open(m.in("f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m.daemon.kill()
	if _, _, err := start(t, role{Mount: &mountRole{Address: m.address, Directory: "/", Mountpoint: m.path}}); err != nil {
		t.Fatal(err)
	}
	want(t, m.in("f"), "text")
	unmount(t, m.path)
	wantUnmountError(t, m.path, fs.ErrNotMounted)
}

func TestTheWatcherDetachesTheMountOfADeadDaemon(t *testing.T) {
	m := newMount(t, mountRole{Watched: true})
	m.put("f", "text")
	f, err := os.Open(m.in("f")) // so that it is busy as well
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	watcher := m.watcher()
	m.daemon.kill()
	eventually(t, "the path is free", func() bool {
		_, err := os.Stat(m.path)
		return err == nil && !m.isMounted()
	})
	wantNone(t, m.in("f"))
	eventually(t, "the watcher has ended", func() bool { return !isRunning(watcher) })
}

// TestTheWatcherHoldsNothing holds that a watcher keeps no terminal, directory or other file in use, and
// that it ends with its mount, whoever unmounts that.
func TestTheWatcherHoldsNothing(t *testing.T) {
	m := newMount(t, mountRole{Watched: true})
	watcher := m.watcher()
	proc := fmt.Sprintf("/proc/%d", watcher)
	for name, target := range map[string]string{"cwd": "/", "fd/1": os.DevNull, "fd/2": os.DevNull} {
		if got, err := os.Readlink(filepath.Join(proc, name)); err != nil || got != target {
			t.Errorf("its %s is %s (%v), want %s", name, got, err, target)
		}
	}
	if session, err := unix.Getsid(watcher); err != nil || session != watcher {
		t.Errorf("it is in session %d (%v), want its own", session, err)
	}
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		target, _ := os.Readlink(filepath.Join(proc, "fd", fd.Name()))
		if strings.HasPrefix(target, "/dev/fuse") || strings.HasPrefix(target, "socket:") {
			t.Errorf("it has %s open", target)
		}
	}
	if err := unix.Unmount(m.path, 0); err != nil { // umount(8), which tells nobody
		t.Fatal(err)
	}
	<-m.daemon.exited
	if isRunning(watcher) {
		t.Error("it is left behind")
	}
}

// What a program has written to an open file is saved where the daemon ends before the program.
func TestSaveAtTheEndOfTheDaemon(t *testing.T) {
	for _, protocol := range []int{1, 2} {
		t.Run(fmt.Sprint("Remofile ", protocol), func(t *testing.T) {
			m := newMount(t, mountRole{SaveAtEnd: true, Protocol: protocol})
			f, err := os.Create(m.in("f"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString("text"); err != nil {
				t.Fatal(err)
			}
			m.daemon.stdin.Close()
			<-m.daemon.exited
			want(t, m.at("f"), "text")
		})
	}
}

// watcher returns the process that watches over the daemon.
func (m *mounted) watcher() int {
	m.t.Helper()
	pid := m.daemon.cmd.Process.Pid
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var children []string
	for _, name := range threads {
		text, _ := os.ReadFile(name) // the thread may have ended
		children = append(children, strings.Fields(string(text))...)
	}
	if err != nil || len(children) != 1 {
		m.t.Fatalf("the children of the daemon: %q, %v", children, err)
	}
	watcher, err := strconv.Atoi(children[0])
	if err != nil {
		m.t.Fatal(err)
	}
	return watcher
}

// isRunning reports whether there is a process that has not ended.
func isRunning(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && stateIn(status) != 'Z'
}

// stateIn returns the state in what /proc tells of a process or a thread (proc_pid_stat(5)), or 0.
func stateIn(status []byte) byte {
	_, rest, _ := bytes.Cut(status, []byte(") "))
	if len(rest) == 0 {
		return 0
	}
	return rest[0]
}

// isMounted reports whether the kernel lists the mount.
func (m *mounted) isMounted() bool {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.Contains(string(table), " "+m.path+" ")
}
