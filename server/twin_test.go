package server

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// twin does with the system's own calls what the requests of Remofile 2 stand for.
type twin struct {
	dir   string
	files map[Handle]*os.File
	flags map[Handle]Flags // of OPEN
}

func newTwin(dir string) *twin {
	return &twin{dir: dir, files: make(map[Handle]*os.File), flags: make(map[Handle]Flags)}
}

func (w *twin) close() {
	for _, f := range w.files {
		f.Close()
	}
}

func (w *twin) path(p string) string { return filepath.Join(w.dir, p) }

// kind returns the S_IFMT part of a path's mode. A link that leads nowhere is ENOENT, whatever
// lies on its way.
func (w *twin) kind(p string, follow bool) (uint32, error) {
	var st unix.Stat_t
	err := unix.Lstat(w.path(p), &st)
	if err != nil || !follow {
		return kindOf(&st), err
	}
	if err = unix.Stat(w.path(p), &st); err == unix.ENOTDIR {
		err = unix.ENOENT
	}
	return kindOf(&st), err
}

func (w *twin) attr(p string, follow bool) (Attr, error) {
	_, err := w.kind(p, follow)
	path := w.path(p)
	if err == nil && follow {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return Attr{}, err
	}
	return attrAt(unix.AT_FDCWD, path)
}

// do does what r asks for, and returns the answer with its payload.
func (w *twin) do(r *Request, payload []byte) (a Answer, out []byte, err error) {
	switch r.Operation {
	case OpList:
		a.Entries, err = w.list(r.Path)
	case OpOpen:
		a.Attr, err = w.open(r)
	case OpStage:
		a.Attr, err = w.put(r, payload)
	case OpMkdir:
		a.Attr, err = w.make(r.Path, func(path string) error { return unix.Mkdir(path, uint32(r.Mode)) })
	case OpSymlink:
		a.Attr, err = w.make(r.Path, func(path string) error { return unix.Symlink(r.Target, path) })
	case OpLink:
		if _, err = w.kind(r.Path, false); err == nil {
			a.Attr, err = w.make(r.ToPath, func(path string) error {
				return unix.Linkat(unix.AT_FDCWD, w.path(r.Path), unix.AT_FDCWD, path, 0)
			})
		}
	case OpReadlink:
		if a.Target, err = os.Readlink(w.path(r.Path)); errors.Is(err, unix.EINVAL) {
			_, kindErr := w.kind(r.Path, false)
			err = errors.Join(kindErr, err)
		}
	case OpRename:
		err = w.rename(r)
	case OpRemove:
		a.Removed, err = w.remove(r)
	case OpStat:
		if r.Path != "" {
			a.Attr, err = w.attr(r.Path, r.Flags&StatFollow != 0)
			break
		}
		fallthrough
	default:
		if r.Operation == OpSet && r.Path != "" {
			a.Attr, err = w.set(r)
			break
		}
		f := w.files[r.Handle]
		if f == nil {
			return a, nil, unix.EBADF
		}
		return w.onFile(f, r, payload)
	}
	return a, nil, err
}

func (w *twin) list(p string) (entries []Entry, err error) {
	found, err := os.ReadDir(w.path(p))
	for _, e := range found {
		attr, err := w.attr(p+"/"+e.Name(), false)
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{Name: e.Name(), Attr: attr})
	}
	return entries, err
}

// make makes a name.
func (w *twin) make(p string, call func(path string) error) (Attr, error) {
	if p == "/" {
		return Attr{}, unix.EEXIST
	}
	if err := call(w.path(p)); err != nil {
		return Attr{}, err
	}
	return w.attr(p, false)
}

func (w *twin) rename(r *Request) error {
	if r.Path == "/" || r.ToPath == "/" {
		return unix.EBUSY
	}
	if isBelow(r.ToPath, r.Path) {
		return code(CodeBadRequest)
	}
	if _, err := w.kind(r.Path, false); err != nil {
		return err
	}
	if r.Flags == RenameExchange && isBelow(r.Path, r.ToPath) {
		return code(CodeBadRequest)
	}
	flags := map[Flags]uint{RenameKeep: unix.RENAME_NOREPLACE, RenameExchange: unix.RENAME_EXCHANGE}[r.Flags]
	return unix.Renameat2(unix.AT_FDCWD, w.path(r.Path), unix.AT_FDCWD, w.path(r.ToPath), flags)
}

