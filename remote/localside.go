package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// localSide is a local directory, or one beneath it: nothing that is done leads out of root,
// whoever makes symbolic links there meanwhile.
type localSide struct {
	root *os.Root
	base string // relative to root, "" for root itself
	op   string // of errors
}

// openLocal opens a local directory, also through a symbolic link.
func openLocal(op, dir string) (*localSide, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, localError(op, dir, err)
	}
	return &localSide{root: root, op: op}, nil
}

func (s *localSide) close() { s.root.Close() }

// beneath is the side of a directory in s, which need not exist.
func (s *localSide) beneath(dir string) *localSide {
	return &localSide{root: s.root, base: path.Join(s.base, dir), op: s.op}
}

// in returns a path relative to root.
func (s *localSide) in(p string) string { return path.Join(".", s.base, p) }

func (s *localSide) name(p string) string { return filepath.Join(s.root.Name(), s.base, p) }

func (s *localSide) failure(p string, err error) error { return localError(s.op, s.name(p), err) }

func (s *localSide) stat(context.Context) (Entry, error) { return s.attributes("", s.root.Stat) }

func (s *localSide) lstat(_ context.Context, p string) (Entry, error) {
	return s.attributes(p, s.root.Lstat)
}

func (s *localSide) attributes(p string, stat func(string) (fs.FileInfo, error)) (Entry, error) {
	info, err := stat(s.in(p))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return Entry{}, &Error{Op: s.op, Path: s.name(p), Code: NotFound}
	}
	if err != nil {
		return Entry{}, s.failure(p, err)
	}
	return localEntry(path.Base(p), info), nil
}

func localEntry(name string, info fs.FileInfo) Entry {
	e := Entry{Name: name, Link: info.Mode()&fs.ModeSymlink != 0, Attr: Attr{Mode: info.Mode(), Modified: info.ModTime()}}
	if !info.IsDir() {
		e.Size = info.Size()
	}
	return e
}

func (s *localSide) readlink(_ context.Context, p string) (string, error) {
	target, err := s.root.Readlink(s.in(p))
	return target, s.failure(p, err)
}

func (s *localSide) mkdir(_ context.Context, p string, perm fs.FileMode) error {
	return s.failure(p, s.root.Mkdir(s.in(p), perm))
}

func (s *localSide) symlink(_ context.Context, target, p string) error {
	return s.failure(p, s.root.Symlink(target, s.in(p)))
}

// rename is two steps: one that replaces nothing is not to be had everywhere.
func (s *localSide) rename(_ context.Context, from, to string) error {
	if err := s.root.Link(s.in(from), s.in(to)); err != nil {
		return s.failure(to, err)
	}
	return s.failure(from, s.root.Remove(s.in(from)))
}

func (s *localSide) set(_ context.Context, p string, changes Changes) error {
	var err error
	if changes.Mode != nil {
		err = s.root.Chmod(s.in(p), changes.Mode.Perm())
	}
	if err == nil && changes.Modified != nil {
		err = s.root.Chtimes(s.in(p), time.Time{}, *changes.Modified)
	}
	return s.failure(p, err)
}

func (s *localSide) remove(_ context.Context, p string) error {
	err := s.root.Remove(s.in(p))
	if errors.Is(err, syscall.ENOTEMPTY) {
		return &Error{Op: s.op, Path: s.name(p), Code: NotEmpty}
	}
	return s.failure(p, err)
}

func (s *localSide) removeAll(_ context.Context, p string) error {
	return s.failure(p, s.root.RemoveAll(s.in(p)))
}

// withParent calls fn with a path of the same file that stays right whatever is renamed meanwhile, and
// leads through no symbolic link to the file's directory.
func (s *localSide) withParent(p string, fn func(path string) error) error {
	dir, err := s.root.OpenFile(path.Dir(s.in(p)), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return s.failure(p, err)
	}
	defer dir.Close()
	return fn(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), path.Base(p)))
}

// open opens a file for reading. What it is has to be asked of the file.
func (s *localSide) open(p string) (*os.File, error) {
	f, err := s.root.OpenFile(s.in(p), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, s.failure(p, err)
	}
	return f, nil
}

