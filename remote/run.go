package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// run is the transfer of one tree by an engine.
type run struct {
	*engine
	source, to side
	local      *localSide  // one of them,
	remote     *remoteSide // and the other
	prefix     string      // what paths begin with in events and for the filter
	sees       bool        // what the destination has is looked at before: it is a synchronisation
	carries    bool        // permission bits and times
	rootStays  bool        // without those of the source
	thereRoot  *Attr       // of a synchronisation: the root of the destination, nil where it is new
	missing    bool        // to stands for a directory that does not exist
	close      func()      // if not nil, is called when all is done

	// The following belong to the goroutine of merge, but for the lists of renames.
	stack []*node // directories that the walks are in, each in the one before
	gone  string  // the directory that was last found to be gone, "" for none
	renames
}

// rebase makes a directory beneath it the root of the destination.
func (r *run) rebase(dir string) {
	if r.isUpload() {
		r.remote = r.remote.beneath(dir)
		r.to = r.remote
	} else {
		r.local = r.local.beneath(dir)
		r.to = r.local
	}
}

func (r *run) isUpload() bool { return r.source == side(r.local) }

// shown is a path in events and for the filter.
func (r *run) shown(p string) string { return path.Join(r.prefix, p) }

func (r *run) unchanged(p string) {
	r.count(Event{Kind: EventUnchanged, Path: r.shown(p)}, func(s *Summary) { s.Unchanged++ })
}

func (r *run) skipped(p string) {
	r.count(Event{Kind: EventConflict, Path: r.shown(p)}, func(s *Summary) { s.Skipped++ })
}

func (r *run) leaves(p string, isDir bool) bool { return r.o.Filter.Excludes(r.shown(p), isDir) }

// op is the operation that errors name.
func (r *run) op() string { return r.local.op }

// isUnfit reports whether something can't be transferred, and takes note of that.
func (r *run) isUnfit(s *item) bool {
	err := s.err
	switch {
	case err != nil:
	case s.Link && r.o.Links == LinksKeep, s.Mode.IsRegular():
		return false
	case s.IsDir():
		err = &Error{Op: r.op(), Path: r.source.name(s.from), Code: NotAFile, Err: errLeadsToDirectory}
	case s.Mode&fs.ModeSymlink != 0:
		err = &Error{Op: r.op(), Path: r.source.name(s.from), Code: NotFound, Err: errLeadsNowhere}
	default:
		err = &Error{Op: r.op(), Path: r.source.name(s.from), Code: NotAFile}
	}
	r.fail(r.shown(s.path), err)
	return true
}

// Why a symbolic link is left out.
var (
	errLeadsNowhere     = errors.New("the symbolic link leads nowhere")
	errLeadsToDirectory = errors.New("it leads to a directory")
)

// enter goes on in a directory, which is made where it is missing. Something else may be there instead.
func (r *run) enter(above *node, s item, there *Entry) {
	var attr *Attr
	if there != nil && there.descends() {
		attr = &there.Attr
	}
	n := r.newNode(above, s, attr)
	r.stack = append(r.stack, n)
	if attr != nil {
		n.decide(true)
		return
	}
	r.start(n, r.shown(s.path), func() error {
		usable, err := false, error(nil)
		if above.wait() {
			usable, err = r.makeDirectory(above, s, there)
		}
		n.decide(usable)
		return err
	})
}

// makeDirectory reports whether there is a directory then.
func (r *run) makeDirectory(above *node, s item, there *Entry) (usable bool, err error) {
	if there != nil && !r.replaces(&s, there) {
		r.skipped(s.path)
		return false, nil
	}
	if r.o.DryRun {
		usable, err = r.wouldMake(s.path)
		if err == nil && !usable {
			above.touch()
		}
	} else {
		above.touch()
		if there != nil {
			err = r.removeOne(s.path)
		}
		if err == nil {
			usable, err = r.mkdir(&s)
		}
	}
	if usable {
		return true, nil // it was there
	}
	if err != nil {
		return false, err
	}
	r.count(Event{Kind: EventDirectory, Path: r.shown(s.path)}, func(s *Summary) { s.Directories++ })
	return true, nil
}

