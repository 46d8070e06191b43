package fs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The model of a mount is a local directory: whatever a program does, it finds the same there as in
// the mount.

// slots is how many files the model's programs have open at most.
const slots = 5

// side is where an operation is done.
type side struct {
	root string
	fds  [slots]int // -1 is none
}

func newSide(root string) *side {
	s := &side{root: root}
	for i := range s.fds {
		s.fds[i] = -1
	}
	return s
}

func (s *side) at(name string) string { return filepath.Join(s.root, name) }

// closeAll closes what is open.
func (s *side) closeAll() {
	for i, fd := range s.fds {
		if fd >= 0 {
			unix.Close(fd)
		}
		s.fds[i] = -1
	}
}

// operation is done on each side, and is to have the same outcome there.
type operation struct {
	text string
	do   func(s *side) string
}

// outcome is what an operation returns: the name of its error, or what it found.
func outcome(err error, found ...any) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	case err != nil:
		return err.Error()
	default:
		return fmt.Sprint(found...)
	}
}

// modelRun chooses operations at random.
type modelRun struct {
	random *rand.Rand
	local  *side
	keeps  bool // files open from one operation to another
}

func (r *modelRun) chance(percent int) bool { return r.random.IntN(100) < percent }

func (r *modelRun) name() string {
	dir := []string{"", "", "d", "e", "d/s"}[r.random.IntN(5)]
	return filepath.Join(dir, string(rune('a'+r.random.IntN(3))))
}

func (r *modelRun) directory() string { return []string{"d", "e", "d/s", "e/s", "a"}[r.random.IntN(5)] }

func (r *modelRun) anyName() string {
	if r.chance(20) {
		return r.directory()
	}
	return r.name()
}

// size returns a length or an offset: most are small, some go over pages and pieces.
func (r *modelRun) size() int64 {
	switch n := r.random.IntN(20); {
	case n == 0:
		return r.random.Int64N(3 << 20)
	case n < 5:
		return r.random.Int64N(200_000)
	default:
		return r.random.Int64N(9000)
	}
}

func (r *modelRun) content(n int64) []byte {
	p := make([]byte, n)
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(r.random.Uint32())
	}
	rand.NewChaCha8(seed).Read(p)
	return p
}

func (r *modelRun) flags() int {
	flags := []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_RDWR}[r.random.IntN(4)]
	if r.chance(60) {
		flags |= unix.O_CREAT
		if r.chance(20) {
			flags |= unix.O_EXCL
		}
	}
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		if r.chance(30) {
			flags |= unix.O_TRUNC
		}
		if r.chance(15) {
			flags |= unix.O_APPEND
		}
	}
	return flags
}

func flagNames(flags int) string {
	text := []string{"r", "w", "rw"}[flags&unix.O_ACCMODE]
	for _, f := range []struct {
		flag int
		name string
	}{{unix.O_CREAT, " creat"}, {unix.O_EXCL, " excl"}, {unix.O_TRUNC, " trunc"}, {unix.O_APPEND, " append"}} {
		if flags&f.flag != 0 {
			text += f.name
		}
	}
	return text
}

// next returns an operation.
func (r *modelRun) next() operation {
	if r.keeps && r.chance(55) {
		return r.onOpenFile()
	}
	if r.chance(60) {
		return r.onNames()
	}
	return r.onContent()
}

