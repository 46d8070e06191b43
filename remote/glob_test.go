package remote

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestGlobLocal(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.ogg", "b.ogg", ".c.ogg", "x/a.ogg", "x/y/a.ogg", "x/y/b.txt", "[z]", "z", "\xff.ogg"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string]string{
		"a.ogg":            "a.ogg",
		"missing":          "missing",
		"*.ogg":            ".c.ogg a.ogg b.ogg \xff.ogg",
		"*/*.ogg":          "x/a.ogg",
		"x/**/*.ogg":       "x/a.ogg x/y/a.ogg",
		"{x/*.ogg,*/y/b*}": "x/a.ogg x/y/b.txt",
		"**/y":             "x/y",
		"x/*/":             "x/y",
		"[z]":              "[z]",
		"\xff*":            "\xff.ogg",
		"[ab].ogg":         "a.ogg b.ogg",
		"*/nothing":        "",
		"missing/*":        "",
	} {
		got, err := globLocal(dir, pattern)
		if !slices.Equal(got, strings.Fields(want)) || (len(got) == 0) != errors.Is(err, NotFound) {
			t.Errorf("%q is %q, %v", pattern, got, err)
		}
		got, err = globLocal("", filepath.Join(dir, pattern))
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], dir+"/")
		}
		if pattern != "x/*/" && (!slices.Equal(got, strings.Fields(want)) || (len(got) == 0) != errors.Is(err, NotFound)) {
			t.Errorf("%q with its directory is %q, %v", pattern, got, err)
		}
	}
	if _, err := globLocal(dir, "a[*"); err == nil {
		t.Error("a malformed pattern is taken")
	}
}

// A walk that follows a pattern leaves out what can't match.
func TestGlobEnters(t *testing.T) {
	for _, test := range []struct{ pattern, enters, passes string }{
		{"/a/*/c*/d", "x x/c", "x/d x/c/d"},
		{"/a/b*/**/c", "b b/x b/x/y", "a a/x"},
		{"/{a,b/c}/d", "a b b/c", "c a/d"},
		{"/*", "", "a"},
		{"/**", "a a/b", ""},
	} {
		g, err := newGlob(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, rel := range strings.Fields(test.enters) {
			if !g.enters(rel) {
				t.Errorf("%q does not enter %q", test.pattern, rel)
			}
		}
		for _, rel := range strings.Fields(test.passes) {
			if g.enters(rel) {
				t.Errorf("%q enters %q", test.pattern, rel)
			}
		}
	}
}
