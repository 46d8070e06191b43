package remote

import (
	"cmp"
	"context"
	"io"
	"path"

	"github.com/remofile/remofile/protocol/remofile2"
)

// chunkSize2 is how much of a file a request carries, in bytes, where nobody chose.
const chunkSize2 = 256 << 10

// window2 is how many bytes of a transfer are under way.
const window2 = 8 << 20

// flow is the requests of one transfer, in the order in which they were sent.
type flow struct {
	*session2
	handle remofile2.Handle
	chunk  int64 // bytes
	calls  []*call
	bytes  int64 // of calls
}

func (c *client2) flow(ctx context.Context, o *TransferOptions) (*flow, error) {
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	chunk := int64(cmp.Or(o.ChunkSize, c.opts.ChunkSize, chunkSize2))
	return &flow{session2: s, handle: s.newHandle(), chunk: min(chunk, int64(s.info.Payload))}, nil
}

// push sends a request.
func (f *flow) push(ctx context.Context, r *remofile2.Request, payload []byte) error {
	r.Handle = f.handle
	c, err := f.begin(ctx, r, payload)
	if err != nil {
		return err
	}
	f.calls = append(f.calls, c)
	f.bytes += c.bytes
	return nil
}

// pop waits for the oldest answer.
func (f *flow) pop(ctx context.Context) (*call, error) {
	c := f.calls[0]
	f.calls = f.calls[1:]
	f.bytes -= c.bytes
	_, err := f.wait(ctx, c)
	return c, err
}

// finish ends the transfer. What is still under way is not waited for, and neither is the
// server's word that the file is closed.
func (f *flow) finish(flags remofile2.Flags) {
	for _, c := range f.calls {
		f.abandon(c)
	}
	f.calls, f.bytes = nil, 0
	if f.alive() {
		f.push(context.Background(), &remofile2.Request{Operation: remofile2.OpClose, Flags: flags}, nil)
	}
}

// discard ends an upload that failed, and waits for a moment until the server has nothing
// of it any longer.
func (f *flow) discard() {
	f.finish(remofile2.CloseDiscard)
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	for len(f.calls) > 0 {
		f.pop(ctx)
	}
}

func (c *client2) upload(ctx context.Context, p string, src source, size int64, o *TransferOptions) error {
	f, err := c.flow(ctx, o)
	if err != nil {
		return err
	}
	if err := f.upload(ctx, p, src, size, o); err != nil {
		f.discard()
		return err
	}
	f.finish(0)
	return nil
}

func (f *flow) upload(ctx context.Context, p string, src source, size int64, o *TransferOptions) error {
	stage := remofile2.Request{Operation: remofile2.OpStage, Path: p, Mode: fileMode, Flags: remofile2.StageFollow}
	if o.Replace {
		stage.Flags |= remofile2.StageReplace
	}
	if err := f.push(ctx, &stage, nil); err != nil {
		return err
	}
	if err := f.sendFile(ctx, src, size, path.Base(p), o); err != nil {
		return err
	}
	if src.intact != nil {
		if err := src.intact(); err != nil {
			return err
		}
	}
	if err := f.push(ctx, &remofile2.Request{Operation: remofile2.OpCommit}, nil); err != nil {
		return err
	}
	for len(f.calls) > 0 {
		if _, err := f.pop(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *flow) sendFile(ctx context.Context, src source, size int64, name string, o *TransferOptions) error {
	buf := make([]byte, min(f.chunk, max(size, 1)))
	for sent := int64(0); sent < size; {
		chunk := buf[:min(int64(len(buf)), size-sent)]
		if _, err := io.ReadFull(src, chunk); err != nil {
			return sourceError(err)
		}
		if err := o.report(chunk, size-sent, size, name); err != nil {
			return err
		}
		for f.bytes+int64(len(chunk)) > window2 {
			if _, err := f.pop(ctx); err != nil {
				return err
			}
		}
		if err := f.push(ctx, &remofile2.Request{Operation: remofile2.OpWrite, Offset: sent}, chunk); err != nil {
			return err
		}
		sent += int64(len(chunk))
	}
	return nil
}

func (c *client2) download(ctx context.Context, p string, w io.Writer, o *TransferOptions) (int64, error) {
	f, err := c.flow(ctx, o)
	if err != nil {
		return 0, err
	}
	defer f.finish(0)
	open := remofile2.Request{Operation: remofile2.OpOpen, Path: p, Flags: remofile2.OpenRead | remofile2.OpenFollow}
	if err := f.push(ctx, &open, nil); err != nil {
		return 0, err
	}
	// The first chunk is asked for before the size is known: a small file costs one
	// round trip.
	if err := f.push(ctx, &remofile2.Request{Operation: remofile2.OpRead, Length: f.chunk}, nil); err != nil {
		return 0, err
	}
	opened, err := f.pop(ctx)
	if err != nil {
		return 0, err
	}
	return f.receiveFile(ctx, w, opened.answer.Attr.Size, path.Base(p), o)
}

// receiveFile writes a file of size bytes to w and returns how many it wrote. The first
// chunk has been asked for.
func (f *flow) receiveFile(ctx context.Context, w io.Writer, size int64, name string, o *TransferOptions) (written int64, err error) {
	asked := f.chunk
	for {
		for asked < size && f.bytes+f.chunk <= window2 {
			n := min(f.chunk, size-asked)
			if err := f.push(ctx, &remofile2.Request{Operation: remofile2.OpRead, Offset: asked, Length: n}, nil); err != nil {
				return written, err
			}
			asked += n
		}
		c, err := f.pop(ctx)
		if err != nil {
			return written, err
		}
		chunk := c.payload[:min(int64(len(c.payload)), size-written)]
		if want := min(f.chunk, size-written); int64(len(chunk)) < want {
			return written, &Error{Code: Changed}
		}
		if err := o.report(chunk, size-written, size, name); err != nil {
			return written, err
		}
		n, err := w.Write(chunk)
		f.release(c)
		written += int64(n)
		if err != nil || written == size {
			return written, err
		}
	}
}
