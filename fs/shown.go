package fs

import (
	"log/slog"
	"syscall"
)

// shown is what a mount shows of all files, whatever the server tells of them, and where
// it logs.
type shown struct {
	uid, gid uint32
	umask    uint32 // of a Remofile 1 server's files, which have no permission bits
	hidden   uint32 // the permission bits that no file has
	log      *slog.Logger
}

// done ends an operation: it logs the outcome and returns its errno. A failure
// that is not the caller's doing is a warning.
func (s *shown) done(op, path string, err error) syscall.Errno {
	errno := errnoOf(err)
	switch errno {
	case 0:
		s.log.Debug("done", "op", op, "path", path)
	case syscall.EIO, syscall.EHOSTDOWN:
		s.log.Warn("failed", "op", op, "path", path, "err", err)
	default:
		s.log.Debug("failed", "op", op, "path", path, "err", err)
	}
	return errno
}

// unsaved ends an operation that left changes unsaved.
func (s *shown) unsaved(op, path string, err error) syscall.Errno {
	s.log.Error("changes are not saved", "op", op, "path", path, "err", err)
	return errnoOf(err)
}
