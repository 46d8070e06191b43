package remote

import (
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
)

func TestPatternMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, matches, misses string // paths, separated by spaces; directories end with "/"
	}{
		{"*.o", "a.o dir/a.o dir/sub/.o dir.o/", "a.c a.o/b a.oo"},
		{"/*.o", "a.o", "dir/a.o"},
		{"build", "build build/ src/build", "build/x rebuild"},
		{"build/", "build/ src/build/", "build src/build"},
		{"/build/", "build/", "build src/build/"},
		{"build/log", "build/log src/build/log", "log rebuild/log build/sub/log"},
		{"/a/**/b", "a/b a/x/b a/x/y/b", "b c/a/b a/bb"},
		{"a/**", "a/x a/x/y c/a/x", "a a/ b/x"},
		{"**", "a a/b a/", ""},
		{"/**/x", "x a/x a/b/x", "xx"},
		{"?", "a ä d/a", "ab"},
		{"[a-c]", "a b c", "d ab"},
		{"[!a-c]", "d", "a"},
		{"[^a-c]", "d", "a"},
		{"[{,}]", "{ , }", "a"},
		{"{*.o,*.a}", "x.o d/x.a", "x.c"},
		{"{/x,y}", "x y d/y", "d/x"},
		{"{x/,y}", "x/ y y/", "x"},
		{"a{,b{1,2}}c", "ac ab1c ab2c", "abc"},
		{`\*`, "*", "a"},
		{`\{a,b\}`, "{a,b}", "a b"},
		{"a,b", "a,b", "a b"},
		{"\xff", "\xff d/\xff", "\xfe"},
		{"?", "\xff", "\xff\xfe"},
		{"[\x80-\xff]", "\xa0", "a \xa0\xa0"},
		{"\xffé*", "\xffé \xffé\xfe", "\xffe \xfeé"},
		{"\xff", "\xff", "\U0010ffff"},
	} {
		p, err := compile(test.pattern)
		if err != nil {
			t.Errorf("%q: %v", test.pattern, err)
			continue
		}
		check := func(paths string, want bool) {
			for _, name := range strings.Fields(paths) {
				name, directory := strings.CutSuffix(name, "/")
				if p.matches(newSubject(name, directory)) != want {
					t.Errorf("%q matches %q (directory: %v): %v", test.pattern, name, directory, !want)
				}
			}
		}
		check(test.matches, true)
		check(test.misses, false)
	}
}

func TestPatternRefused(t *testing.T) {
	for _, pattern := range []string{
		"", "/", "//", "{", "}", "{a", "a}", "{a,b", "[", "[]", "[a", "[a]{", `\`, `a{b,\`, "{a,}",
		strings.Repeat("a", maxPattern+1),
		strings.Repeat("{a,b}", 9),
		"{" + strings.Repeat("a,", maxAlternatives) + "a}",
		strings.Repeat("{", 500) + "a,b" + strings.Repeat("}", 500) + strings.Repeat("{a,b}", 8),
	} {
		if _, err := compile(pattern); err == nil {
			t.Errorf("%.40q is taken", pattern)
		}
	}
}

func TestFilterFirstRuleDecides(t *testing.T) {
	rules, err := ReadRules(strings.NewReader("# sources only\n\n+ */\n+ keep.o\n- *.o\n+ *.c\n*\n"), "rules")
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFilter(rules...)
	if err != nil {
		t.Fatal(err)
	}
	for name, excluded := range map[string]bool{"a.c": false, "d/a.c": false, "a.o": true, "keep.o": false, "d/keep.o": false, "x": true} {
		if f.Excludes(name, false) != excluded {
			t.Errorf("%s is excluded: %v", name, !excluded)
		}
	}
	if f.Excludes("d", true) {
		t.Error("d is excluded")
	}
	if f = nil; f.Excludes("x", false) {
		t.Error("no filter excludes")
	}
}

func TestReadRulesTellsTheLine(t *testing.T) {
	_, err := ReadRules(strings.NewReader("a\n# b\n- [c\n"), "my.rules")
	if err == nil || !strings.HasPrefix(err.Error(), "my.rules:3: ") {
		t.Errorf("got %v", err)
	}
	_, err = ReadRules(strings.NewReader(strings.Repeat("x", 1<<20)), "my.rules")
	if err == nil || !strings.HasPrefix(err.Error(), "my.rules: ") {
		t.Errorf("got %v", err)
	}
}

// FuzzPattern has any pattern meet any path: no more happens than a match, and one
// without braces, slashes and foreign bytes is what doublestar takes it for.
func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"*.o", "a/**", "{a,b}*", "[a-z]?", `\*`, "\xff*", "**/x/**/y", "*a*a*a*b"} {
		f.Add(seed, "a/b/c.o")
	}
	f.Add("\U0010ffff", "\xff")
	f.Fuzz(func(t *testing.T, text, name string) {
		p, err := compile(text)
		if err != nil {
			return
		}
		if len(p) > maxAlternatives {
			t.Fatalf("%q has %d alternatives", text, len(p))
		}
		got := p.matches(newSubject(name, false))
		if strings.ContainsAny(text, `{}/`) || strings.Contains(name, "/") || bytesAsRunes(text) != text || bytesAsRunes(name) != name {
			return
		}
		if want := doublestar.MatchUnvalidated(text, name); got != want {
			t.Errorf("%q matches %q: %v", text, name, got)
		}
	})
}

func TestForeignBytesStayDifferent(t *testing.T) {
	all := make(map[string]string)
	for _, s := range []string{"\xff", "\xfe", "\U0010ffff", "\U0010fffe", "\xf4\x8f\xbf", "ÿ", "\ufffd", "a\xff", "\xffa"} {
		if other, ok := all[bytesAsRunes(s)]; ok {
			t.Errorf("%q and %q are the same", s, other)
		}
		all[bytesAsRunes(s)] = s
	}
}
