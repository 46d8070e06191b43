package server

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// stage is STAGE.
func (t *task) stage() error {
	shared, reserve := t.Flags&remofile2.StageShared != 0, t.Flags&remofile2.StageReserve != 0
	if shared && t.Part != "" {
		return code(remofile2.CodeBadRequest)
	}
	d, name, err := t.destination()
	if err != nil {
		return err
	}
	free := func() error { return t.checkFree(d, name) }
	if err := free(); err != nil {
		d.close()
		return err
	}
	uploads := t.session.server.uploads
	s, err := uploads.stage(t.ctx, d, name, &intent{
		holder: t.session,
		failed: func() error { return t.session.missedOn(t.file) },
		shared: shared,
		mode:   uint32(t.Mode),
		part:   t.Part,
		resume: t.Flags&remofile2.StageResume != 0,
	})
	if err != nil {
		return err
	}
	t.answer.Attr, err = attrAt(int(s.part.Fd()), "")
	s.id = fileID{t.answer.Attr.Device, t.answer.Attr.Inode}
	if err == nil && reserve {
		err = uploads.reserve(s, free)
	}
	if err != nil {
		return errors.Join(err, s.close(false))
	}
	t.file.file, t.file.write, t.file.staged = s.part, true, s
	t.file.replace = t.Flags&remofile2.StageReplace != 0
	if reserve { // others may publish it
		t.session.openedAt(t.file, s.place())
	}
	return nil
}

// destination returns where a staged file goes to; the directory is open. With FOLLOW that is
// the file that a symbolic link leads to.
func (t *task) destination() (*directory, string, error) {
	d, name, err := t.newName(t.Path)
	if err != nil || t.Flags&remofile2.StageFollow == 0 || !isLink(d, name) {
		return d, name, err
	}
	d.close()
	dir, name := split(t.Path)
	found, err := t.session.server.jail.locate(dir, name)
	if errors.Is(err, errNowhere) {
		err = unix.EEXIST
	}
	if err != nil {
		return nil, "", err
	}
	return found.dir, found.name, nil
}

func isLink(d *directory, name string) bool {
	var st unix.Stat_t
	return fstatat(d.fd(), name, &st) == nil && kindOf(&st) == unix.S_IFLNK
}

// checkFree fails where the name is taken already, and not by a file to be replaced. What
// is there can't be reserved.
func (t *task) checkFree(d *directory, name string) error {
	var st unix.Statx_t
	err := t.session.server.jail.stat(d, name, &st)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err == nil && (t.Flags&(remofile2.StageReplace|remofile2.StageReserve) != remofile2.StageReplace || kindOfX(&st) != unix.S_IFREG):
		return unix.EEXIST
	default:
		return err
	}
}

// commit is COMMIT. Somebody who opened its reserved name may have published the file before.
func (t *task) commit() error {
	s := t.file.staged
	if s == nil {
		return code(remofile2.CodeBadHandle)
	}
	if err := s.failed(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == displaced {
		return errDisplaced
	}
	if s.state == hidden {
		if err := t.publish(s); err != nil {
			return err
		}
	} else if err := t.own(s.place(), unix.IN_MODIFY|unix.IN_ATTRIB, t.finish); err != nil {
		return err
	}
	t.file.staged = nil
	t.session.openedAt(t.file, s.place())
	defer s.dir.close()
	if t.Flags&remofile2.CommitSync != 0 {
		if err := retry(func() error { return unix.Fsync(s.dir.fd()) }); err != nil {
			return err
		}
	}
	var err error
	t.answer.Attr, err = attrAt(int(s.part.Fd()), "")
	return err
}

// publish makes the staged file visible, with the changes that COMMIT names.
func (t *task) publish(s *staged) error {
	replace := t.file.replace && t.Flags&remofile2.CommitKeep == 0
	if err := s.prepare(replace); err != nil {
		return err
	}
	if err := t.finish(); err != nil {
		return err
	}
	return t.ownMove(s.dir, s.name, s.id, func() error { return s.publish(replace) })
}

// finish makes the changes that COMMIT names.
func (t *task) finish() error {
	if t.Changes != (remofile2.Changes{}) {
		if err := t.change(int(t.file.file.Fd()), ""); err != nil {
			return err
		}
	}
	if t.Flags&remofile2.CommitSync == 0 {
		return nil
	}
	return t.file.sync(false)
}
