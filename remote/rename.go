package remote

import (
	"path"
	"slices"
	"sync"
	"time"
)

// Bounds of what is looked for to be renamed.
const (
	renameLeast  = 16 << 10 // bytes of a file: a smaller one is sent as quickly
	renameMost   = 10000    // files that wait, and that are to be removed
	renameChecks = 64       // of content for all files of the same size, where times say nothing
)

// renames finds files that have another name at the source: of those that the destination lacks and
// those that it has too many, two may be the same. The former wait until all of these are known.
type renames struct {
	wanted  []wanted
	offers  map[int64][]*offer // by size
	offered []*offer

	mu   sync.Mutex // guards what follows while tasks run
	left []wanted   // those that are not there by another name
}

// wanted is a file that the destination lacks. Its directory is held.
type wanted struct {
	node *node
	item item
}

// offer is a file that is going to be removed. The directory from which it, or the one that it is in, is going to
// be removed is held.
type offer struct {
	node     *node
	path     string
	modified time.Time
	tried    bool // a file of the same time is compared with it
	taken    bool // it was renamed; written by one task at a time
}

func (r *run) mayBeRenamed(s *item) bool {
	return r.o.Delete && r.carries && s.Mode.IsRegular() && !s.Link && s.Size >= renameLeast && len(r.wanted) < renameMost
}

// want has a file wait for the end of the walks.
func (r *run) want(n *node, s item) {
	n.hold()
	r.wanted = append(r.wanted, wanted{n, s})
}

// offer takes note of a file that is going to be removed.
func (r *run) offer(n *node, d item) {
	if !r.carries || !d.Mode.IsRegular() || d.Size < renameLeast || len(r.offered) == renameMost {
		return
	}
	if r.offers == nil {
		r.offers = make(map[int64][]*offer)
	}
	n.hold()
	o := &offer{node: n, path: d.path, modified: d.Modified}
	r.offers[d.Size] = append(r.offers[d.Size], o)
	r.offered = append(r.offered, o)
}

// settle brings the files that have waited, and then lets go of those that are to be removed. First are
// those that have the same time, then, one after the other, those that only have the same size.
func (r *run) settle() {
	for _, w := range r.wanted {
		r.matchTime(w)
	}
	r.running.Wait() // nobody else starts tasks
	bySize := make(map[int64][]wanted)
	for _, w := range r.takeLeft() {
		bySize[w.item.Size] = append(bySize[w.item.Size], w)
	}
	for size, group := range bySize {
		r.matchSize(size, group)
	}
	r.running.Wait()
	for _, w := range r.takeLeft() {
		r.bring(w.node, w.item, nil)
	}
	for _, w := range r.wanted {
		w.node.release()
	}
	if len(r.offered) > 0 {
		r.running.Wait()
	}
	for _, o := range r.offered {
		r.start(o.node, o.path, func() error { return nil })
		o.node.release()
	}
}

// takeLeft is called when no task runs. What is the same is compared in the same order in each run.
func (r *run) takeLeft() []wanted {
	left := r.left
	r.left = nil
	slices.SortFunc(left, func(a, b wanted) int { return comparePaths(a.item.path, b.item.path) })
	return left
}

func (r *run) leaveOver(w wanted) {
	r.renames.mu.Lock()
	defer r.renames.mu.Unlock()
	r.left = append(r.left, w)
}

// matchTime compares a file with one of the same size and time, and if there is one also of the same name.
func (r *run) matchTime(w wanted) {
	var best *offer
	for _, o := range r.offers[w.item.Size] {
		if o.tried || !o.modified.Equal(w.item.Modified) {
			continue
		}
		named := path.Base(o.path) == path.Base(w.item.path)
		if best == nil || named {
			best = o
		}
		if named {
			break
		}
	}
	if best == nil {
		r.leaveOver(w)
		return
	}
	best.tried = true
	r.start(w.node, r.shown(w.item.path), func() error {
		renamed, err := r.rename(w.node, &w.item, best)
		if !renamed {
			r.leaveOver(w)
		}
		return err
	})
}

// matchSize compares files of a size with those of the same size.
func (r *run) matchSize(size int64, group []wanted) {
	offers := r.offers[size]
	if len(offers) == 0 {
		for _, w := range group {
			r.leaveOver(w)
		}
		return
	}
	first := group[0]
	r.start(first.node, r.shown(first.item.path), func() error {
		checks := renameChecks
		for _, w := range group {
			if err := r.matchOne(w, offers, &checks); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *run) matchOne(w wanted, offers []*offer, checks *int) error {
	for _, o := range offers {
		if o.taken || *checks == 0 {
			continue
		}
		*checks--
		if renamed, err := r.rename(w.node, &w.item, o); renamed || err != nil {
			return err
		}
	}
	r.leaveOver(w)
	return nil
}

// rename reports whether a file of the destination has become s. Only the end of the whole is an error.
func (r *run) rename(n *node, s *item, o *offer) (bool, error) {
	if !n.wait() {
		return false, nil
	}
	same, err := r.equalContent(s, o.path)
	if err == nil && same {
		err = r.renameTo(n, s, o)
	}
	if err != nil && interrupted(r.ctx, err) {
		return false, err
	}
	o.taken = same && err == nil
	return o.taken, nil
}

func (r *run) renameTo(n *node, s *item, o *offer) error {
	n.touch()
	o.node.touch()
	if !r.o.DryRun {
		if err := r.to.rename(r.ctx, o.path, s.path); err != nil {
			return err
		}
		if err := r.setAttributes(s); err != nil {
			return err // it is sent again
		}
	}
	if parentOf(o.path) == o.node.path {
		o.node.keep(path.Base(o.path))
	}
	r.count(Event{Kind: EventRenamed, Path: r.shown(s.path), From: r.shown(o.path), Size: s.Size}, func(sum *Summary) {
		sum.Renamed++
		sum.Saved += s.Size
	})
	return nil
}
