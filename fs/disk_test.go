package fs_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// newMountOn is newMount of a jail on which prepare has mounted something, with a server as s says. Only root
// can do that.
func newMountOn(t *testing.T, s serverRole, prepare func(m *mounted) error) *mounted {
	t.Helper()
	needFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a jail")
	}
	m := &mounted{t: t, jail: t.TempDir(), path: t.TempDir()}
	t.Cleanup(func() { unix.Unmount(m.jail, unix.MNT_DETACH) })
	if err := prepare(m); err != nil {
		t.Fatal(err)
	}
	s.Address = "127.0.0.1:0"
	m.serve(s)
	m.mount(mountRole{Address: m.address})
	return m
}

// smallDisk mounts a disk of 16 MiB on the jail.
func smallDisk(m *mounted) error {
	return unix.Mount("tmpfs", m.jail, "tmpfs", 0, "size=16m,mode=755")
}

// fill writes more to a file than the disk has room for, and returns the first error.
func fill(f *os.File) error {
	piece := make([]byte, 1<<20)
	for range 32 {
		if _, err := f.Write(piece); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// TestFullDiskIsToldAndNothingIsHalfVisible: a write, fsync or close fails with ENOSPC, a new file does not appear, one
// that was to be overwritten keeps its content, and when there is room again, all goes on.
func TestFullDiskIsToldAndNothingIsHalfVisible(t *testing.T) {
	m := newMountOn(t, serverRole{}, smallDisk)
	m.put("old", "old")
	created, err := os.Create(m.in("created"))
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "a new file", fill(created), syscall.ENOSPC)
	emptied, err := os.Create(m.in("old"))
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "an overwritten file", fill(emptied), syscall.ENOSPC)
	eventually(t, "what failed is gone", func() bool {
		_, err := os.Lstat(m.in("created"))
		return errors.Is(err, os.ErrNotExist)
	})
	wantNone(t, m.at("created"))
	want(t, m.at("old"), "old")
	if err := os.WriteFile(m.in("next"), []byte("there is room again"), 0o666); err != nil {
		t.Error(err)
	}
	want(t, m.at("next"), "there is room again")
}

// TestFullDiskStaysToldByTheDescriptor that was written to, in place: by fsync and close, too, also when there is
// room again. Others go on.
func TestFullDiskStaysToldByTheDescriptor(t *testing.T) {
	m := newMountOn(t, serverRole{}, smallDisk)
	m.put("f", "text")
	f, err := os.OpenFile(m.in("f"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	m.shell(`head -c 13M /dev/zero > $J/filler`)
	for off := int64(0); err == nil && off < 32<<20; off += 1 << 20 {
		if _, err = f.WriteAt(make([]byte, 1<<20), off); err == nil {
			err = f.Sync()
		}
	}
	wantError(t, "a write or fsync", err, syscall.ENOSPC)
	m.shell(`rm $J/filler`)
	wantError(t, "fsync", f.Sync(), syscall.ENOSPC)
	wantError(t, "close", f.Close(), syscall.ENOSPC)
	if err := os.WriteFile(m.in("f"), []byte("next"), 0o666); err != nil {
		t.Error(err)
	}
	want(t, m.at("f"), "next")
}

// TestReadOnlyJailRefusesEveryChange with EROFS, whoever makes it read-only, and is read as any other.
func TestReadOnlyJailRefusesEveryChange(t *testing.T) {
	for name, c := range map[string]struct {
		server serverRole
		remake func(m *mounted) error
	}{
		"the server": {serverRole{Refuses: true}, func(*mounted) error { return nil }},
		"its file system": {serverRole{}, func(m *mounted) error {
			return unix.Mount("", m.jail, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMountOn(t, c.server, func(m *mounted) error {
				return errors.Join(smallDisk(m), os.WriteFile(m.at("f"), []byte("text"), 0o644), c.remake(m))
			})
			want(t, m.in("f"), "text")
			f, err := os.OpenFile(m.in("f"), os.O_RDWR, 0)
			if err == nil {
				f.Close()
			}
			for what, err := range map[string]error{
				"open to write": err,
				"overwrite":     os.WriteFile(m.in("f"), []byte("other"), 0o666),
				"create":        os.WriteFile(m.in("new"), nil, 0o666),
				"mkdir":         os.Mkdir(m.in("d"), 0o777),
				"symlink":       os.Symlink("f", m.in("l")),
				"link":          os.Link(m.in("f"), m.in("l")),
				"rename":        os.Rename(m.in("f"), m.in("g")),
				"chmod":         os.Chmod(m.in("f"), 0o600),
				"truncate":      os.Truncate(m.in("f"), 1),
				"remove":        os.Remove(m.in("f")),
			} {
				wantError(t, what, err, syscall.EROFS)
			}
			want(t, m.in("f"), "text")
		})
	}
}