// wouldMake is mkdir of a dry run.
func (r *run) wouldMake(p string) (merged bool, err error) {
	if r.sees {
		return false, nil
	}
	e, err := r.to.lstat(r.ctx, p)
	if errors.Is(err, NotFound) {
		return false, nil
	}
	if err == nil {
		err = r.mergeable(p, &e)
	}
	return err == nil, err
}

// mergeable fails where what is there can't be used as the directory.
func (r *run) mergeable(p string, e *Entry) error {
	switch {
	case !r.sees && r.o.Conflict == ConflictFail:
		return &Error{Op: r.op(), Path: r.to.name(p), Code: Exists}
	case !e.descends():
		return &Error{Op: r.op(), Path: r.to.name(p), Code: NotDirectory}
	default:
		return nil
	}
}

// mkdir makes a directory, or reports that one which is there is used.
func (r *run) mkdir(s *item) (merged bool, err error) {
	perm := fs.FileMode(directoryMode)
	if r.carries {
		perm = s.Mode.Perm() | 0o700 // until all is in it
	}
	err = r.to.mkdir(r.ctx, s.path, perm)
	unknown := errors.Is(err, OutcomeUnknown)
	if !unknown && !errors.Is(err, Exists) {
		return false, err
	}
	e, statErr := r.to.lstat(r.ctx, s.path)
	switch {
	case unknown && errors.Is(statErr, NotFound):
		return false, r.to.mkdir(r.ctx, s.path, perm)
	case statErr != nil:
		return false, err
	case unknown && e.descends():
		return false, nil
	}
	err = r.mergeable(s.path, &e)
	return err == nil, err
}

// replaces reports whether the policy for conflicts has something replaced in a synchronisation, or
// anywhere else where it depends on what is there.
func (r *run) replaces(s *item, there *Entry) bool {
	switch r.o.Conflict {
	case ConflictSkip:
		return false
	case ConflictNewer:
		return s.Modified.After(there.Modified)
	default:
		return true
	}
}

// bring starts to bring a file or a link to its name, where there may be something.
func (r *run) bring(n *node, s item, there *Entry) {
	if s.Mode.IsRegular() {
		r.tell(Event{Kind: EventFound, Path: r.shown(s.path), Size: s.Size})
	}
	r.start(n, r.shown(s.path), func() error {
		if !n.wait() {
			return nil
		}
		if r.sees {
			return r.place(n, &s, there)
		}
		return r.placeUnseen(n, &s)
	})
}

// place brings a file or a link to a name of which is known what is there.
func (r *run) place(n *node, s *item, there *Entry) error {
	if there == nil {
		return r.whyRefused(s.path, r.put(n, s, s.path, r.client.Protocol() > 1))
	}
	if !r.replaces(s, there) {
		r.skipped(s.path)
		return nil
	}
	if there.descends() {
		n.touch()
		if err := r.removeTree(s.path); err != nil {
			return err
		}
	}
	return r.replace(n, s, there)
}

var errExcludedInTheWay = errors.New("a directory that the filter excludes is in the way")

// whyRefused returns the error for what could not be put where nothing was seen: the filter may have left out what
// is there.
func (r *run) whyRefused(p string, err error) error {
	if r.o.Filter == nil || !errors.Is(err, Exists) && !errors.Is(err, NotAFile) {
		return err
	}
	if e, statErr := r.to.lstat(r.ctx, p); statErr != nil || !e.descends() || !r.leaves(p, true) {
		return err
	}
	return &Error{Op: r.op(), Path: r.to.name(p), Code: NotEmpty, Err: errExcludedInTheWay}
}

