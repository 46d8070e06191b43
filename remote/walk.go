package remote

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"
)

// WalkFunc is called by Walk with each entry; p is its path. Where a directory can't be listed,
// or no further, it is called for that again, with the error. What it returns ends the walk,
// but for fs.SkipDir: that leaves out what is in a directory or, for anything else, what
// follows in the same one. fs.SkipAll ends the walk in good order.
type WalkFunc func(p string, e Entry, err error) error

// Walk calls fn with all that is in a directory and beneath, one after the other, sorted by
// name, a directory before what is in it. Symbolic links have the attributes of what they lead
// to, and nobody walks through them; Remofile 1 does not tell them from that. Directories are
// listed side by side, ahead of fn; a tree of any size takes no more memory than some of its
// directories.
func (c *Client) Walk(ctx context.Context, dir string, fn WalkFunc) error {
	return c.walk(ctx, dir, true, fn)
}

// walk is Walk that tells of links what they lead to only with follow.
func (c *Client) walk(ctx context.Context, dir string, follow bool, fn WalkFunc) error {
	listing, cancel := context.WithCancel(ctx)
	w := &walk{client: c, ctx: listing, follow: follow, fn: fn}
	defer w.listings.Wait()
	defer cancel()
	err := w.visit(&branch{path: dir}, func(err error) error { return err })
	if err == fs.SkipAll || err == fs.SkipDir {
		return nil
	}
	return err
}

// What a walk has of listings that it has not come to.
const (
	aheadListings = 64
	aheadEntries  = 1 << 16 // beyond these it begins no more listings
)

// firstPage is how much is asked for of a directory at first, in bytes of the protocol.
const firstPage = 64 << 10

// maxDepth bounds the depth of a tree: the listings of a server may show the same
// directory again and again, through symbolic links.
const maxDepth = 200

func tooDeep(op, p string) error {
	return &Error{Op: op, Path: p, Code: InvalidName, Err: errors.New("the tree is too deep; does it contain itself?")}
}

// walk is a walk under way. The goroutine of Walk visits one branch after the other, others
// list those that follow; they end with ctx, and Walk waits for them.
type walk struct {
	client   *Client
	ctx      context.Context
	follow   bool // links
	fn       WalkFunc
	listings sync.WaitGroup
	entries  atomic.Int64 // of pages that are there and not visited
	news     atomic.Bool  // since askAhead looked

	asked int       // branches that were asked for and not come to
	stack []*branch // that are being visited, each in the one before
}

// branch is a page of a directory, and what is beneath it.
type branch struct {
	path  string
	after string // the name behind which the page begins
	depth int

	listed chan struct{} // nil if nobody has asked; closed when what follows is there
	page   []Entry
	next   string // the name behind which the next page begins, or ""
	err    error

	// below are the branches to come to: one for each directory of the page, and at last that of
	// the next page. It belongs to the visitor, as made does.
	below []*branch
	made  bool
}

// visit visits all pages of a directory. It calls failed where one can't be listed.
func (w *walk) visit(b *branch, failed func(error) error) error {
	for b != nil {
		if err := w.comeTo(b); err != nil {
			return err
		}
		if b.err != nil {
			return failed(b.err)
		}
		err := w.visitPage(b)
		w.entries.Add(-int64(len(b.page)))
		w.news.Store(true)
		if err != nil {
			w.pass(b.below)
			return err
		}
		b = b.following()
	}
	return nil
}

func (w *walk) visitPage(b *branch) error {
	b.make()
	w.stack = append(w.stack, b)
	defer func() { w.stack = w.stack[:len(w.stack)-1] }()
	for _, e := range b.page {
		w.askAhead()
		if err := w.visitEntry(b, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) visitEntry(b *branch, e Entry) error {
	p := path.Join(b.path, e.Name)
	if !e.descends() {
		return w.fn(p, e, nil)
	}
	d := b.below[0]
	b.below[0] = nil // what has been visited is not held
	b.below = b.below[1:]
	err := w.fn(p, e, nil)
	if err == nil {
		err = w.visit(d, func(err error) error { return w.fn(p, e, err) })
	} else {
		w.pass([]*branch{d})
	}
	if err == fs.SkipDir {
		err = nil
	}
	return err
}

// descends reports whether a walk goes into e.
func (e *Entry) descends() bool { return e.IsDir() && !e.Link }

// make makes the branches below.
func (b *branch) make() {
	if b.made {
		return
	}
	b.made = true
	for _, e := range b.page {
		if e.descends() {
			b.below = append(b.below, &branch{path: path.Join(b.path, e.Name), depth: b.depth + 1})
		}
	}
	if b.next != "" {
		b.below = append(b.below, &branch{path: b.path, after: b.next, depth: b.depth})
	}
}

// following returns the next page of a visited one, or nil.
func (b *branch) following() *branch {
	if len(b.below) == 0 {
		return nil
	}
	return b.below[0]
}

// askAhead asks for branches that come next, as many as there may be.
func (w *walk) askAhead() {
	if !w.news.Swap(false) {
		return
	}
	for i := len(w.stack) - 1; i >= 0; i-- {
		if !w.reach(w.stack[i]) {
			return
		}
	}
}

// reach asks for what is below b, in the order of the visit. It returns false where there are
// enough listings.
func (w *walk) reach(b *branch) bool {
	for _, d := range b.below {
		switch {
		case d.listed == nil && (w.asked >= aheadListings || w.entries.Load() >= aheadEntries):
			return false
		case d.listed == nil:
			w.ask(d)
		case d.isListed():
			d.make()
			if !w.reach(d) {
				return false
			}
		}
	}
	return true
}

func (b *branch) isListed() bool {
	select {
	case <-b.listed:
		return true
	default:
		return false
	}
}

// ask begins to list a page.
func (w *walk) ask(b *branch) {
	w.asked++
	b.listed = make(chan struct{})
	w.listings.Go(func() {
		if b.depth == maxDepth {
			b.err = tooDeep("list", b.path)
		} else {
			most := int64(longPage)
			if b.after == "" {
				most = firstPage
			}
			b.page, b.next, b.err = w.client.page(w.ctx, b.path, b.after, most, w.follow)
		}
		w.entries.Add(int64(len(b.page)))
		close(b.listed)
		w.news.Store(true)
	})
}

// comeTo waits for a page, which is not ahead any longer.
func (w *walk) comeTo(b *branch) error {
	if b.listed == nil {
		w.ask(b)
	}
	w.asked--
	w.news.Store(true)
	select {
	case <-b.listed:
		return nil
	case <-w.ctx.Done():
		return w.client.failure("list", b.path, context.Cause(w.ctx))
	}
}

// pass gives up branches that the visit leaves out.
func (w *walk) pass(branches []*branch) {
	for _, b := range branches {
		if b.listed == nil || w.comeTo(b) != nil {
			continue
		}
		w.entries.Add(-int64(len(b.page)))
		w.pass(b.below)
	}
}
