package server

import (
	"container/heap"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// list is LIST. A page holds the first names behind the cursor, in the order of their
// bytes: only these are kept while the directory is read.
func (t *task) list() error {
	d, err := t.session.server.jail.open(t.Path)
	if err != nil {
		return err
	}
	defer d.close()
	p := page{most: min(t.Length, remofile2.MaxPage)}
	err = forEachName(d.file, func(name string) error {
		if name > t.Cursor || t.Cursor == "" {
			p.add(name)
		}
		return t.ctx.Err()
	})
	if err != nil {
		return err
	}
	slices.Sort(p.names)
	if p.more {
		t.answer.Cursor = p.names[len(p.names)-1]
	}
	for _, name := range p.names {
		attr, err := t.session.server.jail.attr(d, name)
		if errors.Is(err, unix.ENOENT) {
			continue // hidden, or gone meanwhile
		}
		if err != nil { // a dead mount: without attributes
			t.session.log.Warn("entry can't be looked at", "path", t.Path+"/"+name, "err", err)
		}
		t.answer.Entries = append(t.answer.Entries, remofile2.Entry{Name: name, Attr: attr})
	}
	return nil
}

// page collects the names of a page. As a heap, the last of them in order comes first.
type page struct {
	most  int64 // bytes that their entries may take
	names []string
	size  int64 // bytes that they take
	more  bool  // some did not fit in
}

func (p *page) add(name string) {
	heap.Push(p, name)
	for p.size > p.most && len(p.names) > 1 {
		heap.Pop(p)
		p.more = true
	}
}

func (p *page) Len() int           { return len(p.names) }
func (p *page) Less(i, j int) bool { return p.names[i] > p.names[j] }
func (p *page) Swap(i, j int)      { p.names[i], p.names[j] = p.names[j], p.names[i] }

// Push implements heap.Interface.
func (p *page) Push(name any) {
	p.names = append(p.names, name.(string))
	p.size += remofile2.EntryOverhead + int64(len(name.(string)))
}

// Pop implements heap.Interface.
func (p *page) Pop() any {
	last := p.names[len(p.names)-1]
	p.names = p.names[:len(p.names)-1]
	p.size -= remofile2.EntryOverhead + int64(len(last))
	return last
}

// attr returns the attributes of a name in d, links not followed. A staging directory
// does not exist.
func (j *jail) attr(d *directory, name string) (remofile2.Attr, error) {
	if isStagingName(name) {
		var st unix.Stat_t
		if err := j.stat(d, name, &st); err != nil {
			return remofile2.Attr{}, err
		}
	}
	return attrAt(d.fd(), name)
}