// walk holds the names of one directory for each level, and the attributes of none.
func (s *localSide) walk(ctx context.Context, at string, o walkOptions, fn func(item) error) error {
	w := localWalk{localSide: s, ctx: ctx, o: o, fn: fn}
	err := w.directory(at, 0)
	if err == fs.SkipAll || err == fs.SkipDir {
		return nil
	}
	return err
}

type localWalk struct {
	*localSide
	ctx context.Context
	o   walkOptions
	fn  func(item) error
}

// listError is that of a directory, not of the function of the walk.
type listError struct{ error }

func (w *localWalk) directory(p string, depth int) error {
	if depth == maxDepth {
		return listError{tooDeep(w.op, w.name(p))}
	}
	d, err := w.root.OpenFile(w.in(p), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return listError{w.failure(p, err)}
	}
	defer d.Close()
	names, err := readNames(d)
	if err != nil {
		return listError{w.failure(p, err)}
	}
	for name := range names.sorted() {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		if isPartName(name) {
			continue
		}
		if err := w.entry(int(d.Fd()), path.Join(p, name), name, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *localWalk) entry(dir int, p, name string, depth int) error {
	e, err := statAt(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has gone since
	}
	if err != nil {
		return listError{w.failure(p, err)}
	}
	i := item{path: p, from: p, Entry: e}
	if w.o.leave != nil && w.o.leave(p, e.IsDir()) {
		return nil
	}
	if e.Link && w.o.follow {
		info, err := w.root.Stat(w.in(p))
		if err != nil {
			i.err = w.linkFailure(p, err)
		} else {
			i.Entry = localEntry(name, info)
			i.Link = true
		}
	}
	err = w.fn(i)
	if err == nil && e.IsDir() {
		err = w.directory(p, depth+1)
		var failed listError
		if errors.As(err, &failed) {
			i.err = failed.error
			err = w.fn(i)
		}
	}
	if err == fs.SkipDir {
		err = nil
	}
	return err
}

var errLeadsOut = errors.New("the symbolic link leads out of the directory that is transferred")

// linkFailure is failure for a link that was to be followed: os.Root follows none out of it, which is no errno.
func (s *localSide) linkFailure(p string, err error) error {
	if errno := syscall.Errno(0); !errors.As(err, &errno) {
		err = errLeadsOut
	}
	return s.failure(p, err)
}

// statAt returns the attributes of an entry of an open directory.
func statAt(dir int, name string) (Entry, error) {
	var st unix.Stat_t
	err := unix.EINTR
	for err == unix.EINTR {
		err, _ = unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW).(syscall.Errno)
	}
	if err != 0 {
		return Entry{}, err
	}
	e := Entry{Name: name, Attr: Attr{
		Mode:     fs.FileMode(st.Mode & 0o777),
		Modified: time.Unix(st.Mtim.Unix()),
	}}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Size = st.Size
	case unix.S_IFDIR:
		e.Mode |= fs.ModeDir
	case unix.S_IFLNK:
		e.Mode |= fs.ModeSymlink
		e.Link, e.Size = true, st.Size
	default:
		e.Mode |= fs.ModeIrregular
	}
	return e, nil
}

// nameList is the names of a directory, in little memory: there may be millions.
type nameList struct {
	text []byte
	ends []nameEnd
}

// nameEnd is where a name is in the text.
type nameEnd struct{ from, to uint32 }

// readNames reads the names of an open directory.
func readNames(d *os.File) (*nameList, error) {
	var l nameList
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			from := uint32(len(l.text))
			l.text = append(l.text, name...)
			l.ends = append(l.ends, nameEnd{from, uint32(len(l.text))})
		}
		if len(names) == 0 {
			if err != io.EOF {
				return nil, err
			}
			break
		}
	}
	slices.SortFunc(l.ends, func(a, b nameEnd) int {
		return bytes.Compare(l.text[a.from:a.to], l.text[b.from:b.to])
	})
	return &l, nil
}

func (l *nameList) sorted() func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, e := range l.ends {
			if !yield(string(l.text[e.from:e.to])) {
				return
			}
		}
	}
}
