package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sweep removes the staging directories that killed servers left: in the jail and
// where file systems are mounted below it, which is where acquire makes them. Parts that
// can be resumed are returned, and then are this server's. What can't be swept stays and
// is logged.
func (j *jail) sweep() (kept []*keptPart) {
	mounts, err := j.mountPoints()
	if err != nil {
		j.log.Warn("mount points below the jail not swept", "err", err)
	}
	for _, path := range append([]string{"/"}, mounts...) {
		parts, err := j.sweepDirectory(path)
		if err != nil {
			j.log.Warn("leftovers not swept", "path", path, "err", err)
		}
		kept = append(kept, parts...)
	}
	return kept
}

func (j *jail) sweepDirectory(path string) (kept []*keptPart, err error) {
	d, err := j.open(path)
	if errors.Is(err, errNoDirectory) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil // hidden by another mount, or a file is mounted there
	}
	if err != nil {
		return nil, err
	}
	defer d.close()
	err = forEachName(d.fd(), func(name string) error {
		var st unix.Stat_t
		if !isStagingName(name) || fstatat(d.fd(), name, &st) != nil || !hasStagingMode(&st) {
			return nil
		}
		parts, err := j.sweepStaging(d, name)
		if err != nil {
			j.log.Warn("staging directory not swept", "path", path+"/"+name, "err", err)
		}
		kept = append(kept, parts...)
		return nil
	})
	return kept, err
}

// sweepStaging removes a staging directory and the parts in it, unless its server lives.
// Where some can be resumed it adopts it instead, or moves these to one that it adopted
// before. Other files in it stay, and so does it: then it is not ours.
func (j *jail) sweepStaging(d *directory, name string) ([]*keptPart, error) {
	dir, err := openat(d.fd(), name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil, dir.Close()
	}
	parts, err := sweepParts(dir)
	if len(parts) > 0 {
		return j.stagings.adopt(d, name, dir, parts)
	}
	dir.Close()
	if err != nil {
		return nil, err
	}
	return nil, unlinkat(d.fd(), name, unix.AT_REMOVEDIR)
}

// sweepParts removes what nobody can resume from a staging directory and returns the rest.
func sweepParts(dir *os.File) (kept []*keptPart, err error) {
	fd := int(dir.Fd())
	err = forEachName(fd, func(name string) error {
		var st unix.Stat_t
		resumable := isKeptName(name)
		if !resumable && !isPartName(name) || fstatat(fd, name, &st) != nil || kindOf(&st) != unix.S_IFREG {
			return nil
		}
		if !resumable || st.Size == 0 {
			return unlinkat(fd, name, 0)
		}
		kept = append(kept, newKeptPart(name, &st))
		return nil
	})
	return kept, err
}

// mountPoints returns the directories of the jail where file systems are mounted.
func (j *jail) mountPoints() ([]string, error) {
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", j.top.fd()))
	if err != nil {
		return nil, err
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountsBelow(f, path)
}

// mountsBelow reads mountinfo (proc_pid_mountinfo(5): the fifth field is the mount
// point, with space, tab, newline and backslash as three octal digits) and returns
// the mount points below the directory path, as paths from there.
func mountsBelow(mountinfo io.Reader, path string) ([]string, error) {
	prefix := strings.TrimSuffix(path, "/") + "/"
	var below []string
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		if rest, ok := strings.CutPrefix(unescapeOctal(fields[4]), prefix); ok && rest != "" {
			below = append(below, "/"+rest)
		}
	}
	return below, lines.Err()
}

func unescapeOctal(s string) string {
	var b strings.Builder
	for ; s != ""; s = s[1:] {
		if s[0] == '\\' && len(s) >= 4 {
			if c, err := strconv.ParseUint(s[1:4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				s = s[3:]
				continue
			}
		}
		b.WriteByte(s[0])
	}
	return b.String()
}
