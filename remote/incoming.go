package remote

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// incoming is a local file that is not complete, beside the name that it will have.
type incoming struct {
	destination string
	replace     bool
	mode        fs.FileMode // less the umask, before resume
	source      *Attr       // if not nil, the mode and the time that commit gives it

	*os.File        // nil before it is written
	path     string // of the file; "" when it has none of its own any longer
	part     bool   // it may be kept, see makePart
}

// preserve has commit give the file the mode and the time that source has by then. Until then nobody
// else can read it.
func (in *incoming) preserve(source *Attr) {
	in.source, in.mode = source, 0o600
}

// newIncoming fails where the destination can't be.
func newIncoming(destination string, replace bool) (*incoming, error) {
	mode := fs.FileMode(0o666)
	info, err := os.Lstat(destination)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, localError("download", destination, err)
	case !replace:
		return nil, &Error{Op: "download", Path: destination, Code: Exists}
	case info.IsDir():
		return nil, &Error{Op: "download", Path: destination, Code: NotAFile}
	case info.Mode().IsRegular():
		mode = info.Mode().Perm()
	}
	return &incoming{destination: destination, replace: replace, mode: mode}, nil
}

// create makes the file, if there is none yet: what is refused at once leaves nothing, even
// where the process is killed.
func (in *incoming) create() error {
	if in.File != nil {
		return nil
	}
	path := filepath.Join(filepath.Dir(in.destination), ".rmf-"+rand.Text())
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, in.mode)
	if err != nil {
		return localError("download", in.destination, err)
	}
	in.File, in.path = f, path
	return nil
}

func (in *incoming) Write(b []byte) (int, error) {
	if err := in.create(); err != nil {
		return 0, err
	}
	return in.File.Write(b)
}

// resume puts the part that an earlier download has left in the place of the file, and
// returns its size in bytes. Where there is none, the file becomes the part. Where it can't,
// or another process has the part, the download goes on without one.
func (in *incoming) resume() (int64, error) {
	if err := in.create(); err != nil {
		return 0, err
	}
	info, err := in.Stat()
	if err != nil {
		return 0, err
	}
	if in.part {
		return info.Size(), nil // it is there from another attempt
	}
	in.mode = info.Mode().Perm()
	dir, name := filepath.Split(in.destination)
	path := filepath.Join(dir, partName(name))
	part, err := openPart(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !makePart(in.File, in.path, path, name) {
			return 0, nil
		}
		in.path, in.part = path, true
		return 0, in.Chmod(in.mode | partMode)
	}
	if err != nil {
		return 0, nil
	}
	size, err := in.adopt(part)
	if err != nil {
		part.Close()
		return 0, nil
	}
	in.end(false)
	in.File, in.path, in.part = part, path, true
	return size, nil
}

// adopt gives a part the mode that it has until the commit, and returns its size in bytes.
// One that has other names is not only ours to change.
func (in *incoming) adopt(part *os.File) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(part.Fd()), &st); err != nil {
		return 0, err
	}
	if st.Nlink != 1 {
		return 0, errNotOurs
	}
	return st.Size, part.Chmod(in.mode | partMode)
}

// commit gives the file its name, in one step, and a part its mode and size before that.
func (in *incoming) commit(size int64) error {
	if err := in.create(); err != nil {
		return err
	}
	if err := in.complete(size); err != nil {
		return localError("download", in.destination, err)
	}
	if err := closeCopy(in.File); err != nil {
		return localError("download", in.destination, err)
	}
	if err := in.rename(); err != nil {
		return localError("download", in.destination, err)
	}
	if in.part {
		unmark(in.File)
	}
	return nil
}

// complete gives the file the attributes that it will have, and a part the size.
func (in *incoming) complete(size int64) error {
	preserved := in.source != nil
	if preserved {
		in.mode = in.source.Mode.Perm()
	}
	var err error
	if in.part {
		err = in.Truncate(size)
	}
	if err == nil && (in.part || preserved) {
		err = in.Chmod(in.mode)
	}
	if err == nil && preserved {
		err = os.Chtimes(in.path, time.Time{}, in.source.Modified)
	}
	return err
}

// closeCopy closes a second descriptor of the file: some file systems report a failed write as late
// as then. The lock of a part ends with the last one only.
func closeCopy(f *os.File) error {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func (in *incoming) rename() error {
	if !in.replace {
		err := os.Link(in.path, in.destination)
		if err == nil || errors.Is(err, fs.ErrExist) {
			return err
		}
		// A file system without hard links: the check is all there is.
		if _, err := os.Lstat(in.destination); err == nil {
			return fs.ErrExist
		}
	}
	err := os.Rename(in.path, in.destination)
	if err == nil {
		in.path = ""
	}
	return err
}

// end closes the file, and removes the name that it had before the commit unless it is a
// part to be kept.
func (in *incoming) end(keep bool) {
	if in.File == nil {
		return
	}
	if in.path != "" && !(in.part && keep) {
		os.Remove(in.path)
	}
	in.Close()
}
