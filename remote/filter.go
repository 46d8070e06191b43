package remote

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Rule is a rule of a Filter.
type Rule struct {
	Pattern string
	Include bool // what matches is transferred; otherwise it is left out
}

// Filter chooses what of a tree is transferred. Of its rules the first whose pattern matches a
// path decides; what none matches is transferred. A directory that is left out is left out with
// all in it, whatever the rules say of that. These are the rules of rsync(1).
//
// A pattern matches the end of a path, from the beginning of one of its names: "*.o" files at
// any depth, "build/log" each log of a directory build. One that begins with "/" matches the whole path,
// from the root of the transfer: the directory whose content is synchronized, or that which the
// source of an upload or a download is in. One that ends with "/" matches directories only. In a pattern
//
//   - is any part of a name
//     ?        any one character of a name
//     [a-z]    one of these characters, [!a-z] or [^a-z] one of the others
//     {a,b}    each of these patterns, as in the shell: "{*.o,*.a}" is "*.o" and "*.a"
//     **       as a whole name, any number of directories: "/a/**/b" matches "/a/b" as well,
//     "a/**" all that is in a, but not a
//     \        takes from the character that follows its meaning
//
// A name that is not UTF-8 is matched byte by byte where it isn't. A pattern has at most 1024
// bytes, and its braces stand for at most 256 patterns.
//
// A Filter is immutable; nil lets everything pass.
type Filter struct{ rules []compiledRule }

type compiledRule struct {
	pattern pattern
	include bool
}

// maxRules bounds a filter: each is looked at for each file.
const maxRules = 10000

// NewFilter makes a filter of rules in the order in which they are looked at.
func NewFilter(rules ...Rule) (*Filter, error) {
	if len(rules) > maxRules {
		return nil, fmt.Errorf("there are more than %d patterns", maxRules)
	}
	f := &Filter{rules: make([]compiledRule, 0, len(rules))}
	for _, r := range rules {
		p, err := compile(r.Pattern)
		if err != nil {
			return nil, err
		}
		f.rules = append(f.rules, compiledRule{p, r.Include})
	}
	return f, nil
}

// ReadRules reads rules, one a line: a pattern, or one after "- ", is left out, one after "+ " is
// included. Empty lines and those that begin with "#" are none. Errors, those of patterns too,
// begin with name and the number of the line.
func ReadRules(r io.Reader, name string) ([]Rule, error) {
	var rules []Rule
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		rule, ok := parseRule(lines.Text())
		if !ok {
			continue
		}
		if _, err := compile(rule.Pattern); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if rules = append(rules, rule); len(rules) > maxRules {
			return nil, fmt.Errorf("%s:%d: there are more than %d patterns", name, n, maxRules)
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = errors.New("a line is longer than a pattern may be")
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rules, nil
}

// parseRule parses a line, if it has a rule.
func parseRule(line string) (Rule, bool) {
	if line == "" || line[0] == '#' {
		return Rule{}, false
	}
	if rest, ok := strings.CutPrefix(line, "+ "); ok {
		return Rule{Pattern: rest, Include: true}, true
	}
	return Rule{Pattern: strings.TrimPrefix(line, "- ")}, true
}

// Excludes reports whether the path p, slash-separated and relative to the root of the transfer,
// is left out by a rule for itself. Who walks a tree does not come to what is in such a
// directory.
func (f *Filter) Excludes(p string, directory bool) bool {
	if f == nil {
		return false
	}
	s := newSubject(p, directory)
	for _, r := range f.rules {
		if r.pattern.matches(s) {
			return !r.include
		}
	}
	return false
}
