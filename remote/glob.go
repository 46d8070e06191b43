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
// fails with NotFound, where more than 100,000 paths do with TooLarge.
func (c *Client) Glob(ctx context.Context, pattern string) ([]string, error) {
	cleaned, err := clean(pattern)
	if err != nil {
		return nil, c.failure("glob", pattern, err)
	}
	if !hasMeta(pattern) {
		return []string{cleaned}, nil
	}
	if _, err := c.Stat(ctx, cleaned); !errors.Is(err, NotFound) && !errors.Is(err, NotDirectory) && !errors.Is(err, InvalidName) {
		return []string{cleaned}, err
	}
	g, err := newGlob(pattern)
	if err != nil {
		return nil, c.failure("glob", pattern, err)
	}
	err = c.find(ctx, g)
	if err == nil || errors.Is(err, NotFound) || errors.Is(err, NotDirectory) {
		err = g.found()
	}
	return g.matches, c.failure("glob", pattern, err)
}

// find collects what matches, by a walk where that may be at any depth.
func (c *Client) find(ctx context.Context, g *glob) error {
	if !slices.Contains(g.deeper, true) {
		return c.findIn(ctx, g, g.root, "")
	}
	under := strings.TrimSuffix(g.root, "/") + "/"
	return c.Walk(ctx, g.root, func(p string, e Entry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(p, under)
		if err := g.visit(p, rel, e.IsDir()); err != nil {
			return err
		}
		if e.IsDir() && !e.Link && !g.enters(rel) {
			return fs.SkipDir
		}
		return nil
	})
}

// findIn collects what matches in a directory, that is in in the root of g.
func (c *Client) findIn(ctx context.Context, g *glob, dir, in string) error {
	for e, err := range c.Entries(ctx, dir) {
		if err != nil {
			return err
		}
		p, rel := path.Join(dir, e.Name), path.Join(in, e.Name)
		if err := g.visit(p, rel, e.IsDir()); err != nil {
			return err
		}
		if !e.IsDir() || e.Link || !g.enters(rel) {
			continue
		}
		if err := c.findIn(ctx, g, p, rel); err != nil {
			return err
		}
	}
	return nil
}

// globLocal is Glob for local paths; one that is relative is relative to dir.
func globLocal(dir, pattern string) ([]string, error) {
	if dir == "" || filepath.IsAbs(pattern) {
		dir = ""
	} else {
		dir += "/"
	}
	if _, err := os.Lstat(dir + pattern); err == nil || !hasMeta(pattern) {
		return []string{pattern}, nil
	}
	g, err := newGlob(pattern)
	if err != nil {
		return nil, &Error{Op: "glob", Path: pattern, Code: InvalidName, Err: err}
	}
	err = fs.WalkDir(os.DirFS(dir+g.root), ".", func(rel string, d fs.DirEntry, err error) error {
		switch {
		case rel == ".":
			return err
		case err != nil:
			return fs.SkipDir // the shell's patterns pass over it, too
		}
		if err := g.visit(filepath.Join(g.root, rel), rel, d.IsDir()); err != nil {
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
		case n == 0, above[n-1].matches(strings.Join(names[:n], "/"), true):
			return true
		}
	}
	return false
}

// visit takes the path p, if it matches.
func (g *glob) visit(p, rel string, directory bool) error {
	if !g.pattern.matches(rel, directory) {
		return nil
	}
	if len(g.matches) == maxMatches {
		return &Error{Code: TooLarge, Err: fmt.Errorf("more than %d files match the pattern", maxMatches)}
	}
	g.matches = append(g.matches, p)
	return nil
}

// found tells of a pattern that nothing matches.
func (g *glob) found() error {
	if len(g.matches) == 0 {
		return &Error{Code: NotFound, Err: errNoMatch}
	}
	return nil
}
