package remote

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

// Limits of a pattern. A match then takes time in proportion to the length of the pattern, that
// of the path and its depth at most: braces, which would multiply it, are expanded before.
const (
	maxPattern      = 1024 // bytes
	maxAlternatives = 256
)

// pattern is a pattern of paths, as Filter describes it.
type pattern []alternative

// alternative is a pattern without braces.
type alternative struct {
	glob      string // for doublestar
	anywhere  bool   // it matches the end of a path, not only all of it
	baseName  bool   // glob has no "/": the last name of a path is enough
	directory bool   // it matches directories only
}

// compile parses a pattern.
func compile(text string) (pattern, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("a pattern has at most %d bytes", maxPattern)
	}
	globs, err := expandBraces(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	p := make(pattern, 0, len(globs))
	for _, glob := range globs {
		a, err := newAlternative(glob)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		p = append(p, a)
	}
	return p, nil
}

var errMalformed = errors.New("malformed pattern: a bracket, a brace or a character after a backslash is missing")

func newAlternative(glob string) (alternative, error) {
	a := alternative{glob: glob, anywhere: true}
	if rest, ok := strings.CutSuffix(a.glob, "/"); ok && !strings.HasSuffix(rest, `\`) {
		a.glob, a.directory = rest, true
	}
	if rest, ok := strings.CutPrefix(a.glob, "/"); ok {
		a.glob, a.anywhere = rest, false
	}
	if a.glob == "" {
		return a, errors.New("empty pattern")
	}
	a.baseName = a.anywhere && !strings.Contains(a.glob, "/")
	if strings.HasSuffix(a.glob, "/**") {
		a.glob += "/*" // what is in a directory, not the directory
	}
	if a.anywhere && !a.baseName {
		a.glob = "**/" + a.glob
	}
	a.glob = bytesAsRunes(a.glob)
	if !doublestar.ValidatePattern(a.glob) {
		return a, errMalformed
	}
	return a, nil
}

// subject is a path that patterns are to match, slash-separated and relative to where "/" is for them.
type subject struct {
	path, base string // with bytes as characters
	directory  bool
}

func newSubject(p string, directory bool) subject {
	p = bytesAsRunes(p)
	return subject{p, p[strings.LastIndexByte(p, '/')+1:], directory}
}

// matches reports whether the pattern matches a path.
func (p pattern) matches(s subject) bool {
	for _, a := range p {
		text := s.path
		if a.baseName {
			text = s.base
		}
		if (s.directory || !a.directory) && doublestar.MatchUnvalidated(a.glob, text) {
			return true
		}
	}
	return false
}

// foreign is added to a byte that is not part of UTF-8 to make a character of it.
const foreign = 0x10ff00

// bytesAsRunes replaces bytes of s that are not UTF-8 by characters, each by one of its own:
// doublestar takes all such bytes for the same. The same is done to those characters, so
// that different names stay different.
func bytesAsRunes(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\xf4\x8f\xbe") && !strings.Contains(s, "\xf4\x8f\xbf") {
		return s
	}
	var text strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 || r >= foreign+utf8.RuneSelf {
			for _, b := range []byte(s[:size]) {
				text.WriteRune(foreign + rune(b))
			}
		} else {
			text.WriteString(s[:size])
		}
		s = s[size:]
	}
	return text.String()
}

// expandBraces returns the patterns that one with {a,b} stands for, in order.
func expandBraces(text string) ([]string, error) {
	e := expansion{rest: text}
	globs, err := e.sequence(false)
	if err == nil && e.rest != "" {
		err = errMalformed // a brace that closes nothing
	}
	return globs, err
}

// expansion is the rest of a pattern whose braces are being expanded.
type expansion struct{ rest string }

// sequence expands what comes up to the end, or to the comma or brace that ends it inside of
// braces.
func (e *expansion) sequence(inside bool) ([]string, error) {
	globs := []string{""}
	for e.rest != "" {
		if c := e.rest[0]; c == '}' || inside && c == ',' {
			break
		}
		parts, err := e.element()
		if err != nil {
			return nil, err
		}
		if len(globs)*len(parts) > maxAlternatives {
			return nil, fmt.Errorf("the braces stand for more than %d patterns", maxAlternatives)
		}
		globs = product(globs, parts)
	}
	return globs, nil
}

func product(heads, tails []string) []string {
	all := make([]string, 0, len(heads)*len(tails))
	for _, head := range heads {
		for _, tail := range tails {
			all = append(all, head+tail)
		}
	}
	return all
}

// element expands one group in braces, or takes what stands for itself: a class, an escaped
// character, or all that comes before another such.
func (e *expansion) element() ([]string, error) {
	switch e.rest[0] {
	case '{':
		return e.braces()
	case '[':
		return e.take(classLength(e.rest))
	case '\\':
		return e.take(2)
	}
	if next := strings.IndexAny(e.rest, `{}[\,`); next > 0 {
		return e.take(next)
	}
	if e.rest[0] == ',' {
		return e.take(1)
	}
	return e.take(len(e.rest))
}

func (e *expansion) take(n int) ([]string, error) {
	if n > len(e.rest) {
		return nil, errMalformed
	}
	taken := e.rest[:n]
	e.rest = e.rest[n:]
	return []string{taken}, nil
}

// classLength is the length of the class in brackets that text begins with; more than that of
// text where the bracket is not closed.
func classLength(text string) int {
	i := 1
	if i < len(text) && (text[i] == '!' || text[i] == '^') {
		i++
	}
	for i < len(text) && text[i] != ']' {
		if text[i] == '\\' {
			i++
		}
		i++
	}
	return i + 1
}

func (e *expansion) braces() (all []string, err error) {
	for open := true; open; {
		e.rest = e.rest[1:] // the brace that opens, or a comma
		globs, err := e.sequence(true)
		if err != nil {
			return nil, err
		}
		if e.rest == "" {
			return nil, errMalformed
		}
		if all = append(all, globs...); len(all) > maxAlternatives {
			return nil, fmt.Errorf("the braces stand for more than %d patterns", maxAlternatives)
		}
		open = e.rest[0] == ','
	}
	e.rest = e.rest[1:]
	return all, nil
}
