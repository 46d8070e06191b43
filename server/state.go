package server

import "github.com/remofile/remofile/protocol"

// state is what a session is busy with: section 4.2 of the Remofile specification.
type state int

const (
	idle state = iota
	uploading
	downloading
	deleting // while REMOVE_FILE runs: no request sees it
)

// allows reports whether a request of type t may be made in this state. Sections
// 4.6 to 4.10 of the specification.
func (s state) allows(t protocol.RequestType) bool {
	switch t {
	case protocol.ListFiles:
		return true
	case protocol.SendChunk:
		return s == uploading
	case protocol.ReceiveChunk:
		return s == downloading
	case protocol.CancelTransfer:
		return s == uploading || s == downloading
	default:
		return s == idle
	}
}

// The four transitions. All but toIdle start from idle.

// toIdle ends the transfer, if there is one. An upload that was not committed is
// discarded.
func (s *session1) toIdle() {
	if s.upload != nil {
		s.upload.close(true)
	}
	if s.download != nil {
		s.download.close()
	}
	s.state, s.upload, s.download = idle, nil, nil
}

func (s *session1) toUploading(u *upload)     { s.state, s.upload = uploading, u }
func (s *session1) toDownloading(d *download) { s.state, s.download = downloading, d }
func (s *session1) toDeleting()               { s.state = deleting }
