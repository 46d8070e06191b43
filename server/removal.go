package server

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// remove is REMOVE.
func (t *task) remove() error {
	how := t.Flags &^ remofile2.RemoveDirect
	if how&(how-1) != 0 {
		return code(remofile2.CodeBadRequest)
	}
	found, err := t.lookUp(t.Path, false)
	if err != nil {
		return err
	}
	defer found.close()
	if found.name == "." {
		return unix.EBUSY // the root
	}
	if t.Flags&remofile2.RemoveDirect != 0 {
		if err := t.session.server.jail.checkNoLinks(found.dir); err != nil {
			return err
		}
	}
	return t.removeTarget(found, how)
}

// removeTarget removes what was found, as how says: one of the flags, or none.
func (t *task) removeTarget(found *target, how remofile2.Flags) (err error) {
	directory := found.kind() == unix.S_IFDIR
	switch {
	case how == 0 && directory:
		return unix.EISDIR
	case how == remofile2.RemoveDirectory && !directory:
		return unix.ENOTDIR
	}
	r := removal{task: t}
	err = t.own(found.place(), unix.IN_DELETE, func() error {
		if how == remofile2.RemoveRecursive && directory {
			return r.tree(found.dir.file, found.name, 0)
		}
		return r.one(found.dir.file, found.name, directory)
	})
	t.answer.Removed = r.removed
	return err
}

// removal removes files and directories.
type removal struct {
	task    *task
	removed uint64
}

func (r *removal) one(dir *os.File, name string, directory bool) error {
	flags := 0
	if directory {
		flags = unix.AT_REMOVEDIR
	}
	err := unlinkat(int(dir.Fd()), name, flags)
	if err == nil {
		r.removed++
	}
	return err
}

// tree removes a directory with all that is in it. Nothing is followed, and what others
// remove meanwhile is no failure. What others put in may stay: then the directory is not
// empty. Each level holds a descriptor.
func (r *removal) tree(above *os.File, name string, depth int) error {
	if depth == remofile2.MaxRemovalDepth {
		return unix.ENAMETOOLONG
	}
	dir, err := openat(int(above.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return gone(err)
	}
	defer dir.Close()
	_, id, err := identify(dir)
	if err != nil {
		return err
	}
	for {
		before := r.removed
		err := r.task.own(place{directory: id}, unix.IN_DELETE, func() error { return r.content(dir, depth) })
		if err != nil {
			return err
		}
		err = r.one(above, name, true)
		// Where names were removed, a file system may have left out others.
		if !errors.Is(err, unix.ENOTEMPTY) || r.removed == before {
			return gone(err)
		}
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
}

// content removes what is in a directory.
func (r *removal) content(dir *os.File, depth int) error {
	return forEachName(dir, func(name string) error {
		if err := r.task.ctx.Err(); err != nil {
			return err
		}
		return gone(r.entry(dir, name, depth))
	})
}

// entry removes what a name in dir is. Staged files are others': a directory that holds
// them stays.
func (r *removal) entry(dir *os.File, name string, depth int) error {
	if isStagingName(name) {
		var st unix.Stat_t
		d := &directory{file: dir}
		if err := fstatat(d.fd(), name, &st); err != nil {
			return err
		}
		if kindOf(&st) == unix.S_IFDIR && r.task.session.server.jail.isStaging(d, name, idOf(&st)) {
			return inUse("files are being uploaded to it")
		}
	}
	err := r.one(dir, name, false)
	if errors.Is(err, unix.EISDIR) {
		return r.tree(dir, name, depth+1)
	}
	return err
}

// gone makes it no failure that somebody else has removed a name.
func gone(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
