package remofile2

import (
	"strings"
	"testing"
)

func TestValidPath(t *testing.T) {
	for _, p := range []string{"/", "/a", "/a/b", "/...", "/.a/b.", "/\xff\xfe", `/a\b`, "/a b", "/" + strings.Repeat("x", MaxName),
		strings.Repeat("/a", MaxPathNames), longPath(MaxPath)} {
		if !ValidPath(p) {
			t.Errorf("%.80q is refused", p)
		}
	}
	for _, p := range []string{"", "a", "a/b", "//", "//a", "/a/", "/a//b", "/.", "/..", "/../a", "/a/../b", "/a/.", "/a\x00", "\x00",
		"/" + strings.Repeat("x", MaxName+1), strings.Repeat("/a", MaxPathNames+1), longPath(MaxPath + 1)} {
		if ValidPath(p) {
			t.Errorf("%.80q is taken", p)
		}
	}
}

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", "...", ".a", "\xff", `\`, "a:b", " ", "\n", strings.Repeat("x", MaxName)} {
		if !ValidName(name) {
			t.Errorf("%.80q is refused", name)
		}
	}
	for _, name := range []string{"", ".", "..", "/", "a/b", "/a", "a\x00", "\x00", strings.Repeat("x", MaxName+1)} {
		if ValidName(name) {
			t.Errorf("%.80q is taken", name)
		}
	}
}
