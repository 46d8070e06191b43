package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxMatches bounds how many paths a pattern may stand for.
const maxMatches = 100_000

// Glob returns the paths that match a pattern of absolute paths as Filter describes them, sorted as
// Walk sorts. It does not go through symbolic links that match. A path that exists by the name of the
// pattern is the only one, and one that is no pattern is not looked for. Where nothing matches it
// fails with NotFound, where more than 100,000 paths do, or the pattern is none, with InvalidName.
func (c *Client) Glob(ctx context.Context, pattern string) ([]string, error) {
	return c.globIn(ctx, "", pattern)
}

// globIn is Glob for a pattern of paths that are relative to dir, unless that is "", and stay it.
func (c *Client) globIn(ctx context.Context, dir, pattern string) ([]string, error) {
	const op = "glob"
	cleaned, err := clean(path.Join(dir, pattern))
	if err != nil || !hasMeta(pattern) {
		return []string{pattern}, c.failure(op, pattern, err)
	}
	if _, err := c.Stat(ctx, cleaned); !isNoPath(err) {
		return []string{pattern}, err
	}
	g, err := newGlob(pattern)
	if err != nil {
		return nil, c.failure(op, pattern, &Error{Code: InvalidName, Err: err})
	}
	if err = c.find(ctx, g, path.Join(dir, g.root)); err == nil || isNoPath(err) {
		err = g.found()
	}
	return g.matches, c.failure(op, pattern, err)
}

// isNoPath reports whether err says that there is no such path.
func isNoPath(err error) bool {
	return errors.Is(err, NotFound) || errors.Is(err, NotDirectory) || errors.Is(err, InvalidName)
}

// find collects what matches in the directory root, by a walk where that may be at any depth.
func (c *Client) find(ctx context.Context, g *glob, root string) error {
	if !slices.Contains(g.deeper, true) {
		return c.findIn(ctx, g, root, "")
	}
	under := strings.TrimSuffix(root, "/") + "/"
	return c.Walk(ctx, root, func(p string, e Entry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(p, under)
		if err := g.visit(rel, e.IsDir()); err != nil {
			return err
		}
		if e.IsDir() && !e.Link && !g.enters(rel) {
			return fs.SkipDir
		}
		return nil
	})
}

// findIn collects what matches in a directory, whose path is in in the root of the pattern.
func (c *Client) findIn(ctx context.Context, g *glob, dir, in string) error {
	for e, err := range c.Entries(ctx, dir) {
		if err != nil {
			return err
		}
		rel := path.Join(in, e.Name)
		if err := g.visit(rel, e.IsDir()); err != nil {
			return err
		}
		if !e.IsDir() || e.Link || !g.enters(rel) {
			continue
		}
		if err := c.findIn(ctx, g, path.Join(dir, e.Name), rel); err != nil {
			return err
		}
	}
	return nil
}

// globLocal is globIn for local paths.
func globLocal(dir, pattern string) ([]string, error) {
	if _, err := os.Lstat(filepath.Join(dir, pattern)); err == nil || !hasMeta(pattern) {
		return []string{pattern}, nil
	}
	g, err := newGlob(pattern)
	if err != nil {
		return nil, &Error{Op: "glob", Path: pattern, Code: InvalidName, Err: err}
	}
	err = fs.WalkDir(os.DirFS(filepath.Join(dir, g.root)), ".", func(rel string, d fs.DirEntry, err error) error {
		switch {
		case rel == ".":
			return err
		case err != nil:
			return fs.SkipDir // the shell's patterns pass over it, too
		}
		if err := g.visit(rel, d.IsDir()); err != nil {
			return err
		}
		if d.IsDir() && !g.enters(rel) {
			return fs.SkipDir
		}
		return nil
	})
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = g.found()
	}
	return g.matches, localError("glob", pattern, err)
}

// hasMeta reports whether s is more than a name to a pattern.
func hasMeta(s string) bool { return strings.ContainsAny(s, `*?[{\`) }

// glob is a pattern of paths and what has been found to match it. Its paths are relative to root.
type glob struct {
	root    string // the directory that the names without meaning lead to
	pattern pattern
	above   [][]pattern // of each alternative the patterns of the directories up to its first "**", the nth of paths of n names
	deeper  []bool      // of each alternative: it has a "**"

	matches []string
}

var errNoMatch = errors.New("no file matches the pattern")

func newGlob(text string) (*glob, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("a pattern has at most %d bytes", maxPattern)
	}
	names := strings.Split(text, "/")
	plain := 0
	for plain < len(names)-1 && !hasMeta(names[plain]) {
		plain++
	}
	g := &glob{root: strings.Join(names[:plain], "/")}
	switch {
	case plain == 0:
		g.root = "."
	case g.root == "":
		g.root = "/"
	}
	rest := strings.Join(names[plain:], "/")
	var err error
	if g.pattern, err = compile("/" + rest); err != nil {
		return nil, err
	}
	return g, g.compileAbove(rest)
}

// compileAbove makes the patterns of the directories above what matches rest.
func (g *glob) compileAbove(rest string) error {
	alternatives, err := expandBraces(rest)
	if err != nil {
		return err
	}
	for _, alternative := range alternatives {
		names := strings.Split(strings.TrimSuffix(alternative, "/"), "/")
		var above []pattern
		deeper := false
		for n := 1; n < len(names) && !deeper; n++ {
			if deeper = names[n-1] == "**"; deeper {
				break
			}
			p, err := compile("/" + strings.Join(names[:n], "/"))
			if err != nil {
				return err
			}
			above = append(above, p)
		}
		g.above = append(g.above, above)
		g.deeper = append(g.deeper, deeper || names[len(names)-1] == "**")
	}
	return nil
}

// enters reports whether there may be a match in a directory.
func (g *glob) enters(rel string) bool {
	names := strings.Split(rel, "/")
	for i, above := range g.above {
		n := min(len(names), len(above))
		switch {
		case n < len(names) && !g.deeper[i]:
		case n == 0, above[n-1].matches(newSubject(strings.Join(names[:n], "/"), true)):
			return true
		}
	}
	return false
}

// visit takes a path, if it matches.
func (g *glob) visit(rel string, directory bool) error {
	if !g.pattern.matches(newSubject(rel, directory)) {
		return nil
	}
	if len(g.matches) == maxMatches {
		return &Error{Code: InvalidName, Err: fmt.Errorf("more than %d files match the pattern", maxMatches)}
	}
	g.matches = append(g.matches, path.Join(g.root, rel))
	return nil
}

// found tells of a pattern that nothing matches.
func (g *glob) found() error {
	if len(g.matches) == 0 {
		return &Error{Code: NotFound, Err: errNoMatch}
	}
	return nil
}
