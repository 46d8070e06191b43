package server

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

const statxMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME

// kinds maps the S_IFMT part of a mode.
var kinds = map[uint32]remofile2.Kind{
	unix.S_IFREG:  remofile2.KindFile,
	unix.S_IFDIR:  remofile2.KindDirectory,
	unix.S_IFLNK:  remofile2.KindSymlink,
	unix.S_IFIFO:  remofile2.KindPipe,
	unix.S_IFSOCK: remofile2.KindSocket,
	unix.S_IFCHR:  remofile2.KindCharacterDevice,
	unix.S_IFBLK:  remofile2.KindBlockDevice,
}

// attrAt returns the attributes of a name in a directory, links not followed; with the
// empty name, those of the file that fd is.
func attrAt(fd int, name string) (remofile2.Attr, error) {
	var st unix.Statx_t
	err := statx(fd, name, &st)
	return attrOf(&st), err
}

func attrOf(st *unix.Statx_t) remofile2.Attr {
	return remofile2.Attr{
		Kind:     kinds[uint32(st.Mode)&unix.S_IFMT],
		Mode:     st.Mode & 0o777,
		Size:     int64(st.Size),
		Modified: timeOf(st.Mtime),
		Changed:  timeOf(st.Ctime),
		Born:     timeOf(st.Btime),
		Links:    uint64(st.Nlink),
		Device:   unix.Mkdev(st.Dev_major, st.Dev_minor),
		Inode:    st.Ino,
	}
}

// timeOf returns the nearest time that fits: of the years 1677 to 2262.
func timeOf(ts unix.StatxTimestamp) remofile2.Time {
	const most = math.MaxInt64 / int64(time.Second)
	switch {
	case ts.Sec >= most:
		return math.MaxInt64
	case ts.Sec < -most:
		return math.MinInt64
	default:
		return remofile2.Time(ts.Sec*int64(time.Second) + int64(ts.Nsec))
	}
}

// timespec returns t for utimensat; nil is as before.
func timespec(t *remofile2.Time) unix.Timespec {
	if t == nil {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.NsecToTimespec(int64(*t))
}
