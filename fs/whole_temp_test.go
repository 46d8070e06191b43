package fs

import (
	"os"
	"testing"
)

func TestTemporaryFilesArePrivateAndHaveNoName(t *testing.T) {
	dir := t.TempDir()
	temp, err := openTempDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer temp.close()
	for name, create := range map[string]func() (*os.File, error){
		"with O_TMPFILE":    temp.create,
		"without O_TMPFILE": temp.createAndRemove,
	} {
		f, err := create()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, error %v, want 0600", name, info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the directory has %v, error %v, want nothing", entries, err)
	}
}
