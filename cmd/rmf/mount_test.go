package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remofile/remofile/fs"
)

func TestMountOptions(t *testing.T) {
	for _, test := range []struct {
		options              string
		readOnly, allowOther bool
	}{
		{"", false, false},
		{"defaults,_netdev,nofail", false, false},
		{"ro", true, false},
		{"ro,rw", false, false},
		{"allow_other,ro", true, true},
	} {
		o, err := mountOptions(strings.Split(test.options, ","))
		if err != nil || o.ReadOnly != test.readOnly || o.AllowOther != test.allowOther {
			t.Errorf("-o %q: %+v, %v", test.options, o, err)
		}
	}
	if _, err := mountOptions([]string{"ro", "shiny"}); err == nil || describe(err).status != exitUsage {
		t.Errorf("an unknown option: %v", err)
	}
}

// TestJailAndMountpointAreDistinct holds that a jail is neither hidden by its own
// mount nor shows it, by whatever path, and that a refusal makes nothing.
func TestJailAndMountpointAreDistinct(t *testing.T) {
	dir := t.TempDir()
	at := func(p string) string { return filepath.Join(dir, p) }
	if err := os.Mkdir(at("real"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", at("link")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		jail, mountpoint string
		distinct         bool
	}{
		{"a", "a", false},
		{"a", "a/b/c", false},
		{"a/b/c", "a", false},
		{"real", "link", false},
		{"link/x", "real", false},
		{"real", "link/x/y", false},
		{"a", "ab", true},
		{"link/x", "real/y", true},
	} {
		_, err := prepareServe(at(test.jail), at(test.mountpoint), fs.Options{})
		if (err == nil) != test.distinct {
			t.Errorf("%s and %s: %v", test.jail, test.mountpoint, err)
		}
		_, jail := os.Stat(at(test.jail))
		_, mountpoint := os.Stat(at(test.mountpoint))
		if test.distinct && (jail != nil || mountpoint != nil) {
			t.Errorf("%s and %s were not made: %v, %v", test.jail, test.mountpoint, jail, mountpoint)
		}
		if made, _ := filepath.Glob(at("a*")); !test.distinct && len(made) > 0 {
			t.Errorf("%s and %s: made %q", test.jail, test.mountpoint, made)
		}
	}
}