// replace puts a file or a link where there is something that is no directory. A server replaces nothing but
// files by files.
func (r *run) replace(n *node, s *item, there *Entry) error {
	if r.isUpload() && !there.descends() && !there.Mode.IsRegular() && !r.o.DryRun {
		n.touch()
		if err := r.removeOne(s.path); err != nil {
			return err
		}
	}
	return r.put(n, s, s.path, true)
}

// maxNames is how many names are tried for ConflictRename.
const maxNames = 1000

// placeUnseen does so where it is not.
func (r *run) placeUnseen(n *node, s *item) error {
	policy := r.o.Conflict
	looks := r.o.DryRun || policy == ConflictSkip || policy == ConflictNewer || policy == ConflictRename
	exists := error(&Error{Op: r.op(), Path: r.to.name(s.path), Code: Exists})
	for k := range maxNames {
		p := numbered(s.path, k)
		var there *Entry
		if looks {
			e, err := r.to.lstat(r.ctx, p)
			if err == nil {
				there = &e
			} else if !errors.Is(err, NotFound) {
				return err
			}
		}
		switch {
		case there == nil:
		case policy == ConflictFail:
			return exists
		case policy == ConflictRename:
			continue
		case !r.replaces(s, there):
			r.skipped(s.path)
			return nil
		}
		if there != nil {
			return r.replace(n, s, there)
		}
		err := r.put(n, s, p, policy == ConflictReplace)
		if policy == ConflictReplace && errors.Is(err, Exists) {
			if e, statErr := r.to.lstat(r.ctx, p); statErr == nil && e.Link {
				return r.replace(n, s, &e)
			}
		}
		if !errors.Is(err, Exists) || policy == ConflictFail || policy == ConflictReplace {
			return err
		}
		if policy != ConflictRename {
			r.skipped(s.path)
			return nil
		}
	}
	return exists
}

// numbered returns "name (k).ext" for "name.ext", itself for 0.
func numbered(p string, k int) string {
	if k == 0 {
		return p
	}
	dir, name := path.Split(p)
	extension := path.Ext(name)
	if extension == name {
		extension = "" // ".profile"
	}
	return fmt.Sprintf("%s%s (%d)%s", dir, strings.TrimSuffix(name, extension), k, extension)
}

// removeOne removes what is no directory, or an empty one.
func (r *run) removeOne(p string) error { return r.removeBy(r.to.remove, p) }

// removeBy removes a path by one of the two ways. That it has gone is as good.
func (r *run) removeBy(remove func(context.Context, string) error, p string) error {
	err := remove(r.ctx, p)
	if errors.Is(err, OutcomeUnknown) {
		err = remove(r.ctx, p)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// removeTree removes a directory that is in the way, or gone at the source, but for what the filter leaves
// out: that makes it fail with NotEmpty. Without Delete only an empty one is removed.
func (r *run) removeTree(p string) error {
	if r.o.DryRun {
		return nil
	}
	if r.o.Delete && r.o.Filter == nil {
		return r.removeBy(r.to.removeAll, p)
	}
	var dirs []string
	if r.o.Delete {
		err := r.to.walk(r.ctx, p, walkOptions{leave: r.leaves}, func(i item) error {
			switch {
			case i.err != nil:
				return i.err
			case i.descends():
				dirs = append(dirs, i.path)
				return nil
			default:
				return r.removeOne(i.path)
			}
		})
		if err != nil {
			return err
		}
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := r.removeOne(dirs[i]); err != nil && !errors.Is(err, NotEmpty) {
			return err
		}
	}
	return r.removeOne(p)
}

// discard removes what is gone at the source. A directory stays where the filter keeps something in it.
func (r *run) discard(n *node, p string, isDir bool) error {
	n.touch()
	if !r.o.DryRun {
		var err error
		if isDir {
			err = r.removeTree(p)
		} else {
			err = r.removeOne(p)
		}
		if r.o.Filter != nil && errors.Is(err, NotEmpty) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	r.count(Event{Kind: EventRemoved, Path: r.shown(p)}, func(s *Summary) { s.Removed++ })
	return nil
}
