package server

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/remofile2"
)

// The operations on names.

// split returns the directory and the name of a path, "." for the root.
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if dir, name = path[:i], path[i+1:]; name == "" {
		return "/", "."
	}
	if dir == "" {
		dir = "/"
	}
	return dir, name
}

// newName returns the directory, open, and the name of a path where something is to be
// made. What is hidden there, or the server takes for no name, can't be made.
func (t *task) newName(path string) (*directory, string, error) {
	dir, name := split(path)
	if name == "." {
		return nil, "", unix.EEXIST
	}
	o := &t.session.server.options
	if isStagingName(name) || o.PortableNames && !protocol.ValidName(name) {
		return nil, "", code(remofile2.CodeInvalidName)
	}
	d, err := t.session.server.jail.open(dir)
	return d, name, err
}

// makeName makes what a path names, unless that is reserved.
func (t *task) makeName(path string, make func(d *directory, name string) error) error {
	return t.takeName(path, func(d *directory, name string) error {
		return t.own(place{d.id, name}, unix.IN_CREATE, func() error { return make(d, name) })
	})
}

// takeName makes a path name something, unless that is reserved.
func (t *task) takeName(path string, take func(d *directory, name string) error) error {
	d, name, err := t.newName(path)
	if err != nil {
		return err
	}
	defer d.close()
	return t.session.server.uploads.makeName(d, name, func(int, string) error { return take(d, name) })
}

// lookUp opens the directory of the last name of a path. With follow, a link there is
// followed.
func (t *task) lookUp(path string, follow bool) (*target, error) {
	look := t.session.server.jail.find
	if follow {
		look = t.session.server.jail.locate
	}
	dir, name := split(path)
	found, err := look(dir, name)
	if err == nil && !found.exists() {
		found.close()
		err = unix.ENOENT
	}
	return found, err
}

// stat is STAT.
func (t *task) stat() error {
	if t.file != nil {
		return t.statFile()
	}
	found, err := t.lookUp(t.Path, t.Flags&remofile2.StatFollow != 0)
	if err != nil {
		return err
	}
	defer found.close()
	t.answer.Attr = attrOf(&found.st)
	return nil
}

// set is SET.
func (t *task) set() error {
	if t.file != nil {
		f, done, err := t.file.changing()
		if err != nil {
			return err
		}
		defer done()
		return t.changeOwn(t.session.placeOf(t.file), int(f.Fd()), "")
	}
	found, err := t.lookUp(t.Path, t.Flags&remofile2.SetFollow != 0)
	if err != nil {
		return err
	}
	defer found.close()
	if t.Changes.Size != nil && found.kind() != unix.S_IFREG {
		return unix.EISDIR
	}
	return t.changeOwn(place{found.dir.id, found.name}, found.dir.fd(), found.name)
}

// changeOwn is change for what stands at p, and tells the attributes.
func (t *task) changeOwn(p place, fd int, name string) error {
	events := uint32(unix.IN_MODIFY | unix.IN_ATTRIB)
	if name != "" && t.Changes.Size != nil {
		events |= unix.IN_CLOSE_WRITE
	}
	err := t.own(p, events, func() error { return t.change(fd, name) })
	if err == nil {
		t.answer.Attr, err = attrAt(fd, name)
	}
	return err
}

// change makes the changes to a name in the directory fd, or with the empty name to the
// file fd of the handle.
func (t *task) change(fd int, name string) error {
	c := &t.Changes
	if c.Size != nil {
		if err := t.resize(fd, name, *c.Size); err != nil {
			return err
		}
	}
	if c.Mode != nil {
		if err := chmod(fd, name, uint32(*c.Mode)); err != nil {
			return err
		}
	}
	if c.Modified != nil || c.Accessed != nil {
		if err := utimens(fd, name, timespec(c.Accessed), timespec(c.Modified)); err != nil {
			return err
		}
	}
	return nil
}

