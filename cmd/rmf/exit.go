package main

import (
	"context"
	"errors"
	iofs "io/fs"
	"net"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/remofile/remofile/fs"
	"github.com/remofile/remofile/remote"
)

// The exit statuses.
const (
	exitDone        = 0 // also: ended by a signal that asked a server or a mount to end
	exitFailed      = 1 // refused, not found, no space, interrupted, port in use ...
	exitUsage       = 2 // wrong usage or environment: arguments, variables, local directories to serve or to mount on
	exitUnreachable = 3 // no connection to the server, or no answer in time
	exitDenied      = 4 // the server refused the token or the key, or one side encrypts and the other doesn't
	exitInUse       = 5 // the server serves another client alone
)

// problem is an error as the user is told of it.
type problem struct {
	status int
	line   string // what failed (the path, the server) and why; "": it has been told already
	hint   string // what the user can do about it, or ""
}

func (p *problem) Error() string { return p.line }

func usage(line, hint string) error  { return &problem{exitUsage, line, hint} }
func failed(line, hint string) error { return &problem{exitFailed, line, hint} }

// alreadyTold is the error of a command whose failures have been reported.
func alreadyTold(status int) error { return &problem{status: status} }

// withHint gives the failures of this kind in err another hint.
func withHint(err error, kind remote.Code, hint string) error {
	var all []error
	for _, part := range parts(err) {
		if errors.Is(part, kind) {
			p := *describe(part)
			p.hint = hint
			part = &p
		}
		all = append(all, part)
	}
	return errors.Join(all...)
}

// asUsage makes err one of wrong usage.
func asUsage(err error) error {
	p := *describe(err)
	p.status = exitUsage
	return &p
}

// parts returns the failures that err, nil included, consists of: errors.Join
// makes one of those of a tree.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if _, single := err.(*remote.Error); !ok || single {
		return []error{err}
	}
	var all []error
	for _, part := range joined.Unwrap() {
		all = append(all, parts(part)...)
	}
	return all
}

// report tells the user of all failures in err and returns the highest of their
// exit statuses; nil is success.
func (o *output) report(err error) int {
	status := exitDone
	for _, part := range parts(err) {
		p := describe(part)
		if p.line != "" {
			o.notef("rmf: %s", p.line)
		}
		if p.hint != "" && p.hint != o.hinted {
			o.notef("hint: %s", p.hint)
			o.hinted = p.hint
		}
		status = max(status, p.status)
	}
	return status
}

// describe is the one mapping of a failure to its exit status, line and hint.
func describe(err error) *problem {
	var (
		p     *problem
		u     *kong.ParseError
		r     *remote.Error
		local *iofs.PathError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.Canceled):
		return &problem{exitFailed, "interrupted", ""}
	case errors.As(err, &r) && errors.Is(err, remote.ErrNotRecursive):
		return &problem{exitFailed, r.Path + ": skipped, it is a directory", "-r transfers directories"}
	case r != nil:
		status, hint := statusOf(r.Code)
		return &problem{status, remoteLine(r), hint}
	case errors.As(err, &local):
		return &problem{exitFailed, local.Path + ": " + cause(local.Err), localHint(local.Err)}
	case errors.As(err, &u):
		return &problem{exitUsage, u.Error(), helpHint(u.Context)}
	default:
		return &problem{exitFailed, cause(err), ""}
	}
}

// helpHint names the help of the command that command, which may be nil, was
// going to be.
func helpHint(command *kong.Context) string {
	if command == nil || command.Selected() == nil {
		return "rmf --help lists the commands"
	}
	return command.Selected().FullPath() + " --help tells its usage"
}

func statusOf(code remote.Code) (status int, hint string) {
	switch code {
	case remote.Unreachable:
		return exitUnreachable, "check REMOFILE_HOSTNAME and REMOFILE_PORT, and that the server runs"
	case remote.Timeout:
		return exitUnreachable, "--timeout sets how long the server may be silent"
	case remote.Denied:
		return exitDenied, "REMOFILE_TOKEN must be the token that the server was started with; one with a private key needs REMOFILE_PUBLIC_KEY, too"
	case remote.WrongKey:
		return exitDenied, "REMOFILE_PUBLIC_KEY must be the public key that belongs to the server's private key; ask who runs the server"
	case remote.NotEncrypted:
		return exitDenied, "only a Python server needs --plain (REMOFILE_PLAIN=1), which sends the token and all data in clear; any other one encrypts, unless somebody is in between"
	case remote.EncryptedOnly:
		return exitDenied, "leave out --plain (REMOFILE_PLAIN)"
	case remote.InUse:
		return exitInUse, "try again later"
	case remote.Unsupported:
		return exitFailed, "the original Remofile server can neither remove nor replace files"
	case remote.NotEmpty:
		return exitFailed, "-r removes a directory with all that is in it"
	case remote.BadChunkSize:
		return exitFailed, "--min-chunk-size and --max-chunk-size of the server must allow 8192 or 512"
	case remote.OutcomeUnknown:
		return exitFailed, "look whether it was done before you try again"
	case remote.TooLarge:
		return exitFailed, "--file-size-limit sets the server's limit"
	default:
		return exitFailed, ""
	}
}

// localHint returns the hint for what failed on this machine.
func localHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNoFusermount):
		return "install the package fuse3, or mount as root"
	case errors.Is(err, fs.ErrNoDevice):
		return "FUSE needs the kernel module fuse, and access to that device; a container needs --device /dev/fuse"
	case errors.Is(err, fs.ErrRootOnly):
		return "mount on a directory of your own, or as root"
	case errors.Is(err, fs.ErrAllowOther):
		return "add the line, or mount without -o allow_other"
	default:
		return ""
	}
}

// remoteLine tells the path or the server of e, and why.
func remoteLine(e *remote.Error) string {
	switch {
	case e.Err == nil:
		return e.Path + ": " + e.Code.Error()
	case e.Code == 0, e.Code == remote.Unknown, e.Code == remote.Busy, e.Code == remote.ReadOnly,
		e.Code == remote.NoSpace, e.Code == remote.Forbidden: // a local failure, or the server's own words
		return e.Path + ": " + cause(e.Err)
	default:
		return e.Path + ": " + e.Code.Error() + ": " + cause(e.Err)
	}
}

// cause returns what lies at the bottom of a chain of Go errors.
func cause(err error) string {
	var (
		number syscall.Errno
		lookup *net.DNSError
	)
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &lookup):
		return lookup.Err
	default:
		return err.Error()
	}
}
