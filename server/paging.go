package server

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// list is LIST. Its entries come in the order of the bytes of their names.
func (t *task) list() (err error) {
	d, err := t.session.server.jail.open(t.Path)
	if err != nil {
		return err
	}
	defer d.close()
	all := t.session.server.listings
	l, err := all.enter(t.ctx, listingKey{t.session, d.id})
	if err != nil {
		return err
	}
	defer func() { all.leave(l, err == nil && t.answer.Cursor != "") }()
	page := page{task: t, dir: d, most: min(t.Length, remofile2.MaxPage), at: t.Cursor}
	if t.Cursor == "" {
		err = page.scan(l)
	}
	for err == nil && !page.full {
		err = page.fill(l)
	}
	return err
}

// minWindow is how many bytes of names are collected for the shortest page.
const minWindow = 64 << 10

// page is what LIST answers.
type page struct {
	task *task
	dir  *directory
	most int64  // bytes that the entries may take
	size int64  // that they take
	at   string // the last name that was looked at
	full bool   // nothing more fits in, or there is nothing more
}

// scan collects names behind those that the page has.
func (p *page) scan(l *listing) error {
	if _, err := unix.Seek(p.dir.fd(), 0, io.SeekStart); err != nil {
		return err
	}
	l.begin(p.at, max(p.most, minWindow))
	err := forEachName(p.dir.fd(), func(name string) error {
		l.add(name)
		return p.task.ctx.Err()
	})
	if err != nil {
		l.names = nil
		return err
	}
	l.cut()
	return nil
}

// fill adds the entries of the names at hand.
func (p *page) fill(l *listing) error {
	if !l.covers(p.at) {
		if err := p.scan(l); err != nil {
			return err
		}
	}
	for _, name := range l.behind(p.at) {
		if err := p.task.ctx.Err(); err != nil {
			return err
		}
		if err := p.add(name); err != nil || p.full {
			return err
		}
	}
	p.full = !l.more
	return nil
}

// add adds an entry, unless that is hidden, or gone meanwhile.
func (p *page) add(name string) error {
	entries, size := &p.task.answer.Entries, p.size+remofile2.EntryOverhead+int64(len(name))
	if size > p.most && len(*entries) > 0 {
		p.task.answer.Cursor, p.full = p.at, true
		return nil
	}
	p.at = name
	attr, err := p.task.session.server.jail.attr(p.dir, name)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil { // a dead mount: without attributes
		p.task.session.log.Warn("entry can't be looked at", "path", p.task.Path+"/"+name, "err", err)
	}
	*entries = append(*entries, remofile2.Entry{Name: name, Attr: attr})
	p.size = size
	return nil
}

// attr returns the attributes of a name in d, links not followed. A staging directory
// does not exist.
func (j *jail) attr(d *directory, name string) (remofile2.Attr, error) {
	if isStagingName(name) {
		var st unix.Statx_t
		if err := j.stat(d, name, &st); err != nil {
			return remofile2.Attr{}, err
		}
	}
	return attrAt(d.fd(), name)
}
