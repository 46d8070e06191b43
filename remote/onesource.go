package remote

import (
	"errors"
	"path"
)

// transfer brings one source to its arrival, a path in the destination; "" is the destination itself. A
// directory is the root of the source's side, anything else is in that.
func (r *run) transfer(i item, arrival string) {
	destination := r.to
	above := parentOf(arrival)
	r.prefix = arrival
	if !i.descends() {
		r.prefix, i.path = above, path.Base(arrival)
	}
	r.rebase(r.prefix)
	outer := r.newNode(nil, item{}, nil)
	r.stack = []*node{outer}
	defer r.leave(nil)
	if r.leaves(i.path, i.descends()) {
		return
	}
	if above == "" {
		outer.decide(true)
	} else {
		r.start(outer, arrival, func() error {
			err := r.makeAbove(destination, above)
			outer.decide(err == nil)
			return err
		})
	}
	switch {
	case !i.descends():
		if !r.isUnfit(&i) {
			r.bring(outer, i, nil)
		}
	case !r.o.Recursive:
		r.fail(arrival, &Error{Op: r.op(), Path: r.source.name(""), Code: NotAFile, Err: ErrNotRecursive})
	default:
		if arrival != "" {
			r.enter(outer, i, nil)
		}
		source := newCursor(r.walkSource)
		defer source.stop()
		r.merge(source, nil)
	}
}

// ErrNotRecursive is the cause of an Error about a directory that TreeOptions.Recursive would have transferred.
var ErrNotRecursive = errors.New("it is a directory")

// makeAbove makes a directory of the destination and those above it, or accepts what is there.
func (r *run) makeAbove(destination side, dir string) error {
	if dir == "" || r.o.DryRun {
		return nil
	}
	if err := r.makeAbove(destination, parentOf(dir)); err != nil {
		return err
	}
	err := destination.mkdir(r.ctx, dir, directoryMode)
	if !errors.Is(err, Exists) && !errors.Is(err, OutcomeUnknown) {
		return err
	}
	e, err := destination.lstat(r.ctx, dir)
	if err == nil && !e.descends() {
		err = &Error{Op: r.op(), Path: destination.name(dir), Code: NotDirectory}
	}
	return err
}

// parentOf returns the directory of a relative path, "" for the root.
func parentOf(p string) string {
	if dir := path.Dir(p); dir != "." {
		return dir
	}
	return ""
}
