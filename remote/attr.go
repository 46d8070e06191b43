package remote

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
)

// Attr are the attributes of a file. Remofile 1 has the kind, the size and the time of the
// last change of the content, no more.
type Attr struct {
	Mode     fs.FileMode // the kind and the permission bits
	Size     int64       // bytes; of a symbolic link that of its target's path; 0 for a directory
	Modified time.Time   // when the content was
	Changed  time.Time   // when the content, the attributes or the names were
	Born     time.Time   // zero where the server's file system does not tell
	Links    uint64      // names of the file

	// Device and Inode tell one file from another as long as both exist, with Born also
	// from one that was there before. All are zero in Remofile 1.
	Device, Inode uint64
}

// IsDir reports whether it is a directory.
func (a *Attr) IsDir() bool { return a.Mode.IsDir() }

// Same reports whether both are of one file, whatever its names.
func (a *Attr) Same(b *Attr) bool {
	return a.Inode != 0 && a.Inode == b.Inode && a.Device == b.Device && a.Born.Equal(b.Born)
}

// Changes are new attributes; nil is as before.
type Changes struct {
	Size     *int64       // bytes
	Mode     *fs.FileMode // permission bits
	Modified *time.Time
	Accessed *time.Time
}

// kinds maps the kinds of the protocol.
var kinds = map[remofile2.Kind]fs.FileMode{
	remofile2.KindFile:            0,
	remofile2.KindDirectory:       fs.ModeDir,
	remofile2.KindSymlink:         fs.ModeSymlink,
	remofile2.KindPipe:            fs.ModeNamedPipe,
	remofile2.KindSocket:          fs.ModeSocket,
	remofile2.KindCharacterDevice: fs.ModeDevice | fs.ModeCharDevice,
	remofile2.KindBlockDevice:     fs.ModeDevice,
}

func attrOf(a *remofile2.Attr) Attr {
	attr := Attr{
		Mode:     kinds[a.Kind] | fs.FileMode(a.Mode),
		Modified: timeOf(a.Modified),
		Changed:  timeOf(a.Changed),
		Links:    a.Links,
		Device:   a.Device,
		Inode:    a.Inode,
	}
	if a.Kind == remofile2.KindFile || a.Kind == remofile2.KindSymlink {
		attr.Size = a.Size
	}
	if a.Born != 0 {
		attr.Born = timeOf(a.Born)
	}
	return attr
}

// changesOf checks and translates.
func changesOf(c *Changes) (remofile2.Changes, error) {
	changes := remofile2.Changes{Size: c.Size, Modified: wireTime(c.Modified), Accessed: wireTime(c.Accessed)}
	if c.Size != nil && *c.Size < 0 {
		return changes, errNegativeSize
	}
	for _, t := range []*time.Time{c.Modified, c.Accessed} {
		if t != nil && !time.Unix(0, t.UnixNano()).Equal(*t) {
			return changes, errFarTime
		}
	}
	if c.Mode != nil {
		if *c.Mode&^fs.ModePerm != 0 {
			return changes, &Error{Code: Unsupported}
		}
		mode := uint16(*c.Mode)
		changes.Mode = &mode
	}
	return changes, nil
}

func timeOf(t remofile2.Time) time.Time { return time.Unix(0, int64(t)) }

var errFarTime = fmt.Errorf("%w: a time before 1678 or after 2261", fs.ErrInvalid)

// wireTime is nil for nil.
func wireTime(t *time.Time) *remofile2.Time {
	if t == nil {
		return nil
	}
	wire := remofile2.Time(t.UnixNano())
	return &wire
}
