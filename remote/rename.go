package remote

import (
	"sync"
	"time"
)

// Bounds of what is looked for to be renamed.
const (
	renameLeast  = 16 << 10 // bytes of a file: a smaller one is sent as quickly
	renameMost   = 10000    // files that wait, and that are to be removed
	renameChecks = 3        // files of the same size whose content is compared
)

// renames finds files that have another name at the source: of those that the destination lacks and
// those that it has too many, two may be the same. Those wait until all of these are known.
type renames struct {
	wanted []wanted

	mu      sync.Mutex
	offers  map[int64][]*offer // by size; guarded by mu while tasks run
	offered []*offer
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
	removal  *removal // nil where it goes with a directory
	taken    bool     // guarded by renames.mu
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
func (r *run) offer(n *node, d item, gone *removal) {
	if !r.carries || !d.Mode.IsRegular() || d.Size < renameLeast || len(r.offered) == renameMost {
		return
	}
	if r.offers == nil {
		r.offers = make(map[int64][]*offer)
	}
	n.hold()
	o := &offer{node: n, path: d.path, modified: d.Modified, removal: gone}
	r.offers[d.Size] = append(r.offers[d.Size], o)
	r.offered = append(r.offered, o)
}

// settle brings the files that have waited, and then lets go of those that are to be removed.
func (r *run) settle() {
	for _, w := range r.wanted {
		r.settleOne(w.node, w.item)
		w.node.release()
	}
	if len(r.offered) > 0 {
		r.running.Wait() // nobody else starts tasks
	}
	for _, o := range r.offered {
		r.start(o.node, o.path, func() error { return nil })
		o.node.release()
	}
}

func (r *run) settleOne(n *node, s item) {
	if len(r.offers[s.Size]) == 0 {
		r.bring(n, s, nil)
		return
	}
	r.start(n, r.shown(s.path), func() error {
		if !n.wait() {
			return nil
		}
		renamed, err := r.rename(n, &s)
		if renamed || err != nil {
			return err
		}
		r.tell(Event{Kind: EventFound, Path: r.shown(s.path), Size: s.Size})
		return r.place(n, &s, nil)
	})
}

// rename reports whether a file of the destination has become s.
func (r *run) rename(n *node, s *item) (bool, error) {
	var seen []*offer
	for range renameChecks {
		o := r.take(s, seen)
		if o == nil {
			return false, nil
		}
		seen = append(seen, o)
		same, err := r.equalContent(s, o.path)
		if err == nil && same {
			err = r.renameTo(n, s, o)
		}
		if err == nil && same {
			return true, nil
		}
		if err != nil && interrupted(r.ctx, err) {
			return false, err
		}
		r.giveBack(o)
	}
	return false, nil
}

func (r *run) renameTo(n *node, s *item, o *offer) error {
	if !r.o.DryRun {
		n.touch()
		o.node.touch()
		if err := r.to.rename(r.ctx, o.path, s.path); err != nil {
			return err
		}
		if err := r.setAttributes(s); err != nil {
			return err // it is sent again
		}
	}
	if o.removal != nil {
		o.removal.kept = true
	}
	r.count(Event{Kind: EventRenamed, Path: r.shown(s.path), From: r.shown(o.path), Size: s.Size}, func(sum *Summary) {
		sum.Renamed++
		sum.Saved += s.Size
	})
	return nil
}

// take chooses an offer for s that is not among seen, one of the same time first; nil for none.
func (r *run) take(s *item, seen []*offer) *offer {
	r.renames.mu.Lock()
	defer r.renames.mu.Unlock()
	var best *offer
next:
	for _, o := range r.offers[s.Size] {
		for _, before := range seen {
			if o == before {
				continue next
			}
		}
		if !o.taken && (best == nil || !best.modified.Equal(s.Modified) && o.modified.Equal(s.Modified)) {
			best = o
		}
	}
	if best != nil {
		best.taken = true
	}
	return best
}

func (r *run) giveBack(o *offer) {
	r.renames.mu.Lock()
	defer r.renames.mu.Unlock()
	o.taken = false
}
