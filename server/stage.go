package server

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// stage is STAGE. No part is kept of one that ended before, so that there is none to resume.
func (t *task) stage() error {
	d, name, err := t.destination()
	if err != nil {
		return err
	}
	uploads := t.session.server.uploads
	reserve := t.Flags&remofile2.StageReserve != 0
	if reserve {
		unlock := uploads.lockToReserve(place{d.id, name})
		defer unlock()
	}
	s, err := uploads.stage(d, name, 0, t.session.address(), uint32(t.Mode))
	if err != nil {
		return err
	}
	if err = t.checkStaged(s); err == nil {
		t.answer.Attr, err = attrAt(int(s.part.Fd()), "")
	}
	if err != nil {
		s.close()
		return err
	}
	if reserve {
		s.reserve()
	}
	t.file.file, t.file.write, t.file.staged = s.part, true, s
	t.file.replace = t.Flags&remofile2.StageReplace != 0
	return nil
}

// destination returns where a staged file goes to; the directory is open. With FOLLOW that is
// the file that a symbolic link leads to.
func (t *task) destination() (*directory, string, error) {
	d, name, err := t.newName(t.Path)
	if err != nil || t.Flags&remofile2.StageFollow == 0 {
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

// checkStaged fails where the name is taken already, and not by a file to be replaced.
func (t *task) checkStaged(s *staged) error {
	var st unix.Stat_t
	err := s.table.jail.stat(s.dir, s.name, &st)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err == nil && (t.Flags&remofile2.StageReplace == 0 || kindOf(&st) != unix.S_IFREG):
		return unix.EEXIST
	default:
		return err
	}
}

// commit is COMMIT.
func (t *task) commit() error {
	f, err := t.opened()
	if err != nil {
		return err
	}
	s := t.file.staged
	if s == nil {
		return code(remofile2.CodeBadHandle)
	}
	if err := t.session.missedOn(t.file); err != nil {
		return err
	}
	replace := t.file.replace && t.Flags&remofile2.CommitKeep == 0
	durable := t.Flags&remofile2.CommitSync != 0
	if err := s.prepare(replace); err != nil {
		return err
	}
	if err := t.change(int(f.Fd()), ""); err != nil {
		return err
	}
	if durable {
		if err := t.file.sync(false); err != nil {
			return err
		}
	}
	if err := s.publish(replace); err != nil {
		return err
	}
	t.file.staged = nil
	if durable {
		err = s.dir.file.Sync()
	}
	s.free()
	if err != nil {
		return err
	}
	t.answer.Attr, err = attrAt(int(f.Fd()), "")
	return err
}