// onNames changes names or looks at them.
func (r *modelRun) onNames() operation {
	a, b, d := r.anyName(), r.anyName(), r.directory()
	switch r.random.IntN(13) {
	case 0:
		return operation{"mkdir " + d, func(s *side) string { return outcome(unix.Mkdir(s.at(d), 0o755)) }}
	case 1:
		return operation{"rmdir " + d, func(s *side) string { return outcome(unix.Rmdir(s.at(d))) }}
	case 2, 3:
		return operation{"unlink " + a, func(s *side) string { return outcome(unix.Unlink(s.at(a))) }}
	case 4, 5:
		flags := []uint{0, 0, 0, unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE}[r.random.IntN(5)]
		return operation{fmt.Sprintf("rename %s %s flags %d", a, b, flags), func(s *side) string {
			os.Lstat(s.at(a)) // in a rename the kernel can't find a directory that another client has moved: ESTALE
			os.Lstat(s.at(b))
			return outcome(unix.Renameat2(unix.AT_FDCWD, s.at(a), unix.AT_FDCWD, s.at(b), flags))
		}}
	case 6:
		return operation{"link " + a + " " + b, func(s *side) string { return outcome(unix.Link(s.at(a), s.at(b))) }}
	case 7:
		return operation{"symlink " + a + " " + b, func(s *side) string { return outcome(unix.Symlink(filepath.Base(a), s.at(b))) }}
	case 8:
		return operation{"readlink " + a, func(s *side) string {
			target, err := os.Readlink(s.at(a))
			return outcome(err, target)
		}}
	case 9:
		return operation{"list " + d, func(s *side) string { return list(s.at(d)) }}
	case 10:
		return operation{"same " + a + " " + b, func(s *side) string {
			x, err1 := os.Lstat(s.at(a))
			y, err2 := os.Lstat(s.at(b))
			return outcome(errors.Join(err1, err2), err1 == nil && err2 == nil && os.SameFile(x, y))
		}}
	case 11:
		return operation{"stat " + a, func(s *side) string {
			var st unix.Stat_t
			return outcome(unix.Stat(s.at(a), &st), shownStat(&st))
		}}
	default:
		return operation{"lstat " + a, func(s *side) string {
			var st unix.Stat_t
			return outcome(unix.Lstat(s.at(a), &st), shownStat(&st))
		}}
	}
}

// list lists a directory.
func list(dir string) string {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, fmt.Sprint(e.Type().String()[:1], e.Name()))
	}
	return outcome(err, names)
}

// before is the time before which modification times were set, not made by a change.
var before = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// shownStat tells what is the same on both sides.
func shownStat(st *unix.Stat_t) string {
	text := fmt.Sprintf("%o", st.Mode)
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return text
	}
	text += fmt.Sprintf(" %d bytes, %d links", st.Size, st.Nlink)
	if m := time.Unix(st.Mtim.Unix()); m.Before(before) {
		text += fmt.Sprint(" of ", m.UTC())
	}
	return text
}

// onContent opens a file, uses it and closes it, or changes it by its name.
func (r *modelRun) onContent() operation {
	name := r.name()
	switch n := r.random.IntN(10); {
	case n < 3:
		return operation{"read " + name, func(s *side) string {
			content, err := os.ReadFile(s.at(name))
			return outcome(err, sum(content))
		}}
	case n < 7:
		return r.write(name)
	case n == 7:
		size := r.size()
		return operation{fmt.Sprintf("truncate %s to %d", name, size), func(s *side) string { return outcome(unix.Truncate(s.at(name), size)) }}
	case n == 8:
		mode := []uint32{0o600, 0o644, 0o755, 0o400}[r.random.IntN(4)]
		return operation{fmt.Sprintf("chmod %s %o", name, mode), func(s *side) string { return outcome(unix.Chmod(s.at(name), mode)) }}
	default:
		at := r.time()
		return operation{fmt.Sprintf("utimens %s %v", name, at), func(s *side) string {
			return outcome(os.Chtimes(s.at(name), at, at))
		}}
	}
}

func (r *modelRun) time() time.Time { return time.Unix(1e9+r.random.Int64N(1e8), r.random.Int64N(1e9)) }

// write opens a file, writes a few times and closes it.
func (r *modelRun) write(name string) operation {
	flags := r.flags()
	var offsets []int64
	var pieces [][]byte
	text := fmt.Sprintf("write %s (%s):", name, flagNames(flags))
	for range r.random.IntN(4) {
		offsets, pieces = append(offsets, r.size()), append(pieces, r.content(r.size()))
		text += fmt.Sprintf(" %d at %d", len(pieces[len(pieces)-1]), offsets[len(offsets)-1])
	}
	return operation{text, func(s *side) string {
		fd, err := unix.Open(s.at(name), flags, 0o666)
		if err != nil {
			return outcome(err)
		}
		var told []string
		for i, p := range pieces {
			told = append(told, write(fd, flags, p, offsets[i]))
		}
		return fmt.Sprint(told, outcome(unix.Close(fd)))
	}}
}

func write(fd, flags int, p []byte, off int64) string {
	if flags&unix.O_APPEND != 0 {
		n, err := unix.Write(fd, p)
		return outcome(err, n)
	}
	n, err := unix.Pwrite(fd, p, off)
	return outcome(err, n)
}