func (w *twin) remove(r *Request) (removed uint64, err error) {
	kind, err := w.kind(r.Path, false)
	switch {
	case err != nil:
		return 0, err
	case r.Path == "/":
		return 0, unix.EBUSY
	case r.Flags == 0 && kind == unix.S_IFDIR:
		return 0, unix.EISDIR
	case r.Flags == RemoveDirectory && kind != unix.S_IFDIR:
		return 0, unix.ENOTDIR
	case r.Flags == RemoveRecursive:
		filepath.WalkDir(w.path(r.Path), func(string, fs.DirEntry, error) error {
			removed++
			return nil
		})
		return removed, os.RemoveAll(w.path(r.Path))
	default:
		return 1, os.Remove(w.path(r.Path))
	}
}

func (w *twin) open(r *Request) (Attr, error) {
	exclusive, follow := r.Flags&OpenExclusive != 0, r.Flags&OpenFollow != 0
	flags := map[Flags]int{OpenRead: unix.O_RDONLY, OpenWrite: unix.O_WRONLY, OpenRead | OpenWrite: unix.O_RDWR}[r.Flags&(OpenRead|OpenWrite)]
	kind, err := w.kind(r.Path, follow && !exclusive)
	_, missing := w.kind(r.Path, false)
	switch {
	case err == nil && exclusive:
		return Attr{}, unix.EEXIST
	case err == nil && kind != unix.S_IFREG:
		return Attr{}, unix.EISDIR
	case err == nil && r.Flags&OpenTruncate != 0:
		flags |= unix.O_TRUNC
	case err == nil:
	case !errors.Is(err, unix.ENOENT) || missing == nil || r.Flags&OpenCreate == 0: // a broken link stays one
		return Attr{}, err
	default:
		flags |= unix.O_CREAT | unix.O_EXCL
	}
	fd, err := unix.Open(w.path(r.Path), flags, uint32(r.Mode))
	if err != nil {
		return Attr{}, err
	}
	w.files[r.Handle], w.flags[r.Handle] = os.NewFile(uintptr(fd), r.Path), r.Flags
	return attrAt(fd, "")
}

// put is STAGE, WRITE and COMMIT.
func (w *twin) put(r *Request, content []byte) (Attr, error) {
	kind, err := w.kind(r.Path, false)
	switch {
	case r.Path == "/", err == nil && (r.Flags&StageReplace == 0 || kind != unix.S_IFREG):
		return Attr{}, unix.EEXIST
	case err != nil && !errors.Is(err, unix.ENOENT):
		return Attr{}, err
	}
	old, missing := w.attr(r.Path, false)
	temp := w.path(filepath.Dir(r.Path) + "/.temp")
	fd, err := unix.Open(temp, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, uint32(r.Mode))
	if err != nil {
		return Attr{}, err
	}
	_, err = unix.Write(fd, content)
	if missing == nil {
		err = errors.Join(err, unix.Fchmod(fd, uint32(old.Mode)))
	}
	if err := errors.Join(err, unix.Close(fd), os.Rename(temp, w.path(r.Path))); err != nil {
		return Attr{}, err
	}
	return w.attr(r.Path, false)
}

func (w *twin) set(r *Request) (Attr, error) {
	follow, c := r.Flags&SetFollow != 0, &r.Changes
	kind, err := w.kind(r.Path, follow)
	if err != nil {
		return Attr{}, err
	}
	path, link := w.path(r.Path), unix.AT_SYMLINK_NOFOLLOW
	if follow {
		link = 0
	}
	switch {
	case c.Size != nil && kind != unix.S_IFREG:
		return Attr{}, unix.EISDIR
	case c.Size != nil:
		err = unix.Truncate(path, *c.Size)
	}
	if err == nil && c.Mode != nil {
		if err = unix.EOPNOTSUPP; kind != unix.S_IFLNK {
			err = unix.Chmod(path, uint32(*c.Mode))
		}
	}
	if err == nil && c.Modified != nil {
		err = unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{timespec(nil), timespec(c.Modified)}, link)
	}
	if err != nil {
		return Attr{}, err
	}
	return w.attr(r.Path, follow)
}

