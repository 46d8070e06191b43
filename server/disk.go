package server

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// maxCredit is how many bytes are written at most before a file system is looked at again,
// and creditShare which part of its room that is at most: others write to it, too.
const (
	maxCredit   = 64 << 20
	creditShare = 4
)

// use takes bytes of a file system for what is staged there, before they are written. Kept
// parts make room.
func (t *uploads) use(st *staging, bytes int64) error {
	if st.credit.Add(-bytes) >= 0 {
		return nil
	}
	for {
		room, err := st.room()
		if err != nil {
			return err
		}
		if bytes <= room {
			st.credit.Store(min((room-bytes)/creditShare, maxCredit))
			return nil
		}
		st.credit.Store(0)
		oldest := t.forgetFor(st, bytes-room)
		if oldest == nil {
			return noRoom(fmt.Sprintf("less than %d %% of the disk would stay free", remofile2.DiskReserve))
		}
		t.remove(oldest)
	}
}

// room returns how many bytes can be staged in a file system's directory, below 0 where
// others have taken of the rest.
func (st *staging) room() (int64, error) {
	var fs unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(st.fd(), &fs) }); err != nil {
		return 0, err
	}
	return (int64(fs.Bavail) - int64(fs.Blocks)/100*remofile2.DiskReserve) * fs.Frsize, nil
}

// forgetFor is forgetOldest for a part in st, where all of these have so many bytes.
func (t *uploads) forgetFor(st *staging, bytes int64) *keptPart {
	t.mu.Lock()
	defer t.mu.Unlock()
	in := func(p *keptPart) bool { return p.staging == st }
	if t.keptBytes(in) < bytes {
		return nil
	}
	return t.forgetOldest(in)
}
