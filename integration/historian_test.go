package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/remofile/remofile/remote"
)

// historian is one client and its part of the history.
type historian struct {
	*historyRound
	*remote.Client
	id      int
	rand    *rand.Rand
	history []porcupine.Operation
}

// live is the life of a client. It must get in at last.
func (h *historian) live() {
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*patience)
	defer cancel()
	o := remote.Options{Address: h.address, Token: token, Plain: h.plain, ChunkSize: 512, Timeout: patience}
	var err error
	for h.Client == nil {
		if h.Client, err = remote.Dial(ctx, o); err != nil && !errors.Is(err, remote.Unreachable) {
			h.t.Errorf("client %d: %v", h.id, err)
			return
		}
	}
	defer h.Close()
	for range actions {
		place := fmt.Sprintf("own %d", h.id)
		if h.rand.IntN(3) > 0 {
			place = fmt.Sprintf("shared %d", h.rand.IntN(sharedPlaces))
		}
		if err := h.act(ctx, place); err != nil {
			h.t.Errorf("client %d in %s: %v", h.id, place, err)
			return
		}
	}
}

// act does something and takes down what it was told.
func (h *historian) act(ctx context.Context, place string) error {
	a := action{place: place, slot: slot(h.rand.IntN(slots))}
	switch n := h.rand.IntN(20); {
	case n < 2:
		return h.list(ctx, place, []slot{noSlot, noSlot, slotD, slotE}[h.rand.IntN(4)])
	case n < 4:
		a.kind = look
	case n < 7:
		a.kind = get
	case n < 10:
		a.kind = remove
	case n < 13 || a.slot == slotD || a.slot == slotE:
		a.kind = mkdir
	case n < 14:
		a.kind = create
	case n < 16:
		a.kind, a.to, a.how = move, h.leaf(), remote.RenameMode(h.rand.IntN(3))
	default:
		a.kind, a.content, a.replace = put, content(h.contents.Add(1)), h.rand.IntN(2) == 0
	}
	call := h.now()
	o, err := h.perform(ctx, a)
	if err != nil {
		return fmt.Errorf("%v: %w", a, err)
	}
	h.tell(a, call, o)
	return nil
}

// leaf returns a slot that can be renamed.
func (h *historian) leaf() slot {
	for {
		if s := slot(h.rand.IntN(slots)); s != slotD && s != slotE {
			return s
		}
	}
}

func (r *historyRound) now() int64 { return time.Since(r.start).Nanoseconds() }

// tell takes down an outcome. Where a look has none, there is nothing to tell.
func (h *historian) tell(a action, call int64, o reply) {
	op := porcupine.Operation{ClientId: h.id, Input: a, Output: o, Call: call, Return: h.now()}
	if o.result == unknown {
		op.Return = unending
		if a.kind == look || a.kind == get {
			return
		}
	}
	h.history = append(h.history, op)
}

func (a action) path() string { return "/" + a.place + "/" + a.slot.String() }

// perform returns an error where the answer makes no sense, whatever was asked.
func (h *historian) perform(ctx context.Context, a action) (o reply, err error) {
	var answer error
	switch a.kind {
	case put:
		answer = h.Upload(ctx, a.path(), bytes.NewReader(a.content.bytes()), a.content.size(), remote.TransferOptions{Replace: a.replace})
	case create:
		answer = h.CreateFile(ctx, a.path())
	case mkdir:
		answer = h.MakeDirectory(ctx, a.path())
	case remove:
		answer = h.Remove(ctx, a.path())
	case move:
		answer = h.Rename(ctx, a.path(), action{place: a.place, slot: a.to}.path(), a.how)
	case look:
		var e remote.Entry
		if e, answer = h.Stat(ctx, a.path()); answer == nil {
			o.content = contentOf(e)
		} else if errors.Is(answer, remote.NotFound) {
			answer = nil
		}
	case get:
		var b bytes.Buffer
		if _, answer = h.Download(ctx, a.path(), &b, remote.TransferOptions{}); answer == nil {
			o.content, err = whole(b.Bytes())
		}
	}
	if err == nil {
		o.result, err = resultOf(answer)
	}
	return o, err
}

// whole returns which content this is, or an error where it is none.
func whole(b []byte) (content, error) {
	c := contentOfSize(int64(len(b)))
	if !bytes.Equal(b, c.bytes()) {
		return 0, fmt.Errorf("%d bytes that nobody has uploaded: %.60q...", len(b), b)
	}
	return c, nil
}

func contentOf(e remote.Entry) content {
	if e.IsDir() {
		return directory
	}
	return contentOfSize(e.Size)
}

// results are what a client may be told.
var results = []struct {
	code   remote.Code
	result result
}{
	{remote.NotFound, notFound},
	{remote.Exists, exists},
	{remote.NotAFile, notAFile},
	{remote.NotDirectory, notDirectory},
	{remote.NotEmpty, notEmpty},
	{remote.Busy, inUse},
	{remote.Stale, displaced},
	{remote.OutcomeUnknown, unknown},
	{remote.Unreachable, unknown},
	{remote.Timeout, unknown},
}

func resultOf(err error) (result, error) {
	if err == nil {
		return done, nil
	}
	for _, r := range results {
		if errors.Is(err, r.code) {
			return r.result, nil
		}
	}
	return "", err
}

// list lists a directory. That is a look at each of its names, at moments of their own.
func (h *historian) list(ctx context.Context, place string, dir slot) error {
	a := action{kind: look, place: place, slot: dir}
	call := h.now()
	entries, err := h.List(ctx, a.path())
	result, err := resultOf(err)
	if err != nil {
		return fmt.Errorf("list %s: %w", a.path(), err)
	}
	if result == unknown {
		return nil
	}
	if dir != noSlot {
		found := reply{done, directory}
		if result == notFound {
			found.content = absent
		}
		h.tell(a, call, found)
	}
	if result != done {
		return nil
	}
	names := make(map[string]content)
	for _, e := range entries {
		if _, twice := names[e.Name]; twice {
			return fmt.Errorf("list %s: %s twice", a.path(), e.Name)
		}
		names[e.Name] = contentOf(e)
	}
	// Two of the looks are enough: so many at the same time can be in very many orders.
	children := dir.children()
	for n, i := range h.rand.Perm(len(children)) {
		name := filepath.Base(children[i].String())
		if n < 2 {
			h.tell(action{kind: look, place: place, slot: children[i]}, call, reply{done, names[name]})
		}
		delete(names, name)
	}
	if len(names) > 0 {
		return fmt.Errorf("list %s: also %v", a.path(), names)
	}
	return nil
}