// onFile is for requests on a handle.
func (w *twin) onFile(f *os.File, r *Request, payload []byte) (a Answer, out []byte, err error) {
	reads, writes := w.flags[r.Handle]&OpenRead != 0, w.flags[r.Handle]&OpenWrite != 0
	fd := int(f.Fd())
	switch r.Operation {
	case OpStat:
		a.Attr, err = attrAt(fd, "")
	case OpClose:
		delete(w.files, r.Handle)
		err = f.Close()
	case OpSet:
		if r.Changes.Size != nil {
			if err = unix.EBADF; writes {
				err = unix.Ftruncate(fd, *r.Changes.Size)
			}
		}
		if err == nil && r.Changes.Mode != nil {
			err = unix.Fchmod(fd, uint32(*r.Changes.Mode))
		}
		if err == nil {
			a.Attr, err = attrAt(fd, "")
		}
	case OpRead:
		out = make([]byte, r.Length)
		var n int
		n, err = unix.Pread(fd, out, r.Offset)
		out = out[:max(n, 0)]
	case OpWrite:
		_, err = unix.Pwrite(fd, payload, r.Offset)
	case OpAppend:
		if a.Offset, err = unix.Seek(fd, 0, unix.SEEK_END); err == nil {
			_, err = unix.Pwrite(fd, payload, a.Offset)
		}
	case OpAllocate:
		err = unix.Fallocate(fd, allocateMode(r.Flags), r.Offset, r.Length)
	case OpCopy:
		a.Length, err = w.copy(f, r)
	case OpChunks:
		if !reads {
			return a, nil, unix.EBADF
		}
		content := w.content(f)
		out = cutBytes(content[min(r.Offset, int64(len(content))):], r.Length, r.Exponent)
	case OpDigest:
		if !reads {
			return a, nil, unix.EBADF
		}
		content := w.content(f)
		content = content[min(r.Offset, int64(len(content))):]
		content = content[:min(r.Length, int64(len(content)))]
		for block := range slices.Chunk(content, int(r.Block)) {
			sum := sha256.Sum256(block)
			out = append(out, sum[:]...)
		}
	}
	return a, out, err
}

func allocateMode(flags Flags) (mode uint32) {
	if flags&(AllocateKeepSize|AllocatePunch) != 0 {
		mode |= unix.FALLOC_FL_KEEP_SIZE
	}
	if flags&AllocatePunch != 0 {
		mode |= unix.FALLOC_FL_PUNCH_HOLE
	}
	if flags&AllocateZero != 0 {
		mode |= unix.FALLOC_FL_ZERO_RANGE
	}
	return mode
}

func (w *twin) copy(from *os.File, r *Request) (int64, error) {
	to := w.files[r.ToHandle]
	if to == nil {
		return 0, unix.EBADF
	}
	content := w.content(from)
	content = content[min(r.Offset, int64(len(content))):]
	content = content[:min(r.Length, int64(len(content)))]
	length := int64(len(content))
	source, err := attrAt(int(from.Fd()), "")
	target, err2 := attrAt(int(to.Fd()), "")
	switch {
	case errors.Join(err, err2) != nil:
		return 0, errors.Join(err, err2)
	case source.Inode == target.Inode && r.Offset < r.ToOffset+length && r.ToOffset < r.Offset+length:
		return 0, code(CodeBadRequest)
	case length > 0 && (w.flags[r.Handle]&OpenRead == 0 || w.flags[r.ToHandle]&OpenWrite == 0):
		return 0, unix.EBADF
	}
	_, err = to.WriteAt(bytes.Clone(content), r.ToOffset)
	return length, err
}

// content returns all of an open file, whatever it is open for.
func (w *twin) content(f *os.File) []byte {
	attr, err := attrAt(int(f.Fd()), "")
	if err != nil {
		return nil
	}
	content := make([]byte, attr.Size)
	again, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return nil
	}
	defer again.Close()
	n, _ := again.ReadAt(content, 0)
	return content[:n]
}
