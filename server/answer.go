package server

import "github.com/remofile/remofile/protocol"

// answer is the encoded response to a request. The buffer is used again for the
// next one.
type answer struct {
	buf    []byte
	reason protocol.Reason // of the response in buf
}

func (a *answer) set(r protocol.Response) {
	a.buf = protocol.AppendResponse(a.buf[:0], &r)
	a.reason = r.Reason
}

// shrink gives up a buffer of more than keep bytes: a long listing is rare.
func (a *answer) shrink(keep int) {
	if cap(a.buf) > keep {
		a.buf = nil
	}
}
