package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/remofile/remofile/fs"
)

// mountOptions is what -o says.
type mountOptions struct {
	mount       fs.Options
	timeout     time.Duration // 0: as -t has it
	credentials string        // path of the file, or ""
}

// meaningless are the options that only tell mount(8) when and by whom to be called, or ask for what is
// so in any case: no file has a set-uid bit, a device or an access time.
var meaningless = map[string]bool{
	"": true, "defaults": true, "auto": true, "noauto": true, "nofail": true, "_netdev": true,
	"user": true, "nouser": true, "users": true, "owner": true, "group": true, "comment": true,
	"default_permissions": true, "suid": true, "nosuid": true, "dev": true, "nodev": true,
	"atime": true, "noatime": true, "relatime": true, "norelatime": true, "strictatime": true,
	"diratime": true, "nodiratime": true, "lazytime": true, "nolazytime": true, "silent": true, "loud": true,
}

// parseMountOptions reads the options of -o. Of two that contradict one another the last one counts.
func parseMountOptions(options []string) (*mountOptions, error) {
	var o mountOptions
	for _, option := range options {
		known, err := o.set(option)
		if err != nil {
			return nil, usage(fmt.Sprintf("-o %s: %v", option, err), "rmf mount --help tells what the options take")
		}
		if !known {
			return nil, usage(fmt.Sprintf("-o %s: unknown option", option), "rmf mount --help lists the options")
		}
	}
	return &o, nil
}

// set reports false for an option that is not known.
func (o *mountOptions) set(option string) (known bool, err error) {
	name, value, valued := strings.Cut(option, "=")
	switch name {
	case "ro", "rw", "noexec", "exec", "allow_other":
		if valued {
			return true, errors.New("it takes no value")
		}
	}
	switch name {
	case "ro", "rw":
		o.mount.ReadOnly = name == "ro"
	case "noexec", "exec":
		o.mount.NoExec = name == "noexec"
	case "allow_other":
		o.mount.AllowOther = true
	case "uid":
		o.mount.UID, err = number(value, 10, math.MaxUint32-1)
	case "gid":
		o.mount.GID, err = number(value, 10, math.MaxUint32-1)
	case "umask":
		o.mount.Umask, err = number(value, 8, 0o777)
	case "timeout":
		if o.timeout, err = seconds(value); err == nil && o.timeout < time.Millisecond {
			err = fmt.Errorf("%q is less than a millisecond", value)
		}
	case "cache":
		o.mount.CacheTime, err = cacheTime(value)
	case "credentials":
		o.credentials = value
	default:
		// mount(8) keeps what begins so for others.
		own := strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "X-")
		return own || meaningless[name], nil
	}
	return true, err
}

func number(text string, base int, most uint64) (*uint32, error) {
	n, err := strconv.ParseUint(text, base, 32)
	if err != nil || n > most {
		return nil, fmt.Errorf("%q is not a number that it can be", text)
	}
	small := uint32(n)
	return &small, nil
}

// cacheTime reads for how long names and attributes are kept, as fs.Options has it.
func cacheTime(text string) (time.Duration, error) {
	const none = -1
	switch text {
	case "notices":
		return 0, nil
	case "strict":
		return none, nil
	}
	s, err := seconds(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not strict, notices or a number of seconds", text)
	}
	if s == 0 {
		return none, nil
	}
	return s, nil
}

// seconds reads a number of seconds, up to what -t can be.
func seconds(text string) (time.Duration, error) {
	s, err := strconv.ParseFloat(text, 64)
	if err != nil || !(s >= 0 && s <= math.MaxInt32/1000) {
		return 0, fmt.Errorf("%q is not a number of seconds", text)
	}
	return time.Duration(s * float64(time.Second)), nil
}

// apply makes the command connect as the options say.
func (o *mountOptions) apply(c *mountCommand, out *output) error {
	if o.timeout > 0 {
		c.Timeout = o.timeout.Milliseconds()
	}
	if o.credentials == "" {
		return nil
	}
	read, err := readCredentials(o.credentials, out)
	if err != nil {
		return err
	}
	c.Token, c.PublicKey, c.Plain = read.token, read.publicKey, read.plain
	// A process in the background is told what the file says, and need not find it.
	c.Options = slices.DeleteFunc(c.Options, func(option string) bool {
		return strings.HasPrefix(option, "credentials=")
	})
	return nil
}
