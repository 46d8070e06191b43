package remote

import (
	"context"
	"io"
	"path"

	"github.com/remofile/remofile/protocol/remofile2"
)

// resumable is a writer that may have a part of the file already, which an interrupted
// download has left.
type resumable interface {
	io.Writer
	io.ReaderAt
	io.WriterAt
	// resume returns how many bytes there are, which may be anything. It is called before
	// the first one is written, and Write is not called after it.
	resume() (int64, error)
}

// download2 is a file that is being received.
type download2 struct {
	*flow
	w    io.Writer
	name string
	attr remofile2.Attr // of the file when it was opened
	o    *TransferOptions

	part    resumable      // w, where that has a part; else nil
	theirs  *digests       // of the file, for as far as the part goes; nil where there is none
	buffer  []byte         // for a block of the part
	checked int64          // what is before it has been compared with the part, or the basis
	delta   *downloadDelta // nil before it is needed

	asked  int64 // bytes that have been asked for, or are there
	done   int64 // bytes that have been written, or are there
	stated bool  // the attributes have been asked for again
}

func (c *client2) download(ctx context.Context, p string, w io.Writer, o *TransferOptions) (int64, error) {
	written, err := again(ctx, c, false, func(s *session2) (int64, error) {
		f := c.flow(s, o)
		defer f.finish(0)
		written, err := f.download(ctx, p, w, o)
		if written == 0 {
			err = forgotten(err)
		}
		return written, err
	})
	return written, forgotten(err)
}

func (f *flow) download(ctx context.Context, p string, w io.Writer, o *TransferOptions) (int64, error) {
	open := remofile2.Request{Operation: remofile2.OpOpen, Path: p, Flags: remofile2.OpenRead}
	if !o.NoFollow {
		open.Flags |= remofile2.OpenFollow
	}
	if err := f.push(ctx, &open, nil); err != nil {
		return 0, err
	}
	// The first chunk is asked for before the size is known: a small file costs one
	// round trip.
	first := f.chunk()
	if o.expected > 0 {
		first = min(first, o.expected)
	}
	if o.basis != nil {
		first = 0 // it may be there
	} else if err := f.push(ctx, &remofile2.Request{Operation: remofile2.OpRead, Length: first}, nil); err != nil {
		return 0, err
	}
	opened, err := f.pop(ctx)
	if err != nil {
		return 0, err
	}
	if o.opened != nil {
		*o.opened = attrOf(&opened.answer.Attr)
	}
	d := download2{flow: f, w: w, name: path.Base(p), attr: opened.answer.Attr, o: o, asked: first}
	err = d.run(ctx)
	return d.done, err
}

func (d *download2) run(ctx context.Context) error {
	if err := d.resume(); err != nil {
		return err
	}
	if d.theirs != nil {
		defer d.theirs.drop()
	}
	defer d.endDelta()
	first := d.asked > 0 // is under way, even where the file is empty
	for first || d.done < d.attr.Size {
		if err := d.ask(ctx); err != nil {
			return err
		}
		if !first && d.done == d.attr.Size {
			break // the rest is there
		}
		if err := d.receive(ctx); err != nil {
			return err
		}
		first = false
	}
	return d.checkUnchanged(ctx)
}

// resume finds the part that an earlier download has left.
func (d *download2) resume() error {
	part, ok := d.w.(resumable)
	if !ok || d.attr.Size <= headSize {
		return nil
	}
	had, err := part.resume()
	if err != nil {
		return err
	}
	d.part, d.buffer = part, make([]byte, d.block())
	d.theirs = d.digests(d.asked, had, d.attr.Size)
	d.checked = d.asked
	return nil
}

// ask asks for as much as may be under way, and behind the last chunk for the attributes. A
// file of one chunk has no other that could be of another time.
func (d *download2) ask(ctx context.Context) error {
	if d.asked >= d.attr.Size {
		return nil
	}
	for chunk := d.chunk(); d.asked < d.attr.Size && d.hasRoom(chunk); chunk = d.chunk() {
		there, err := d.find(ctx)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		n := min(chunk, d.attr.Size-d.asked)
		if d.asked < d.checked {
			n = min(n, d.checked-d.asked) // the next block is to be compared
		}
		if err := d.push(ctx, &remofile2.Request{Operation: remofile2.OpRead, Offset: d.asked, Length: n}, nil); err != nil {
			return err
		}
		d.asked += n
	}
	if d.asked < d.attr.Size {
		return nil
	}
	d.stated = true
	return d.push(ctx, &remofile2.Request{Operation: remofile2.OpStat}, nil)
}

// find reports whether what comes next has been found here. If not, it is to be asked for, up to
// checked where that is behind it.
func (d *download2) find(ctx context.Context) (there bool, err error) {
	if there, err := d.compare(ctx); err != nil || there {
		return there, err
	}
	if d.o.basis == nil || d.part == nil || d.asked < d.checked {
		return false, nil
	}
	if d.delta == nil {
		if err := d.deltas.Acquire(ctx, 1); err != nil {
			return false, context.Cause(ctx)
		}
		if d.delta, err = d.newDelta(ctx, d.asked); err != nil {
			return false, err
		}
	}
	return d.delta.take(ctx)
}

// endDelta gives back what find has taken.
func (d *download2) endDelta() {
	if d.delta != nil {
		d.delta.list.drop()
		d.deltas.Release(1)
	}
}

// compare reports whether the next block is there. One that is another in the part is compared
// once, and then asked for in chunks.
func (d *download2) compare(ctx context.Context) (there bool, err error) {
	if d.theirs == nil || d.asked < d.checked || d.asked >= d.theirs.end {
		return false, nil
	}
	block := d.buffer[:min(int64(len(d.buffer)), d.theirs.end-d.asked)]
	if _, err := d.part.ReadAt(block, d.asked); err != nil {
		return false, err
	}
	d.checked += int64(len(block))
	if there, err = d.theirs.equal(ctx, block); err != nil || !there {
		return false, err
	}
	err = d.o.reportResumed(block, d.attr.Size-d.done, d.attr.Size, d.name)
	d.asked = d.checked
	d.done += int64(len(block))
	return true, err
}

// receive writes the chunk that was asked for first of those under way.
func (d *download2) receive(ctx context.Context) error {
	c, err := d.pop(ctx)
	if err != nil {
		return err
	}
	defer d.release(c)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	want := min(c.Length, d.attr.Size-c.Offset)
	if int64(len(c.payload)) < want {
		return &Error{Code: Changed}
	}
	chunk := c.payload[:want]
	if err := d.o.report(chunk, d.attr.Size-d.done, d.attr.Size, d.name); err != nil {
		return err
	}
	var n int
	if d.part != nil {
		n, err = d.part.WriteAt(chunk, c.Offset)
	} else {
		n, err = d.w.Write(chunk)
	}
	d.done += int64(n)
	return err
}

// checkUnchanged fails where the file is not what it was when it was opened: what has been
// read may be a bit of both. That it has grown does no harm.
func (d *download2) checkUnchanged(ctx context.Context) error {
	if !d.stated {
		return nil
	}
	c, err := d.pop(ctx)
	if err != nil {
		return err
	}
	now := &c.answer.Attr
	if now.Size < d.attr.Size || now.Size == d.attr.Size && now.Modified != d.attr.Modified {
		return &Error{Code: Changed}
	}
	return nil
}
