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
// where file systems are mounted below it, which is where acquire makes them. What
// can't be swept stays and is logged.
func (j *jail) sweep() {
	mounts, err := j.mountPoints()
	if err != nil {
		j.log.Warn("mount points below the jail not swept", "err", err)
	}
	for _, path := range append([]string{"/"}, mounts...) {
		if err := j.sweepDirectory(path); err != nil {
			j.log.Warn("leftovers not swept", "path", path, "err", err)
		}
	}
}

func (j *jail) sweepDirectory(path string) error {
	d, err := j.open(path)
	if errors.Is(err, errNoDirectory) || errors.Is(err, unix.ENOTDIR) {
		return nil // hidden by another mount, or a file is mounted there
	}
	if err != nil {
		return err
	}
	defer d.close()
	return forEachName(d.file, func(name string) error {
		var st unix.Stat_t
		if !isStagingName(name) || fstatat(d.fd(), name, &st) != nil || !hasStagingMode(&st) {
			return nil
		}
		if err := sweepStaging(d, name); err != nil {
			j.log.Warn("staging directory not swept", "path", path+"/"+name, "err", err)
		}
		return nil
	})
}

// sweepStaging removes a staging directory and the parts in it, unless its server
// lives. Other files in it stay, and so does it: then it is not ours.
func sweepStaging(d *directory, name string) error {
	dir, err := openat(d.fd(), name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	if flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil
	}
	err = forEachName(dir, func(part string) error {
		var st unix.Stat_t
		if !isPartName(part) || fstatat(int(dir.Fd()), part, &st) != nil || kindOf(&st) != unix.S_IFREG {
			return nil
		}
		return unlinkat(int(dir.Fd()), part, 0)
	})
	if err != nil {
		return err
	}
	return unlinkat(d.fd(), name, unix.AT_REMOVEDIR)
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
