package fs

import (
	iofs "io/fs"
	"time"

	"github.com/remofile/remofile/remote"
)

// keptAttr are attributes in a third of the room: there may be millions. The identity is kept beside them.
type keptAttr struct {
	version
	mode  iofs.FileMode
	links uint32
}

func keep(a *remote.Attr) keptAttr { return keptAttr{versionOf(a), a.Mode, uint32(a.Links)} }

// of returns the attributes as those of the file that has this identity.
func (k *keptAttr) of(id identity) remote.Attr {
	return remote.Attr{
		Mode:     k.mode,
		Size:     k.size,
		Modified: time.Unix(0, k.modified),
		Changed:  time.Unix(0, k.changed),
		Born:     time.Unix(0, id.born),
		Links:    uint64(k.links),
		Device:   id.device,
		Inode:    id.inode,
	}
}

// listedEntry is an entry of a listing.
type listedEntry struct {
	name string
	id   identity
	attr keptAttr
}
