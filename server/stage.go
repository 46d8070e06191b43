package server

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// stage is STAGE.
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
	if err := t.checkFree(d, name); err != nil {
		d.close()
		return err
	}
	s, err := uploads.stage(d, name, &intent{
		peer:   t.session.address(),
		mode:   uint32(t.Mode),
		part:   t.Part,
		resume: t.Flags&remofile2.StageResume != 0,
	})
	if err != nil {
		return err
	}
	if t.answer.Attr, err = attrAt(int(s.part.Fd()), ""); err != nil {
		s.close(false)
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

// checkFree fails where the name is taken already, and not by a file to be replaced.
func (t *task) checkFree(d *directory, name string) error {
	var st unix.Stat_t
	err := t.session.server.jail.stat(d, name, &st)
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
