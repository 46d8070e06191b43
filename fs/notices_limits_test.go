package fs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inotifyWatches returns how many watches the instances of inotify have that a process holds, and how many
// instances these are.
func inotifyWatches(t *testing.T, pid int) (watches, instances int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		target, err := os.Readlink(strings.Replace(file, "fdinfo", "fd", 1))
		if err != nil || target != "anon_inode:inotify" {
			continue // it may have been closed
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		watches += strings.Count(string(text), "inotify wd:")
		instances++
	}
	return watches, instances
}

// wantWatches waits until the mounts watch so many directories, and checks that the server has no more watches
// of the system than that: two are for its own marks.
func (m *mounted) wantWatches(n int, look func()) {
	m.t.Helper()
	c := m.client()
	eventually(m.t, fmt.Sprintf("%d directories are watched", n), func() bool {
		look()
		return watches(m.t, c) >= n
	})
	look()
	if got := watches(m.t, c); got != n {
		m.t.Errorf("%d directories are watched, want %d", got, n)
	}
	if of, instances := inotifyWatches(m.t, m.server.cmd.Process.Pid); of > n+2 || instances > 1 {
		m.t.Errorf("for %d directories the server has %d watches in %d instances of inotify", n, of, instances)
	}
}

// makeDirs makes directories in the jail, of a file each.
func (m *mounted) makeDirs(n int) (names []string) {
	m.t.Helper()
	for i := range n {
		name := fmt.Sprint("d", i)
		if err := errors.Join(os.Mkdir(m.at(name), 0o700), os.WriteFile(m.at(name, "f"), []byte("text"), 0o600)); err != nil {
			m.t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// wantChangesSeen changes directories behind the server's back, and waits until the mount shows that.
func (m *mounted) wantChangesSeen(dirs []string) {
	m.t.Helper()
	for _, dir := range dirs {
		f, err := os.OpenFile(m.at(dir, "f"), os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString("more")
			err = errors.Join(err, f.Close(), os.WriteFile(m.at(dir, "new"), nil, 0o600))
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	for _, dir := range dirs {
		m.wantSame(dir)
	}
}

// TestMoreDirectoriesThanAreWatched: in the others changes are seen by the time limit.
func TestMoreDirectoriesThanAreWatched(t *testing.T) {
	m := newMount(t, mountRole{})
	dirs := m.makeDirs(1100)
	looked := time.Time{}
	m.wantWatches(1024, func() {
		if time.Since(looked) < time.Second {
			return // it is then that they are looked into once more
		}
		for _, dir := range dirs {
			if _, err := os.ReadDir(m.in(dir)); err != nil {
				t.Fatal(err)
			}
		}
		looked = time.Now()
	})
	m.wantChangesSeen(dirs)
}

// TestASystemWithoutMoreWatches, for the server of a mount: in the directories that it can't watch changes are
// seen by the time limit. Two watches the server needs for itself.
func TestASystemWithoutMoreWatches(t *testing.T) {
	needFUSE(t)
	for limit, watched := range map[int]int{1: 0, 2: 0, 5: 3} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			m := &mounted{t: t, jail: t.TempDir(), path: t.TempDir()}
			needUserNamespaces(t)
			m.serve(serverRole{Address: "127.0.0.1:0", Watches: limit})
			m.mount(mountRole{Address: m.address})
			dirs := m.makeDirs(6)
			end := time.Now().Add(1500 * time.Millisecond) // they are asked for after a second
			m.wantWatches(watched, func() {
				for again := true; again; again = time.Now().Before(end) {
					for _, dir := range dirs {
						show(m.in(dir))
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
			m.wantChangesSeen(dirs)
			m.wantChangesSeen(dirs)
		})
	}
}

// needUserNamespaces skips the test where there are none to be had, but fails under CI.
func needUserNamespaces(t *testing.T) {
	t.Helper()
	if n, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err != nil || strings.TrimSpace(string(n)) == "0" {
		lacking(t, fmt.Sprintf("there are no user namespaces: %s %v", n, err))
	}
}

// TestOverflowOfTheSystemsQueue: what more has happened than the system has room to tell is seen, and what
// happens after that, though directories were not watched any longer that are there.
func TestOverflowOfTheSystemsQueue(t *testing.T) {
	m := newMount(t, mountRole{})
	dirs := m.makeDirs(3)
	other := &mounted{t: t, jail: m.jail, path: m.second(mountRole{}), address: m.address}
	mounts := []*mounted{m, other}
	rememberAll := func() {
		m.wantWatches(len(mounts)*(1+len(dirs)), func() {
			for _, at := range mounts {
				for _, dir := range append(dirs, "") {
					show(at.in(dir))
				}
			}
		})
	}
	rememberAll()
	if err := m.server.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.server.cmd.Process.Signal(syscall.SIGCONT) })
	a, b := m.at(dirs[0], "f"), m.at(dirs[0], "g")
	for range eventsKept(t)/2 + 1000 { // each is two events
		if err := os.Rename(a, b); err != nil {
			t.Fatal(err)
		}
		a, b = b, a
	}
	m.shell(`cd $J; mv d1 old; mkdir d1; echo > d1/x; echo longer >> d2/f; echo new > d2/new; rm d0/*`)
	if err := m.server.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, at := range mounts {
		for _, dir := range append(dirs, "old") {
			at.wantSame(dir)
		}
	}
	m.shell(`cd $J; for d in d0 d1 d2 old; do echo > $d/f; done; rm -r old`)
	rememberAll()
	for _, at := range mounts {
		at.wantChangesSeen(dirs)
	}
}

// eventsKept returns how many events an instance of inotify has room for.
func eventsKept(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err == nil {
		_, err = fmt.Sscan(string(text), &n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}