// onOpenFile uses a file that stays open.
func (r *modelRun) onOpenFile() operation {
	i := r.random.IntN(slots)
	if r.local.fds[i] < 0 {
		return r.openFile(i)
	}
	off, size := r.size(), r.size()
	content := r.content(size)
	text := func(what string) string { return fmt.Sprintf("slot %d: %s", i, what) }
	switch n := r.random.IntN(22); {
	case n < 5:
		return operation{text(fmt.Sprintf("pread %d at %d", size, off)), func(s *side) string {
			p := make([]byte, size)
			n, err := unix.Pread(s.fds[i], p, off)
			return outcome(err, sum(p[:max(n, 0)]))
		}}
	case n < 10:
		return operation{text(fmt.Sprintf("pwrite %d at %d", size, off)), func(s *side) string {
			n, err := unix.Pwrite(s.fds[i], content, off)
			return outcome(err, n)
		}}
	case n == 10:
		return operation{text(fmt.Sprintf("ftruncate to %d", size)), func(s *side) string { return outcome(unix.Ftruncate(s.fds[i], size)) }}
	case n == 11:
		return operation{text("fsync"), func(s *side) string { return outcome(unix.Fsync(s.fds[i])) }}
	case n == 12:
		return operation{text("fdatasync"), func(s *side) string { return outcome(unix.Fdatasync(s.fds[i])) }}
	case n == 13:
		at := r.time()
		return operation{text(fmt.Sprint("futimens ", at)), func(s *side) string {
			ts := unix.NsecToTimespec(at.UnixNano())
			return outcome(unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprint("/proc/self/fd/", s.fds[i]), []unix.Timespec{ts, ts}, 0))
		}}
	case n == 14:
		mode := []uint32{0o600, 0o640}[r.random.IntN(2)]
		return operation{text(fmt.Sprintf("fchmod %o", mode)), func(s *side) string { return outcome(unix.Fchmod(s.fds[i], mode)) }}
	case n == 15:
		return operation{text("fstat"), func(s *side) string {
			var st unix.Stat_t
			return outcome(unix.Fstat(s.fds[i], &st), shownStat(&st))
		}}
	case n == 16:
		return operation{text(fmt.Sprintf("map, write %d at %d", size, off)), func(s *side) string { return mapAndWrite(s.fds[i], off, content) }}
	case n == 17:
		to := r.random.IntN(slots)
		toOff := r.size()
		return operation{text(fmt.Sprintf("copy %d at %d to slot %d at %d", size, off, to, toOff)), func(s *side) string {
			from, into := off, toOff
			n, err := unix.CopyFileRange(s.fds[i], &from, s.fds[to], &into, int(size), 0)
			return outcome(err, n)
		}}
	case n == 18:
		mode := []uint32{0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_ZERO_RANGE}[r.random.IntN(4)]
		return operation{text(fmt.Sprintf("fallocate %d at %d mode %d", size+1, off, mode)), func(s *side) string {
			return outcome(unix.Fallocate(s.fds[i], mode, off, size+1))
		}}
	case n == 19: // what a copy of a descriptor does
		return operation{text("dup and close"), func(s *side) string {
			fd, err := unix.Dup(s.fds[i])
			if err == nil {
				err = unix.Close(fd)
			}
			return outcome(err)
		}}
	default:
		return operation{text("close"), func(s *side) string {
			err := unix.Close(s.fds[i])
			s.fds[i] = -1
			return outcome(err)
		}}
	}
}

