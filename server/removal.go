package server

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// remove is REMOVE.
func (t *task) remove() error {
	how := t.Flags &^ remofile2.RemoveDirect
	if how&(how-1) != 0 {
		return code(remofile2.CodeBadRequest)
	}
	dir, name := split(t.Path)
	d, err := t.session.server.jail.open(dir)
	if err != nil {
		return err
	}
	defer d.close()
	if name == "." {
		return unix.EBUSY // the root
	}
	if t.Flags&remofile2.RemoveDirect != 0 {
		if err := t.session.server.jail.checkNoLinks(d); err != nil {
			return err
		}
	}
	directory := how == remofile2.RemoveDirectory
	if how != 0 && !directory || isStagingName(name) {
		// In the other cases unlinkat fails by itself where the name is of another kind.
		if directory, err = t.lookBefore(d, name, how); err != nil {
			return err
		}
	}
	return t.removeName(d, name, directory, how == remofile2.RemoveRecursive)
}

// lookBefore reports whether a name that is to be removed is a directory, and fails where it is not of the kind
// that how says.
func (t *task) lookBefore(d *directory, name string, how remofile2.Flags) (directory bool, err error) {
	var st unix.Statx_t
	if err := t.session.server.jail.stat(d, name, &st); err != nil {
		return false, err
	}
	directory = kindOfX(&st) == unix.S_IFDIR
	switch {
	case how == 0 && directory:
		return true, unix.EISDIR
	case how == remofile2.RemoveDirectory && !directory:
		return false, unix.ENOTDIR
	}
	return directory, nil
}

// removeName removes a name in d, a directory also with all that is in it.
func (t *task) removeName(d *directory, name string, directory, recursive bool) error {
	r := removal{task: t}
	err := t.own(place{d.id, name}, unix.IN_DELETE, func() error {
		if recursive && directory {
			return r.tree(d.fd(), name, 0)
		}
		return r.one(d.fd(), name, directory)
	})
	t.answer.Removed = r.removed
	return err
}

// removal removes files and directories.
type removal struct {
	task    *task
	removed uint64
}

func (r *removal) one(dirfd int, name string, directory bool) error {
	flags := 0
	if directory {
		flags = unix.AT_REMOVEDIR
	}
	err := unlinkat(dirfd, name, flags)
	if err == nil {
		r.removed++
	}
	return err
}

// tree removes a directory with all that is in it. Nothing is followed, and what others
// remove meanwhile is no failure. What others put in may stay: then the directory is not
// empty. Each level holds a descriptor.
func (r *removal) tree(above int, name string, depth int) error {
	if depth == remofile2.MaxRemovalDepth {
		return unix.ENAMETOOLONG
	}
	dirfd, err := openAt(above, name, toOpen, 0)
	if err != nil {
		return gone(err)
	}
	defer unix.Close(dirfd)
	_, id, err := identify(dirfd)
	if err != nil {
		return err
	}
	for {
		before := r.removed
		err := r.task.own(place{directory: id}, unix.IN_DELETE, func() error { return r.content(dirfd, depth) })
		if err != nil {
			return err
		}
		err = r.one(above, name, true)
		// Where names were removed, a file system may have left out others.
		if !errors.Is(err, unix.ENOTEMPTY) || r.removed == before {
			return gone(err)
		}
		if _, err := unix.Seek(dirfd, 0, io.SeekStart); err != nil {
			return err
		}
	}
}

// content removes what is in a directory.
func (r *removal) content(dirfd, depth int) error {
	return forEachName(dirfd, func(name string) error {
		if err := r.task.ctx.Err(); err != nil {
			return err
		}
		return gone(r.entry(dirfd, name, depth))
	})
}

// entry removes what a name in dir is. Staged files are others': a directory that holds
// them stays.
func (r *removal) entry(dirfd int, name string, depth int) error {
	if isStagingName(name) {
		var st unix.Stat_t
		if err := fstatat(dirfd, name, &st); err != nil {
			return err
		}
		if kindOf(&st) == unix.S_IFDIR && r.task.session.server.jail.isStaging(dirfd, name, idOf(&st)) {
			return inUse("files are being uploaded to it")
		}
	}
	err := r.one(dirfd, name, false)
	if errors.Is(err, unix.EISDIR) {
		return r.tree(dirfd, name, depth+1)
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
