package remofile2

import (
	"fmt"
	"math"
)

// Notice tells of what happened to a directory that the session watches.
type Notice struct {
	Event     Event
	Directory string   // its path; "" for an event of a later version, which is to be ignored
	Names     []string // of the entries of EventChanged; none for any of them, and beneath
}

// AppendNotice appends the header of n to b.
func AppendNotice(b []byte, n *Notice) []byte {
	return appendHeader(b, 0, uint16(n.Event), n.Event.spec().arguments, n)
}

// DecodeNotice decodes a header for which PeekID returns 0. Nothing of the notice aliases b.
// An event of a later version is no error.
func DecodeNotice(b []byte) (Notice, error) {
	if err := checkForm(b, MaxAnswer); err != nil {
		return Notice{}, fmt.Errorf("notice: %w", err)
	}
	d := decoder{rest: b}
	var n Notice
	elements, _ := d.begin(0, 0)
	n.Event = Event(d.unsigned(0, math.MaxUint16))
	if d.err == nil {
		decodeFields(&d, elements-2, n.Event.spec().arguments, &n)
	}
	if d.err != nil {
		return Notice{}, fmt.Errorf("notice: %w", d.err)
	}
	return n, nil
}