func (r *modelRun) openFile(i int) operation {
	name, flags := r.name(), r.flags()
	return operation{fmt.Sprintf("slot %d: open %s (%s)", i, name, flagNames(flags)), func(s *side) string {
		fd, err := unix.Open(s.at(name), flags, 0o666)
		if err != nil {
			return outcome(err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return outcome(errors.Join(err, unix.Close(fd)), "a directory") // that is not open on the server
		}
		s.fds[i] = fd
		return "opened"
	}}
}

// mapAndWrite writes through a shared mapping.
func mapAndWrite(fd int, off int64, content []byte) string {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return outcome(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || off >= st.Size {
		return "nothing there"
	}
	mapped, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return outcome(err)
	}
	copy(mapped[off:], content)
	all := sum(mapped)
	err = unix.Msync(mapped, unix.MS_SYNC)
	return outcome(errors.Join(err, unix.Munmap(mapped)), all)
}

// sum tells contents apart.
func sum(content []byte) string {
	h := uint64(14695981039346656037) // FNV-1a
	for _, b := range content {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return fmt.Sprintf("%d bytes %x", len(content), h)
}

// tree tells all that is in a directory.
func tree(root string) string {
	var found strings.Builder
	err := filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		fmt.Fprintf(&found, "%s: %s", strings.TrimPrefix(p, root), shownStat(&st))
		if e.Type().IsRegular() {
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprint(&found, ", ", sum(content))
		}
		fmt.Fprintln(&found)
		return nil
	})
	fmt.Fprint(&found, outcome(err))
	return found.String()
}

// follow does count operations here and there in turn: on a local directory, and each in one of
// the mounts.
func (r *modelRun) follow(t *testing.T, count int, jail string, mounts ...string) {
	t.Helper()
	local := newSide(t.TempDir())
	defer local.closeAll()
	r.local = local
	var remote []*side
	for _, m := range mounts {
		s := newSide(m)
		defer s.closeAll()
		remote = append(remote, s)
	}
	var history []string
	for i := range count {
		op := r.next()
		on := r.random.IntN(len(remote))
		wanted, got := op.do(local), op.do(remote[on])
		// While a program renames, the kernel can't find a directory that another client has moved.
		for again := 0; again < 3 && len(remote) > 1 && got == "ESTALE"; again++ {
			got = op.do(remote[on])
		}
		history = append(history, fmt.Sprintf("%d mount %d: %s = %s", i, on, op.text, wanted))
		if got != wanted {
			const most = 60
			t.Errorf("%s\nin the mount: %s", strings.Join(history[max(0, len(history)-most):], "\n"), got)
			return
		}
	}
	local.closeAll()
	for _, s := range remote {
		s.closeAll()
	}
	wanted := tree(local.root)
	for _, root := range append(mounts, jail) {
		var got string
		end := time.Now().Add(patience) // a close returns before the kernel tells of the release
		for got = tree(root); got != wanted && time.Now().Before(end); got = tree(root) {
			time.Sleep(10 * time.Millisecond)
		}
		if got != wanted {
			t.Errorf("%s holds:\n%s\nwant:\n%s", root, got, wanted)
		}
	}
}

// TestModel has random programs use a mount, each in a directory of its own: they find what they would find
// in a local one. With REMOFILE_TEST_FULL=1 there are 100,000 operations, of several seeds.
func TestModel(t *testing.T) {
	for _, c := range []struct {
		name     string
		programs int
		mounts   int
		keeps    bool
		cache    time.Duration
	}{
		{"one mount", 1, 1, true, 0},
		{"one mount without caches", 1, 1, true, -1},
		{"programs side by side", 3, 1, true, 0},
		{"two mounts in turn", 2, 2, false, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			seeds, count := 1, 1000
			if os.Getenv("REMOFILE_TEST_FULL") == "1" {
				seeds, count = 4, 25_000
			}
			for range seeds {
				seed := rand.Uint64()
				if given := os.Getenv("REMOFILE_TEST_SEED"); given != "" {
					if _, err := fmt.Sscan(given, &seed); err != nil {
						t.Fatal(err)
					}
				}
				t.Log("REMOFILE_TEST_SEED is", seed)
				m := newMount(t, mountRole{CacheTime: c.cache})
				mounts := []string{m.path}
				for len(mounts) < c.mounts {
					mounts = append(mounts, m.second(mountRole{CacheTime: c.cache}))
				}
				var programs sync.WaitGroup
				for i := range c.programs {
					dir := fmt.Sprint("program ", i)
					if err := os.Mkdir(m.in(dir), 0o777); err != nil {
						t.Fatal(err)
					}
					var own []string
					for _, mount := range mounts {
						own = append(own, filepath.Join(mount, dir))
					}
					r := modelRun{random: rand.New(rand.NewPCG(seed, uint64(i))), keeps: c.keeps}
					programs.Go(func() { r.follow(t, count/c.programs, m.at(dir), own...) })
				}
				programs.Wait()
			}
		})
	}
}
