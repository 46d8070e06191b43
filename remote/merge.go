package remote

import (
	"errors"
	"io/fs"
	"iter"
	"strings"
)

// cursor goes through a walk, one item after the other.
type cursor struct {
	next func() (item, bool)
	stop func()
	head item
	more bool // head is one
	skip bool // what is in head
}

// newCursor begins a walk, which ends with stop. An item with an error and the path "" is the end of
// the whole walk.
func newCursor(walk func(fn func(item) error) error) *cursor {
	c := new(cursor)
	c.next, c.stop = iter.Pull(func(yield func(item) bool) {
		err := walk(func(i item) error {
			if !yield(i) {
				return fs.SkipAll
			}
			if c.skip {
				c.skip = false
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			yield(item{err: err})
		}
	})
	c.advance()
	return c
}

func (c *cursor) advance() {
	last, had := c.head, c.more
	c.head, c.more = c.next()
	if had && c.more && c.head.err == nil && last.err == nil && comparePaths(last.path, c.head.path) >= 0 {
		c.head = item{err: corrupted(errDisorder)}
	}
}

// pass is advance that leaves out what is in a directory.
func (c *cursor) pass() {
	c.skip = c.head.descends()
	c.advance()
}

// comparePaths orders paths as a walk does: a directory is before what is in it, and that before
// the directory's next neighbour.
func comparePaths(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	switch {
	case i == len(a) && i == len(b):
		return 0
	case i == len(a):
		return -1
	case i == len(b):
		return 1
	case a[i] == '/':
		return -1
	case b[i] == '/':
		return 1
	case a[i] < b[i]:
		return -1
	default:
		return 1
	}
}

// isIn reports whether a path is beneath a directory.
func isIn(p, dir string) bool {
	return dir == "" || len(p) > len(dir) && p[len(dir)] == '/' && strings.HasPrefix(p, dir)
}

var errDisorder = errors.New("a listing that is not sorted")

// merge brings all that the source has to the destination, and leaves all directories. There is nil where the
// destination has nothing, or nobody looks before.
func (r *run) merge(source, there *cursor) {
	defer r.leave(nil)
	for !r.stopped.Load() && r.ctx.Err() == nil {
		theirs := there != nil && there.more
		switch {
		case source.more && source.head.err != nil && !source.head.Link:
			r.unlisted(source.head)
			source.advance()
		case theirs && there.head.err != nil:
			r.unseen(there.head)
			there.advance()
		case !source.more && !theirs:
			return
		case !theirs || source.more && comparePaths(source.head.path, there.head.path) < 0:
			r.onlySource(source)
		case !source.more || comparePaths(source.head.path, there.head.path) > 0:
			r.onlyThere(there)
		default:
			r.both(source, there)
		}
	}
}

// at returns the directory that a path is in, and leaves those that the walks have come out of.
func (r *run) at(p string) *node {
	for top := r.stack[len(r.stack)-1]; top.parent != nil && !isIn(p, top.path); top = r.stack[len(r.stack)-1] {
		r.leave(top)
	}
	return r.stack[len(r.stack)-1]
}

// leave leaves a directory, or all of them. What completing one takes is for a task.
func (r *run) leave(n *node) {
	for len(r.stack) > 0 {
		top := r.stack[len(r.stack)-1]
		r.stack = r.stack[:len(r.stack)-1]
		if top.isToDo() {
			r.start(top, top.path, func() error { return nil })
		}
		top.release()
		if top == n {
			return
		}
	}
}

// find returns the directory of that path, if a walk is in it.
func (r *run) find(p string) *node {
	for _, n := range r.stack {
		if n.path == p {
			return n
		}
	}
	return nil
}

// unlisted takes note of a directory of the source of which not all is known.
func (r *run) unlisted(i item) {
	r.incomplete.Store(true)
	if n := r.find(i.path); n != nil {
		n.fail()
	}
	r.fail(r.shown(i.path), i.err)
}

// unseen takes note of a directory of the destination of which not all is known: nothing is done in it.
func (r *run) unseen(i item) {
	if n := r.find(i.path); n != nil {
		n.fail()
		n.unseen = true
	}
	r.fail(r.shown(i.path), i.err)
}

// onlySource is about what the destination does not have, as far as is known.
func (r *run) onlySource(source *cursor) {
	s := source.head
	n := r.at(s.path)
	switch {
	case n.unseen || n.isUnusable():
		source.pass()
		return
	case s.descends():
		r.enter(n, s, nil)
	case r.isUnfit(&s):
	case r.mayBeRenamed(&s):
		r.want(n, s)
	default:
		r.bring(n, s, nil)
	}
	source.advance()
}

// onlyThere is about what the source does not have.
func (r *run) onlyThere(there *cursor) {
	d := there.head
	if r.gone != "" && isIn(d.path, r.gone) {
		r.offer(r.stack[len(r.stack)-1], d)
		there.advance()
		return
	}
	n := r.at(d.path)
	if !r.o.Delete || n.unseen {
		there.pass()
		return
	}
	n.remove(d.Name, d.descends())
	if !d.descends() {
		r.offer(n, d)
		there.advance()
		return
	}
	r.gone = d.path
	if r.carries {
		there.advance()
	} else {
		there.pass()
	}
}

// both is about what has the same name on both sides.
func (r *run) both(source, there *cursor) {
	s, d := source.head, there.head
	n := r.at(s.path)
	switch {
	case n.unseen:
		source.pass()
		there.pass()
		return
	case s.descends():
		r.enter(n, s, &d.Entry)
	case r.isUnfit(&s):
	case s.Mode.IsRegular() && d.Mode.IsRegular():
		r.files(n, s, d.Entry)
	case s.Link && d.Link && r.o.Links == LinksKeep:
		r.links(n, s, d.Entry)
	default:
		r.bring(n, s, &d.Entry)
	}
	source.advance()
	if s.descends() {
		there.advance()
	} else {
		there.pass()
	}
}
