package fs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asUser calls f as another user than root: in a thread that ends with f.
func asUser(t *testing.T, f func()) {
	t.Helper()
	const nobody = 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Geteuid() == 0 {
			runtime.LockOSThread() // for good: no other goroutine gets the thread
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
				t.Errorf("setresuid: %v", errno)
				return
			}
		}
		f()
	}()
	<-done
}

// publicTempDir returns a directory that other users can reach.
func publicTempDir(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUsersLearnWhyTheyCanNotMount(t *testing.T) {
	closed := publicTempDir(t, 0o555)
	open := publicTempDir(t, 0o777)
	sticky := publicTempDir(t, 0o777|os.ModeSticky)
	ownSticky := os.Geteuid() != 0
	asUser(t, func() {
		if err := CheckMountpoint(closed, Options{}); !errors.Is(err, ErrRootOnly) {
			t.Errorf("a directory without write access: %v, want %v", err, ErrRootOnly)
		}
		if err := CheckMountpoint(sticky, Options{}); !errors.Is(err, ErrRootOnly) && !ownSticky {
			t.Errorf("another's directory with the sticky bit: %v, want %v", err, ErrRootOnly)
		}
		_, want := fusermount()
		if want == nil && unix.Access("/dev/fuse", unix.R_OK|unix.W_OK) != nil {
			want = ErrNoDevice
		}
		if err := CheckMountpoint(open, Options{}); !errors.Is(err, want) {
			t.Errorf("an open directory: %v, want %v", err, want)
		}
	})
}

func TestConfigurationOfAllowOther(t *testing.T) {
	for conf, want := range map[string]bool{
		"":                                      false,
		"#user_allow_other\n":                   false,
		"mount_max = 10\n user_allow_other # x": true,
		"user_allow_others\n":                   false,
	} {
		if got := allowsOther([]byte(conf)); got != want {
			t.Errorf("%q: %v, want %v", conf, got, want)
		}
	}
}
