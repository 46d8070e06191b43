package remote

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
)

// put brings a file or a link to a name of the destination, and counts that.
func (r *run) put(n *node, s *item, to string, replace bool) error {
	if to != s.path {
		r.tell(Event{Kind: EventConflict, Path: r.shown(to), From: r.shown(s.path)})
	}
	if s.Link && r.o.Links == LinksKeep {
		if err := r.putLink(n, s, to, replace); err != nil {
			return err
		}
		r.count(Event{Kind: EventLink, Path: r.shown(to)}, func(sum *Summary) { sum.Links++ })
		return nil
	}
	sent := s.Size
	n.touch()
	if !r.o.DryRun {
		var err error
		if sent, err = r.putFile(s, to, replace); err != nil {
			return err
		}
	}
	r.count(Event{Kind: EventDone, Path: r.shown(to), Size: s.Size, Bytes: sent}, func(sum *Summary) {
		sum.Files++
		sum.Bytes += s.Size
		sum.Sent += sent
		sum.Saved += s.Size - sent
	})
	return nil
}

func (r *run) putLink(n *node, s *item, to string, replace bool) error {
	target, err := r.source.readlink(r.ctx, s.from)
	if err != nil {
		return err
	}
	n.touch()
	if r.o.DryRun {
		return nil
	}
	if replace {
		if err := r.removeOne(to); err != nil {
			return err
		}
	}
	return r.to.symlink(r.ctx, target, to)
}

// putFile returns how many bytes of the file had to be transferred.
func (r *run) putFile(s *item, to string, replace bool) (sent int64, err error) {
	shown := r.shown(to)
	r.tell(Event{Kind: EventStarted, Path: shown, Size: s.Size})
	var had, moved int64
	o := TransferOptions{
		Replace:   replace,
		NoFollow:  r.isUpload() || r.o.Links == LinksKeep,
		Preserve:  r.carries,
		Delta:     r.carries && replace,
		ChunkSize: r.o.ChunkSize,
		Resumed:   func(bytes int64, _ string) { had += bytes },
		expected:  s.Size,
	}
	if r.o.Observe != nil {
		o.Progress = func(chunk []byte, remaining, size int64, _ string) bool {
			done := size - remaining + int64(len(chunk))
			r.tell(Event{Kind: EventMoved, Path: shown, Size: size, Bytes: done - moved})
			moved = done
			return true
		}
	}
	if r.isUpload() {
		err = r.upload(s, to, o)
	} else {
		err = r.download(s, to, o)
	}
	return max(s.Size-had, 0), err
}

func (r *run) upload(s *item, to string, o TransferOptions) error {
	f, err := r.local.open(s.from)
	if err != nil {
		return err
	}
	defer f.Close()
	name, p := r.source.name(s.from), r.to.name(to)
	err = anew(o.Replace, func() error {
		return withoutDelta(o, func(o TransferOptions) error { return r.client.uploadOpened(r.ctx, f, name, p, o) })
	})
	return r.client.failure(r.op(), p, err)
}

func (r *run) download(s *item, to string, o TransferOptions) error {
	return r.local.withParent(to, func(destination string) error {
		err := r.client.DownloadFile(r.ctx, r.source.name(s.from), destination, o)
		var e *Error
		if errors.As(err, &e) && strings.HasPrefix(e.Path, destination) {
			return &Error{Op: e.Op, Path: r.to.name(to), Code: e.Code, Err: e.Err}
		}
		return err
	})
}

// files compares two files.
func (r *run) files(n *node, s item, there Entry) {
	switch {
	case s.Size != there.Size || !r.o.Checksum && !r.sameTime(&s, &there):
		r.bring(n, s, &there)
	case !r.o.Checksum && !r.attributesDiffer(&s, &there):
		r.unchanged(s.path)
	default:
		r.start(n, r.shown(s.path), func() error {
			same := !r.o.Checksum
			if !same {
				var err error
				if same, err = r.equalContent(&s, s.path); err != nil {
					return err
				}
			}
			if !same {
				r.tell(Event{Kind: EventFound, Path: r.shown(s.path), Size: s.Size})
				return r.place(n, &s, &there)
			}
			return r.adjust(&s, &there)
		})
	}
}

