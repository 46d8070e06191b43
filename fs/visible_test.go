package fs_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// When what is done in a mount is visible there, on the server and in another mount. What a look-up
// told another mount that one may believe for its cache time, so these tests do without.

// twoMounts returns two mounts of one jail.
func twoMounts(t *testing.T) (m *mounted, other string) {
	t.Helper()
	m = newMount(t, mountRole{CacheTime: -1})
	return m, m.second(mountRole{CacheTime: -1})
}

// file is an open file; what fails ends the test.
type file struct {
	*os.File
	t *testing.T
}

func open(t *testing.T, path string, flags int) *file {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &file{f, t}
}

func (f *file) write(text string) {
	f.t.Helper()
	if _, err := f.WriteString(text); err != nil {
		f.t.Fatal(err)
	}
}

func (f *file) close() {
	f.t.Helper()
	if err := f.Close(); err != nil {
		f.t.Fatal(err)
	}
}

func TestCopyAppearsInOnePiece(t *testing.T) {
	m, other := twoMounts(t)
	there := filepath.Join(other, "f")
	f := open(t, m.in("f"), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	for range 20 {
		f.write(strings.Repeat("x", 100_000))
		wantNone(t, there)
		wantNone(t, m.at("f"))
	}
	_, err := os.OpenFile(there, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	wantError(t, "a create of the reserved name", err, os.ErrExist)
	wantError(t, "a mkdir of the reserved name", os.Mkdir(there, 0o777), os.ErrExist)
	if info, err := os.Stat(m.in("f")); err != nil || info.Size() != 2_000_000 {
		t.Errorf("in its own mount: %v, error %v", info, err)
	}
	f.close()
	want(t, there, strings.Repeat("x", 2_000_000))
}

// Programs that unpack set the times before they close a file.
func TestTimesOfAFileThatIsNotThereYet(t *testing.T) {
	m := newMount(t, mountRole{})
	when := time.Unix(1_000_000_000, 5)
	times := []unix.Timespec{unix.NsecToTimespec(when.UnixNano()), unix.NsecToTimespec(when.UnixNano())}
	f := open(t, m.in("f"), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	f.write("text")
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprint("/proc/self/fd/", f.Fd()), times, 0); err != nil {
		t.Fatal(err)
	}
	is := func(what string, info os.FileInfo, err error, size int64) {
		t.Helper()
		if err != nil || info.Size() != size || !info.ModTime().Equal(when) {
			t.Errorf("%s: %v, error %v, want %d bytes of %v", what, info, err, size, when)
		}
	}
	info, err := f.Stat()
	is("the open file", info, err, 4)
	if err := f.Chmod(0o640); err != nil {
		t.Fatal(err)
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprint("/proc/self/fd/", f.Fd()), times, 0); err != nil {
		t.Fatal(err)
	}
	f.close()
	info, err = os.Stat(m.in("f"))
	is("in the mount", info, err, 4)
	info, err = os.Stat(m.at("f"))
	is("on the server", info, err, 4)
	if info.Mode().Perm() != 0o640 {
		t.Errorf("permission bits %o, want 640", info.Mode().Perm())
	}
}

// The kernel sends a flush for each descriptor of a file that is closed, those of the children too.
func TestRedirectionWithChildrenIsPublishedEarly(t *testing.T) {
	m, other := twoMounts(t)
	m.shell(fmt.Sprintf(`{ /bin/echo one; cat %[1]s/f; /bin/echo two; cat %[1]s/f > $J/seen; } > $M/f`, other))
	want(t, m.at("seen"), "one\none\ntwo\n")
	want(t, m.at("f"), "one\none\ntwo\n")
}

func TestLogIsFollowedFromAnotherMount(t *testing.T) {
	m, other := twoMounts(t)
	log := open(t, m.in("log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	follower := open(t, filepath.Join(other, "log"), os.O_RDONLY)
	var seen strings.Builder
	for i := range 20 {
		log.write(fmt.Sprintln("line", i))
		eventually(t, "the follower has the line", func() bool {
			if _, err := io.Copy(&seen, follower); err != nil {
				t.Fatal(err)
			}
			return strings.HasSuffix(seen.String(), fmt.Sprintln("line", i))
		})
	}
	if got := strings.Count(seen.String(), "\n"); got != 20 {
		t.Errorf("the follower has %d lines", got)
	}
}

// TestAppendsDoNotWaitForTheServer, but close does: they are there in their order then, behind what others appended.
func TestAppendsDoNotWaitForTheServer(t *testing.T) {
	m := newMount(t, mountRole{Timeout: patience})
	m.put("log", "begun\n")
	log := open(t, m.in("log"), os.O_WRONLY|os.O_APPEND)
	m.shell(`echo other >> $J/log`)
	m.signalServer(syscall.SIGSTOP)
	wanted := "begun\nother\n"
	for i := range 100 {
		log.write(fmt.Sprintln("line", i))
		wanted += fmt.Sprintln("line", i)
	}
	m.signalServer(syscall.SIGCONT)
	log.close()
	want(t, m.at("log"), wanted)
}

// git takes a lock by creating index.lock, and makes it the index by renaming.
func TestOfTwoLocksExactlyOneIsTaken(t *testing.T) {
	m, other := twoMounts(t)
	for round := range 30 {
		var taken atomic.Int32
		var holder atomic.Value
		var programs sync.WaitGroup
		for _, root := range []string{m.path, other, m.path, other} {
			programs.Go(func() {
				lock, err := os.OpenFile(filepath.Join(root, "index.lock"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
				if errors.Is(err, os.ErrExist) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				taken.Add(1)
				holder.Store(root)
				fmt.Fprint(lock, round)
				if err := lock.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		programs.Wait()
		if taken.Load() != 1 {
			t.Fatalf("%d have taken the lock", taken.Load())
		}
		root := holder.Load().(string)
		if err := os.Rename(filepath.Join(root, "index.lock"), filepath.Join(root, "index")); err != nil {
			t.Fatal(err)
		}
		want(t, filepath.Join(other, "index"), fmt.Sprint(round))
		want(t, m.in("index"), fmt.Sprint(round))
	}
}

func TestOpenForWritingPublishesWhatAnotherClientCreates(t *testing.T) {
	m, other := twoMounts(t)
	f := open(t, m.in("f"), os.O_RDWR|os.O_CREATE)
	f.write("half")
	if _, err := f.Stat(); err != nil { // waits until the server has what was written
		t.Fatal(err)
	}
	g := open(t, filepath.Join(other, "f"), os.O_RDWR|os.O_CREATE)
	want(t, m.at("f"), "half")
	if _, err := g.WriteAt([]byte("H"), 0); err != nil {
		t.Fatal(err)
	}
	g.close()
	f.write(" and half")
	f.close()
	want(t, m.at("f"), "Half and half")
	want(t, m.in("f"), "Half and half")
}

func TestWhatPublishesACreatedFile(t *testing.T) {
	m, other := twoMounts(t)
	for name, publish := range map[string]func(f *file, path string) error{
		"a flush":  func(f *file, _ string) error { return closeCopy(f) },
		"an fsync": func(f *file, _ string) error { return f.Sync() },
		"a rename": func(f *file, path string) error {
			return errors.Join(os.Rename(path, path+"2"), os.Rename(path+"2", path))
		},
		"a link": func(f *file, path string) error { return os.Link(path, path+"2") },
		"an open": func(f *file, path string) error {
			g, err := os.Open(path)
			return errors.Join(err, g.Close())
		},
		"a rename of its directory": func(f *file, path string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.Rename(dir, dir+"2"), os.Rename(dir+"2", dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Mkdir(m.in(name), 0o777); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(name, "f")
			f := open(t, m.in(path), os.O_RDWR|os.O_CREATE)
			f.write("so far")
			wantNone(t, m.at(path))
			if err := publish(f, m.in(path)); err != nil {
				t.Fatal(err)
			}
			want(t, m.at(path), "so far")
			want(t, filepath.Join(other, path), "so far")
			f.write(" and more")
			f.close()
			want(t, m.at(path), "so far and more")
			want(t, filepath.Join(other, path), "so far and more")
		})
	}
}

// closeCopy closes a copy of the descriptor.
func closeCopy(f *file) error {
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func TestOverwrittenFileIsSwappedWhenItIsFlushed(t *testing.T) {
	m, other := twoMounts(t)
	there := filepath.Join(other, "f")
	m.shell(`echo old > $J/f; chmod 640 $J/f`)
	number := inodeOf(t, m.in("f"))
	f := open(t, m.in("f"), os.O_RDWR|os.O_TRUNC)
	want(t, there, "old\n")
	if info, err := os.Stat(m.in("f")); err != nil || info.Size() != 0 || info.Mode() != 0o640 {
		t.Errorf("in its own mount: %v, error %v", info, err)
	}
	if err := closeCopy(f); err != nil { // nothing is written yet, as in a shell's redirection
		t.Fatal(err)
	}
	want(t, there, "old\n")
	f.write("new")
	want(t, there, "old\n")
	if err := closeCopy(f); err != nil {
		t.Fatal(err)
	}
	want(t, there, "new")
	f.write("er")
	f.close()
	want(t, there, "newer")
	want(t, m.in("f"), "newer")
	if got := inodeOf(t, m.in("f")); got != number {
		t.Errorf("the inode number was %d and is %d", number, got)
	}
	if got := m.shell(`stat -c %a $J/f`); got != "640\n" {
		t.Errorf("its permission bits are %s", got)
	}
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestFileThatIsOnlyEmptiedIsEmptyWhenItIsClosed(t *testing.T) {
	m := newMount(t, mountRole{})
	m.put("f", "old")
	f := open(t, m.in("f"), os.O_WRONLY|os.O_TRUNC)
	want(t, m.at("f"), "old")
	f.close()
	eventually(t, "the file is empty", func() bool {
		info, err := os.Stat(m.at("f"))
		return err == nil && info.Size() == 0
	})
}

func TestTruncateIsVisibleAtOnce(t *testing.T) {
	m, other := twoMounts(t)
	for name, truncate := range map[string]func(path string) error{
		"truncate":  func(path string) error { return os.Truncate(path, 0) },
		"ftruncate": func(path string) error { return open(t, path, os.O_RDWR).Truncate(0) },
		"O_TRUNC of a file with two names": func(path string) error {
			if err := os.Link(path, path+" again"); err != nil {
				return err
			}
			open(t, path, os.O_RDWR|os.O_TRUNC)
			return nil
		},
		"O_TRUNC of a file that is open": func(path string) error {
			open(t, path, os.O_RDONLY)
			open(t, path, os.O_RDWR|os.O_TRUNC)
			return nil
		},
	} {
		m.put(name, "old")
		if err := truncate(m.in(name)); err != nil {
			t.Fatal(err)
		}
		want(t, m.at(name), "")
		want(t, filepath.Join(other, name), "")
	}
}

func TestKillBeforePublishingLeavesWhatWas(t *testing.T) {
	m, other := twoMounts(t)
	m.put("overwritten", "old")
	open(t, m.in("created"), os.O_RDWR|os.O_CREATE).write("new")
	open(t, m.in("overwritten"), os.O_RDWR|os.O_TRUNC).write("new")
	m.daemon.kill()
	for _, root := range []string{m.jail, other} {
		wantNone(t, filepath.Join(root, "created"))
		want(t, filepath.Join(root, "overwritten"), "old")
	}
}

// TestSyncedJournalSurvivesKills of the mount, and of the server.
func TestSyncedJournalSurvivesKills(t *testing.T) {
	for name, kill := range map[string]func(m *mounted){
		"mount":  func(m *mounted) { m.daemon.kill() },
		"server": func(m *mounted) { m.server.kill() },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t, mountRole{Timeout: 2 * time.Second})
			journal := open(t, m.in("journal"), os.O_RDWR|os.O_CREATE)
			for _, record := range []string{"first ", "second "} {
				journal.write(record)
				if err := journal.Sync(); err != nil {
					t.Fatal(err)
				}
			}
			kill(m)
			want(t, m.at("journal"), "first second ")
		})
	}
}

// What is read by an open file may be as old as the cache time, but an open brings what was closed, even
// where the file was changed in place and the kernel believes in its old size.
func TestOpenSeesWhatWasChangedInPlace(t *testing.T) {
	m := newMount(t, mountRole{CacheTime: time.Hour})
	m.put("f", "old")
	want(t, m.in("f"), "old")
	for _, content := range []string{"longer than before", "brief", "BRIEF"} {
		if err := os.WriteFile(m.at("f"), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		want(t, m.in("f"), content)
		if info, err := os.Stat(m.in("f")); err != nil || info.Size() != int64(len(content)) {
			t.Errorf("stat: %v, error %v", info, err)
		}
	}
	held := open(t, m.in("f"), os.O_RDWR)
	if err := os.WriteFile(m.at("f"), []byte("longer while it is open"), 0o666); err != nil {
		t.Fatal(err)
	}
	want(t, m.in("f"), "longer while it is open")
	held.close()
	var st unix.Stat_t
	if err := syscall.Access(m.in("f"), unix.R_OK); err != nil || unix.Stat(m.in("f"), &st) != nil || st.Size != 23 {
		t.Errorf("%d bytes, error %v", st.Size, err)
	}
}