// resize changes the size of a regular file.
func (t *task) resize(fd int, name string, size int64) error {
	if name == "" {
		if !t.file.write {
			return code(remofile2.CodeBadHandle)
		}
		if err := t.file.grow(size, 0); err != nil {
			return err
		}
		return ftruncate(fd, size)
	}
	f, err := openat(fd, name, unix.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	err = t.session.server.checkGrowth(f, size)
	if err == nil {
		err = ftruncate(int(f.Fd()), size)
	}
	return errors.Join(err, f.Close())
}

// checkGrowth fails where a file would become larger than the limit.
func (s *Server) checkGrowth(f *os.File, size int64) error {
	if s.growthLimit == 0 || size <= s.growthLimit {
		return nil
	}
	var st unix.Stat_t
	err := fstat(int(f.Fd()), &st)
	if err == nil && size > st.Size {
		err = unix.EFBIG
	}
	return err
}

// makeDirectory is MKDIR.
func (t *task) makeDirectory() error {
	return t.makeName(t.Path, func(d *directory, name string) error {
		if err := mkdirat(d.fd(), name, uint32(t.Mode)); err != nil {
			return err
		}
		return t.made(d.fd(), name, remofile2.KindDirectory)
	})
}

// made tells the attributes of what was just made. That somebody else has removed or renamed
// it since is no failure: then there is only its kind to tell.
func (t *task) made(dirfd int, name string, kind remofile2.Kind) (err error) {
	t.answer.Attr, err = attrAt(dirfd, name)
	if errors.Is(err, unix.ENOENT) {
		t.answer.Attr, err = remofile2.Attr{Kind: kind}, nil
	}
	return err
}

// makeLink is LINK.
func (t *task) makeLink() error {
	from, err := t.lookUp(t.Path, false)
	if err != nil {
		return err
	}
	defer from.close()
	return t.makeName(t.ToPath, func(d *directory, name string) error {
		if err := linkat(from.dir.fd(), from.name, d.fd(), name); err != nil {
			return err
		}
		t.session.server.watcher.changed(place{from.dir.id, from.name}, t.session)
		return t.made(d.fd(), name, kinds[from.kind()])
	})
}

// makeSymlink is SYMLINK. Its target is not looked at: whoever resolves it decides.
func (t *task) makeSymlink() error {
	return t.makeName(t.Path, func(d *directory, name string) error {
		if err := symlinkat(t.Target, d.fd(), name); err != nil {
			return err
		}
		return t.made(d.fd(), name, remofile2.KindSymlink)
	})
}

// readLink is READLINK.
func (t *task) readLink() error {
	found, err := t.lookUp(t.Path, false)
	if err != nil {
		return err
	}
	defer found.close()
	t.answer.Target, err = readlinkat(found.dir.fd(), found.name)
	return err
}

// rename is RENAME.
func (t *task) rename() error {
	if t.Path == "/" || t.ToPath == "/" {
		return unix.EBUSY
	}
	if t.Flags == remofile2.RenameKeep|remofile2.RenameExchange || isBelow(t.ToPath, t.Path) {
		return code(remofile2.CodeBadRequest)
	}
	from, err := t.lookUp(t.Path, false)
	if err != nil {
		return err
	}
	defer from.close()
	if t.Flags == remofile2.RenameExchange {
		return t.exchange(from)
	}
	return t.takeName(t.ToPath, func(d *directory, name string) error { return t.move(from, d, name) })
}

// move is RENAME without EXCHANGE.
func (t *task) move(from *target, to *directory, name string) error {
	err := t.own(from.place(), unix.IN_MOVED_FROM, func() error {
		return t.ownMove(to, name, idOfX(&from.st), func() error {
			if t.Flags == remofile2.RenameKeep {
				return renameat2(from.dir.fd(), from.name, to.fd(), name, unix.RENAME_NOREPLACE)
			}
			return renameat(from.dir.fd(), from.name, to.fd(), name)
		})
	})
	if err == nil {
		t.session.moved(map[place]place{from.place(): {to.id, name}})
	}
	return err
}

// exchange is RENAME with EXCHANGE.
func (t *task) exchange(from *target) error {
	if isBelow(t.Path, t.ToPath) {
		return code(remofile2.CodeBadRequest)
	}
	to, err := t.lookUp(t.ToPath, false)
	if err != nil {
		return err
	}
	defer to.close()
	err = t.ownMove(from.dir, from.name, idOfX(&to.st), func() error {
		return t.ownMove(to.dir, to.name, idOfX(&from.st), func() error {
			return renameat2(from.dir.fd(), from.name, to.dir.fd(), to.name, unix.RENAME_EXCHANGE)
		})
	})
	if err == nil {
		t.session.moved(map[place]place{from.place(): to.place(), to.place(): from.place()})
	}
	return err
}

// isBelow reports whether a path leads to something in a directory other than the root.
func isBelow(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }

// space is SPACE.
func (t *task) space() error {
	found, err := t.lookUp(t.Path, true)
	if err != nil {
		return err
	}
	defer found.close()
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(found.dir.fd(), &st) }); err != nil {
		return err
	}
	t.answer.Space = remofile2.Space{
		Total:     int64(st.Blocks) * st.Frsize,
		Free:      int64(st.Bfree) * st.Frsize,
		Available: int64(st.Bavail) * st.Frsize,
		Files:     st.Files,
		FreeFiles: st.Ffree,
	}
	return nil
}
