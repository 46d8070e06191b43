package main

import (
	"context"
	"path/filepath"
	"strings"
)

// helperName is the name by which mount(8) knows this program, in /sbin.
const helperName = "mount.rmf"

// The exit statuses of mount(8), section "EXIT STATUS".
const (
	helperUsage  = 1
	helperFailed = 32
)

// isHelper reports whether the program was called by the name of the helper.
func isHelper(arg0 string) bool { return filepath.Base(arg0) == helperName }

// runHelper does what mount(8) asks of its helpers, section "EXTERNAL HELPERS", and returns its exit
// status:
//
//	mount.rmf HOST[:PORT]:/DIRECTORY MOUNTPOINT [-sfnv] [-o OPTIONS] [-t TYPE]
func runHelper(ctx context.Context, args []string, out *output) int {
	h, err := parseHelper(args)
	status := exitDone
	switch {
	case err != nil:
		status = out.report(err)
	case !h.fake:
		status = run(ctx, h.command(), out)
	}
	switch status {
	case exitDone:
		return exitDone
	case exitUsage:
		return helperUsage
	default:
		return helperFailed
	}
}

// helper is what mount(8) asks for.
type helper struct {
	source                string // as mount(8) has it
	host, port, directory string // in it
	mountpoint            string
	options               []string // without unknown ones where it was sloppy
	fake                  bool     // all but the mount is to be done
}

func parseHelper(args []string) (*helper, error) {
	const form = "mount.rmf HOST[:PORT]:/DIRECTORY MOUNTPOINT [-sfnv] [-o OPTIONS]"
	var h helper
	var paths []string
	sloppy := false
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") {
			paths = append(paths, arg)
			continue
		}
		for _, letter := range arg[1:] {
			switch letter {
			case 's':
				sloppy = true
			case 'f':
				h.fake = true
			case 'n', 'v': // there is no mtab, and nothing to tell
			case 'o', 't':
				if len(args) == 0 {
					return nil, usage(arg+": its value is missing", form)
				}
				if letter == 'o' {
					h.options = append(h.options, strings.Split(args[0], ",")...)
				}
				args = args[1:]
			default: // -N, another mount namespace, too
				return nil, usage(arg+": not supported", form)
			}
		}
	}
	if len(paths) != 2 {
		return nil, usage("a source and a mount point are needed", form)
	}
	h.mountpoint = paths[1]
	if err := h.parseSource(paths[0]); err != nil {
		return nil, err
	}
	return &h, h.checkOptions(sloppy)
}

// parseSource reads HOST[:PORT]:/DIRECTORY. An IPv6 address stands in brackets.
func (h *helper) parseSource(source string) error {
	server, directory, found := strings.Cut(source, ":/")
	host, port := server, ""
	if i := strings.LastIndex(server, ":"); i > strings.LastIndex(server, "]") {
		host, port = server[:i], server[i+1:]
	}
	if !found || host == "" || strings.Contains(host, ":") && host[0] != '[' {
		return usage(source+": the source is HOST[:PORT]:/DIRECTORY", "server:6768:/music is an example, [::1]:/ another")
	}
	h.source, h.host, h.port, h.directory = source, host, port, "/"+directory
	return nil
}

// checkOptions drops unknown options where sloppy.
func (h *helper) checkOptions(sloppy bool) error {
	if sloppy {
		known := h.options[:0]
		for _, option := range h.options {
			if ok, _ := new(mountOptions).set(option); ok {
				known = append(known, option)
			}
		}
		h.options = known
	}
	_, err := parseMountOptions(h.options)
	return err
}

// command returns the arguments of rmf that mount.
func (h *helper) command() []string {
	args := []string{"mount", "--source=" + h.source, "--hostname=" + h.host}
	if h.port != "" {
		args = append(args, "--port="+h.port)
	}
	if len(h.options) > 0 {
		args = append(args, "--options="+strings.Join(h.options, ","))
	}
	return append(args, "--", h.directory, h.mountpoint)
}