// sameTime reports whether the time says that the content is the same. Where times can't be carried,
// a copy is newer than what it is a copy of.
func (r *run) sameTime(s *item, there *Entry) bool {
	if !r.carries {
		return s.Modified.Sub(there.Modified) < timeError1
	}
	return there.Modified.Equal(s.Modified)
}

// timeError1 is more than what a time loses in Remofile 1, where it is a float64 of seconds since 1970.
const timeError1 = time.Microsecond

func (r *run) attributesDiffer(s *item, there *Entry) bool {
	return r.carries && (s.Mode.Perm() != there.Mode.Perm() || !s.Modified.Equal(there.Modified))
}

// adjust gives a file whose content is right its attributes.
func (r *run) adjust(s *item, there *Entry) error {
	if !r.attributesDiffer(s, there) {
		r.unchanged(s.path)
		return nil
	}
	if !r.o.DryRun {
		if err := r.setAttributes(s); err != nil {
			return err
		}
	}
	r.count(Event{Kind: EventAttributes, Path: r.shown(s.path)}, func(sum *Summary) { sum.Attributes++ })
	return nil
}

func (r *run) setAttributes(s *item) error {
	modified, mode := s.Modified, s.Mode.Perm()
	return r.to.set(r.ctx, s.path, Changes{Mode: &mode, Modified: &modified})
}

// links compares two symbolic links.
func (r *run) links(n *node, s item, there Entry) {
	r.start(n, r.shown(s.path), func() error {
		here, err := r.source.readlink(r.ctx, s.from)
		if err != nil {
			return err
		}
		target, err := r.to.readlink(r.ctx, s.path)
		if err == nil && target == here {
			r.unchanged(s.path)
			return nil
		}
		return r.place(n, &s, &there)
	})
}

// equalContent compares a file of the source with one of the destination, of the same size.
func (r *run) equalContent(s *item, there string) (bool, error) {
	here, far := there, s.from
	if r.isUpload() {
		here, far = s.from, there
	}
	f, err := r.local.open(here)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() != s.Size {
		return false, r.local.failure(here, err)
	}
	return r.client.equalContent(r.ctx, r.remote.name(far), f, s.Size, !r.isUpload() && r.o.Links == LinksFollow)
}

// equalContent reports whether a file of the server has the same content as a local one, of that size in bytes.
func (c *Client) equalContent(ctx context.Context, p string, f *os.File, size int64, follow bool) (bool, error) {
	c2, err := c.second()
	if err != nil {
		return false, c.failure("digest", p, err)
	}
	same, err := again(ctx, c2, true, func(s *session2) (bool, error) {
		flow := c2.flow(s, &TransferOptions{})
		defer flow.finish(0)
		return flow.equalContent(ctx, p, f, size, follow)
	})
	return same, c.failure("digest", p, err)
}

func (f *flow) equalContent(ctx context.Context, p string, local *os.File, size int64, follow bool) (bool, error) {
	open := remofile2.Request{Operation: remofile2.OpOpen, Path: p, Flags: remofile2.OpenRead}
	if follow {
		open.Flags |= remofile2.OpenFollow
	}
	if err := f.push(ctx, &open, nil); err != nil {
		return false, err
	}
	theirs := f.digests(0, size, size)
	defer theirs.drop()
	if err := theirs.ask(ctx); err != nil {
		return false, err
	}
	opened, err := f.pop(ctx)
	if err != nil || opened.answer.Attr.Size != size {
		return false, err
	}
	buffer := make([]byte, min(theirs.block, size))
	for done := int64(0); done < size; {
		block := buffer[:min(int64(len(buffer)), size-done)]
		if _, err := local.ReadAt(block, done); err != nil {
			if err == io.EOF {
				return false, nil // it has become shorter
			}
			return false, err
		}
		if same, err := theirs.equal(ctx, block); err != nil || !same {
			return false, err
		}
		done += int64(len(block))
	}
	return true, nil
}
