package fs

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/remofile/remofile/remote"
)

// The methods from here on need the turn.

// replaceable reports whether a change of the file can reach the server.
func (n *wholeNode) replaceable() bool {
	return n.content.state != onServer || !n.tree.jail.Foreign()
}

// empty makes the copy empty, without asking for what it was.
func (n *wholeNode) empty(context.Context) error {
	c := n.content
	if c.copy == nil {
		f, err := n.tree.temp.create()
		if err != nil {
			return err
		}
		c.set(f, wholeVersion{})
	}
	return c.empty()
}

// fetch makes the copy the newest content of the file: what is changed here, or
// else what the server has.
func (n *wholeNode) fetch(ctx context.Context) error {
	c := n.content
	if c.copy != nil && (c.dirty || c.state != onServer) {
		return nil
	}
	if c.copy != nil && c.version.known() {
		e, err := n.parent.find(ctx, n.name(), time.Now())
		if err != nil || wholeVersionOf(e).equal(c.version) {
			return err
		}
	}
	return n.download(ctx)
}

// download brings the server's content. Its version is the one of the listing,
// taken before: should the file have changed since, the next open sees it differ.
func (n *wholeNode) download(ctx context.Context) error {
	e, _ := n.parent.listing.get(n.name())
	f, err := n.tree.temp.create()
	if err != nil {
		return err
	}
	size, err := n.tree.jail.Download(ctx, n.path, f, remote.TransferOptions{})
	if err != nil {
		f.Close()
		if errors.Is(err, remote.NotFound) {
			n.parent.listing.remove(n.name())
		}
		return err
	}
	if e.provisional || e.Size != size {
		n.content.set(f, wholeVersion{})
		n.putProvisional(size)
		return nil
	}
	n.content.set(f, wholeVersionOf(e.Entry))
	return nil
}

// putProvisional records that the server has the file in this size, since an
// unknown time.
func (n *wholeNode) putProvisional(size int64) {
	e := remote.Entry{Name: n.name(), Attr: remote.Attr{Size: size, Modified: time.Now()}}
	n.parent.listing.put(entry{Entry: e, provisional: true})
}

// save sends the copy to the server, if it has changed.
func (n *wholeNode) save(ctx context.Context) error {
	c := n.content
	if !c.unsaved() {
		return nil
	}
	size, err := c.size()
	if err != nil {
		return err
	}
	// A new file that still is empty never replaces what another client has made
	// under its name meanwhile: the first flush of a shell's redirection comes
	// before its first write. Both files then are one, as if the other client had
	// opened ours and written to it; what is written here later is uploaded over it.
	unwritten := c.state == created && size == 0
	replace := c.state == onServer || c.state == created && !unwritten && !n.tree.jail.Foreign()
	err = n.tree.jail.Upload(ctx, n.path, io.NewSectionReader(c.copy, 0, size), size, remote.TransferOptions{Replace: replace})
	if err != nil && !(unwritten && errors.Is(err, remote.Exists)) {
		return err
	}
	c.saved()
	n.putProvisional(size)
	n.parent.settle(n.name())
	return nil
}

// closeUnheld closes the copy where no handle is open, and reports whether
// changes are lost with it.
func (n *wholeNode) closeUnheld() (lost bool) {
	c := n.content
	if c.handles > 0 {
		return false
	}
	n.tree.mu.Lock()
	delete(n.tree.open, n)
	n.tree.mu.Unlock()
	if c.state.isNew() {
		n.parent.settle(n.name())
	}
	return c.drop()
}
