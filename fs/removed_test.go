package fs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRemovedDirectories that are open are as on a local file system, and others are not like them.
func TestRemovedDirectories(t *testing.T) {
	m := newMount(t, mountRole{})
	for name, remove := range map[string]func(dir string) error{
		"removed": os.Remove,
		"replaced": func(dir string) error {
			if err := os.Mkdir(dir+"2", 0o711); err != nil {
				return err
			}
			return unix.Rename(dir+"2", dir)
		},
	} {
		if there, here := removedDirectory(t, m.at(name), remove), removedDirectory(t, m.in(name+" here"), remove); !slices.Equal(there, here) {
			t.Errorf("%s: in the jail\n%q\nin the mount\n%q", name, there, here)
		}
	}
}

// TestADirectoryThatWasMovedIsNotRemoved with another that others have put in its place.
func TestADirectoryThatWasMovedIsNotRemoved(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`mkdir $J/d; stat $M/d > /dev/null; mv $J/d $J/e; mkdir $J/d; rmdir $M/d; chmod 711 $M/e; : > $M/e/f`)
	if there := m.shell(`stat -c %a $J/e; ls $J/e $M/e`); there != "711\n"+m.jail+"/e:\nf\n\n"+m.path+"/e:\nf\n" {
		t.Error(there)
	}
}

// removedDirectory returns what can be done with a directory after it was removed.
func removedDirectory(t *testing.T, dir string, remove func(dir string) error) (outcomes []string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir, os.O_RDONLY)
	if err := remove(dir); err != nil {
		t.Fatal(err)
	}
	fd := int(d.Fd())
	stat := func() {
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		outcomes = append(outcomes, fmt.Sprintf("%o %d, error %v", st.Mode, st.Nlink, err))
	}
	stat()
	outcomes = append(outcomes, fmt.Sprint("chmod ", d.Chmod(0o700)))
	stat()
	times := []unix.Timespec{{Sec: 5}, {Sec: 6}}
	outcomes = append(outcomes, fmt.Sprint("times ", unix.UtimesNanoAt(fd, "", times, unix.AT_EMPTY_PATH)))
	info, err := d.Stat()
	outcomes = append(outcomes, fmt.Sprint("modified ", err == nil && info.ModTime().Equal(time.Unix(6, 0))))
	outcomes = append(outcomes, fmt.Sprint("chown ", d.Chown(os.Getuid(), os.Getgid())))
	outcomes = append(outcomes, fmt.Sprint("mkdir ", unix.Mkdirat(fd, "d", 0o700), " sync ", d.Sync()))
	names, err := d.Readdirnames(-1)
	outcomes = append(outcomes, fmt.Sprint("entries ", names, errors.Is(err, os.ErrNotExist)))
	// What is there by its name now is another one.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	err = unix.Stat(dir, &st)
	outcomes = append(outcomes, fmt.Sprintf("by name %o %d, error %v", st.Mode, st.Nlink, err))
	stat()
	_, err = os.Stat(filepath.Join(dir, "f"))
	return append(outcomes, fmt.Sprint("nothing there ", os.IsNotExist(err)))
}
