package fs_test

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newCountedMount is newMount with a function that returns how often the server was asked for an operation.
func newCountedMount(t *testing.T) (m *mounted, asked func(op string) int) {
	t.Helper()
	needFUSE(t)
	m = &mounted{t: t, jail: t.TempDir(), path: t.TempDir()}
	log := filepath.Join(t.TempDir(), "log")
	m.serve(serverRole{Address: "127.0.0.1:0", Log: log})
	m.mount(mountRole{Address: m.address})
	return m, func(op string) int {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), " op="+op+" ")
	}
}

// TestAFileCostsTwoRequests that are waited for, STAGE and COMMIT, where many are made: it is not asked for before. How
// often it is all the same depends on how soon a directory is watched, and on when programs get to run.
func TestAFileCostsTwoRequests(t *testing.T) {
	m, asked := newCountedMount(t)
	src := t.TempDir()
	for _, dir := range []string{"a", "b", "c"} {
		if err := os.Mkdir(filepath.Join(src, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if err := os.WriteFile(filepath.Join(src, dir, fmt.Sprint(i)), []byte("text"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	const files = 300
	m.shell(`mkdir $J/old`)
	for name, work := range map[string]func(to string){
		"copy": func(to string) { m.shell(fmt.Sprintf(`cp -r %s $M/%s`, src, to)) },
		"make and remove": func(string) {
			for range files {
				if err := errors.Join(os.WriteFile(m.in("old/f"), []byte("text"), 0o600), os.Remove(m.in("old/f"))); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m.t = t
			round := 0
			eventually(t, "names are not asked for", func() bool {
				stats, staged := asked("STAT"), asked("STAGE")
				round++
				work(fmt.Sprint(name, round))
				if n := asked("STAGE") - staged; n != files {
					t.Fatalf("%d files are staged, want %d", n, files)
				}
				return asked("STAT")-stats < files/3
			})
		})
	}
}

// maker is a thread that makes and removes names in a directory of a mount all the time, which it knows better and better.
type maker struct {
	dir    string
	do     chan func() // what it does in between
	done   chan struct{}
	result chan error
}

// newMaker begins, until the test ends.
func newMaker(t *testing.T, dir string) *maker {
	m := &maker{dir: dir, do: make(chan func()), done: make(chan struct{}), result: make(chan error)}
	go m.run()
	t.Cleanup(func() {
		close(m.done)
		if err := <-m.result; err != nil {
			t.Error(err)
		}
	})
	return m
}

func (m *maker) run() {
	runtime.LockOSThread() // by which the mount knows it
	defer runtime.UnlockOSThread()
	var err error
	for i := 0; ; i++ {
		err = errors.Join(err, m.change(fmt.Sprint("made", i%10)))
		select {
		case <-m.done:
			m.result <- err
			return
		case f := <-m.do:
			f()
		default:
		}
	}
}

// change makes a name and removes it.
func (m *maker) change(name string) error {
	name = filepath.Join(m.dir, name)
	return errors.Join(os.WriteFile(name, nil, 0o600), os.Remove(name))
}

// call has the thread do something right after it has removed a name.
func (m *maker) call(name string, f func()) (err error) {
	called := make(chan struct{})
	m.do <- func() {
		defer close(called)
		err = m.change(name)
		f()
	}
	<-called
	return err
}

// newMade returns a mount in whose directory d a thread makes names all the time, so that it is watched.
func newMade(t *testing.T, r mountRole) (*mounted, *maker) {
	m := newMount(t, r)
	m.shell(`mkdir $J/d`)
	k := newMaker(t, m.in("d"))
	if c := m.client(); r.CacheTime == 0 {
		eventually(t, "the directory is watched", func() bool { return watches(t, c) > 0 })
	}
	return m, k
}

// TestOthersFindNewNames at once, in a directory in which a thread of the same mount makes names all the time: those that
// were never there, and those that it has just removed.
func TestOthersFindNewNames(t *testing.T) {
	m, k := newMade(t, mountRole{})
	other := m.second(mountRole{})
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i := range 100 {
		name := fmt.Sprint("d/", i)
		if i%2 == 0 {
			if err := k.call(fmt.Sprint(i), func() {}); err != nil {
				t.Fatal(err)
			}
		}
		wantNone(t, m.in(name))
		if i%3 == 0 {
			m.put(name, "new")
		} else if err := os.WriteFile(filepath.Join(other, name), []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		want(t, m.in(name), "new")
	}
}

// TestMakersFindNewNames within a second, and never lose what another client has put there, whatever they do before they
// were told of it.
func TestMakersFindNewNames(t *testing.T) {
	m, k := newMade(t, mountRole{})
	m.shell(`echo own > $J/own`)
	for name, make := range map[string]func(path string) error{
		"create": func(path string) error {
			f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err == nil {
				f.Close()
			}
			return err
		},
		"mkdir":   func(path string) error { return os.Mkdir(path, 0o700) },
		"symlink": func(path string) error { return os.Symlink("target", path) },
		"link":    func(path string) error { return os.Link(m.in("own"), path) },
		"mknod":   func(path string) error { return unix.Mknod(path, unix.S_IFREG|0o600, 0) },
		"rename": func(path string) error {
			return unix.Renameat2(unix.AT_FDCWD, m.in("own"), unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
		},
		"open": func(path string) error {
			f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
			if err != nil {
				return err
			}
			defer f.Close()
			var text [10]byte
			if n, _ := f.Read(text[:]); string(text[:n]) != "theirs" {
				return fmt.Errorf("it has %q", text[:n])
			}
			return iofs.ErrExist
		},
		"open through a link": func(path string) error {
			if err := errors.Join(os.Remove(m.at("d/x")), os.Symlink("../own", m.at("d/x"))); err != nil {
				return err
			}
			f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
			if err != nil {
				return err
			}
			defer f.Close()
			var text [10]byte
			if n, _ := f.Read(text[:]); string(text[:n]) != "own\n" {
				return fmt.Errorf("it has %q", text[:n])
			}
			return iofs.ErrExist
		},
	} {
		for range 30 {
			err := k.call("x", func() {
				m.put("d/x", "theirs")
				wantError(t, name, make(m.in("d/x")), iofs.ErrExist)
			})
			if err != nil {
				t.Fatal(err)
			}
			if name != "open through a link" {
				want(t, m.at("d/x"), "theirs")
			}
			if err := os.Remove(m.at("d/x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 30 {
		var err error
		err = errors.Join(k.call("x", func() {
			m.put("d/x", "theirs")
			m.put("d/y", fmt.Sprint(i))
			err = os.Rename(m.in("d/y"), m.in("d/x"))
		}), err)
		if errors.Is(err, iofs.ErrNotExist) { // y is not told of yet
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		want(t, m.in("d/x"), fmt.Sprint(i))
		if err := os.Remove(m.at("d/x")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		name := fmt.Sprint("d/new", i)
		m.put(name, "new")
		eventually(t, "the name is found", func() bool {
			var err error
			k.call("x", func() { _, err = os.Lstat(m.in(name)) })
			return err == nil
		})
	}
}

// TestMakersFindNewNamesAtOnce where the server does not tell of changes.
func TestMakersFindNewNamesAtOnce(t *testing.T) {
	for _, cache := range []time.Duration{-1, 5 * time.Second} {
		m, k := newMade(t, mountRole{CacheTime: cache})
		for i := range 50 {
			err := k.call("x", func() {
				m.put("d/x", fmt.Sprint(i))
				want(t, m.in("d/x"), fmt.Sprint(i))
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(m.at("d/x")); err != nil {
				t.Fatal(err)
			}
			if cache > 0 {
				os.Remove(m.in("d/x")) // the kernel keeps it
			}
		}
		if n := watches(t, m.client()); n != 0 {
			t.Errorf("%d directories are watched", n)
		}
	}
}

// TestMakersFindNewNamesAfterALinkWasLost, which were made meanwhile.
func TestMakersFindNewNamesAfterALinkWasLost(t *testing.T) {
	m, k := newLinkedMount(t, mountRole{Timeout: silence})
	m.shell(`mkdir $J/d`)
	c := m.client()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	change := func() {
		name := m.in("d/x")
		if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Remove(name)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		eventually(t, "the directory is watched", func() bool {
			change()
			return watches(t, c) > 0
		})
		k.cut()
		name := fmt.Sprint("d/new", i)
		m.put(name, "new")
		k.mend()
		change()
		want(t, m.in(name), "new")
	}
}

// TestLocksHoldBetweenMounts: of two threads that take a lock file, by whatever call, one at a time has it, and finds
// what the other has left.
func TestLocksHoldBetweenMounts(t *testing.T) {
	const rounds = 20
	m := newMount(t, mountRole{})
	m.shell(`mkdir $J/d`)
	dirs := []string{m.in("d"), filepath.Join(m.second(mountRole{}), "d")}
	for name, take := range map[string]func(dir, own string) error{
		"create": func(dir, _ string) error {
			f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			return f.Close()
		},
		"mkdir": func(dir, _ string) error { return os.Mkdir(filepath.Join(dir, "lock"), 0o700) },
		"link": func(dir, own string) error {
			own = filepath.Join(dir, own)
			if err := os.WriteFile(own, nil, 0o600); err != nil {
				return err
			}
			return errors.Join(os.Link(own, filepath.Join(dir, "lock")), os.Remove(own))
		},
	} {
		m.shell(`printf 0 > $J/d/count`)
		var running sync.WaitGroup
		for i, dir := range dirs {
			running.Go(func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				for range rounds {
					err := take(dir, fmt.Sprint("own", i))
					for ; errors.Is(err, iofs.ErrExist); err = take(dir, fmt.Sprint("own", i)) {
					}
					if err == nil {
						err = count(filepath.Join(dir, "count"))
					}
					if err = errors.Join(err, os.Remove(filepath.Join(dir, "lock"))); err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
				}
			})
		}
		running.Wait()
		want(t, m.at("d/count"), fmt.Sprint(rounds*len(dirs)))
	}
}

// count adds one to the number that a file has.
func count(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscan(string(text), &n); err != nil {
		return err
	}
	return os.WriteFile(file, fmt.Append(nil, n+1), 0o600)
}

// TestCommitsOfTwoMounts to one git repository, whose lock file one of them has at a time.
func TestCommitsOfTwoMounts(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		lacking(t, err.Error())
	}
	m := newMount(t, mountRole{})
	other := m.second(mountRole{})
	m.shell(`cd $M; git init -q r; cd r; git config user.email a@b.c; git config user.name a; git config gc.auto 0`)
	out := m.shell(`
commit() {
	cd $1/r
	for i in 1 2 3 4 5 6; do
		echo $i > $2$i
		n=0
		until git add $2$i 2>/dev/null && git commit -qm $2$i -- $2$i 2>/dev/null || [ $((n=n+1)) = 1000 ]; do :; done
	done
}
commit $M a & commit ` + other + ` b & wait
git -C $M/r log --oneline | wc -l
git -C $M/r ls-files | wc -l
git -C ` + other + `/r fsck --strict 2>&1 | grep -v dangling || :`)
	if strings.Join(strings.Fields(out), " ") != "12 12" {
		t.Errorf("commits and files: %s", out)
	}
}
