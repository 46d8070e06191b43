package fs

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tempDir makes temporary files without a name: they are gone when they are
// closed, however the process ends. It holds the directory open, so that files
// go there even where the mount covers its path.
type tempDir struct {
	root *os.Root
}

// openTempDir opens the directory dir; "" is $TMPDIR, or else /var/tmp, because
// /tmp is often memory.
func openTempDir(dir string) (tempDir, error) {
	if dir == "" {
		dir = os.Getenv("TMPDIR")
	}
	if dir == "" {
		dir = "/var/tmp"
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return tempDir{}, fmt.Errorf("the directory for temporary files: %w", err)
	}
	return tempDir{root}, nil
}

// create makes an empty file that only this user can open.
func (t tempDir) create() (*os.File, error) {
	f, err := t.root.OpenFile(".", unix.O_TMPFILE|os.O_RDWR, 0o600)
	if err == nil || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EMFILE) {
		return f, err
	}
	return t.createAndRemove() // not every file system has O_TMPFILE
}

func (t tempDir) createAndRemove() (*os.File, error) {
	name := "rmf-" + rand.Text()
	f, err := t.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := t.root.Remove(name); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// close ends the making of files; those that are open stay so.
func (t tempDir) close() error {
	return t.root.Close()
}
