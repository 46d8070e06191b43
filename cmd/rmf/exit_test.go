package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/remofile/remofile/fs"
	"github.com/remofile/remofile/remote"
)

// TestErrorsToExitStatus holds the mapping that scripts rely on.
func TestErrorsToExitStatus(t *testing.T) {
	at := func(code remote.Code, err error) error {
		return &remote.Error{Op: "list", Path: "/a", Code: code, Err: err}
	}
	for _, test := range []struct {
		err    error
		status int
		line   string
		hint   bool
	}{
		{at(remote.NotFound, nil), 1, "/a: no such file or directory", false},
		{at(remote.Exists, nil), 1, "/a: it exists already", false},
		{at(remote.NotEmpty, nil), 1, "/a: directory not empty", true},
		{at(remote.TooLarge, nil), 1, "/a: the server refuses files of this size", true},
		{at(remote.Unsupported, errors.New("it can't replace a file")), 1, "/a: not supported by this server: it can't replace a file", true},
		{at(remote.Unknown, errors.New("no space left on device")), 1, "/a: no space left on device", false},
		{at(remote.Corrupted, nil), 1, "/a: the server's answer makes no sense", false},
		{at(remote.Unreachable, syscall.ECONNREFUSED), 3, "/a: the server can't be reached: connection refused", true},
		{at(remote.Timeout, nil), 3, "/a: the server did not answer in time", true},
		{at(remote.Denied, nil), 4, "/a: the server refused the token", true},
		{at(remote.WrongKey, nil), 4, "/a: the server has another key", true},
		{at(remote.NotEncrypted, nil), 4, "/a: the server does not encrypt", true},
		{at(remote.EncryptedOnly, nil), 4, "/a: the server takes encrypted connections only", true},
		{at(remote.InUse, errors.New("by 1.2.3.4:5")), 5, "/a: the server is in use: by 1.2.3.4:5", true},
		{at(0, context.Canceled), 1, "interrupted", false},
		{at(0, &os.PathError{Op: "write", Path: "/tmp/x", Err: syscall.ENOSPC}), 1, "/a: no space left on device", false},
		{at(remote.Unknown, errors.New("two\nlines \x1b[2J")), 1, `/a: two\nlines \x1b[2J`, false},
		{fmt.Errorf("somewhere: %w", at(remote.Denied, nil)), 4, "/a: the server refused the token", true},
		{&os.PathError{Op: "open", Path: "b", Err: syscall.EACCES}, 1, "b: permission denied", false},
		{&os.PathError{Op: "mount", Path: "b", Err: fs.ErrNoFusermount}, 1, "b: " + fs.ErrNoFusermount.Error(), true},
		{&os.PathError{Op: "mount", Path: "b", Err: fmt.Errorf("%w: permission denied", fs.ErrNoDevice)}, 1, "b: /dev/fuse can't be opened: permission denied", true},
		{&os.PathError{Op: "mount", Path: "b", Err: fmt.Errorf("%w: no write access", fs.ErrRootOnly)}, 1, "b: only root can mount there: no write access", true},
		{&os.PathError{Op: "mount", Path: "b", Err: fs.ErrAllowOther}, 1, "b: " + fs.ErrAllowOther.Error(), true},
		{asUsage(&os.PathError{Op: "open", Path: "b", Err: syscall.ENOENT}), 2, "b: no such file or directory", false},
	} {
		out, _, stderr := capture()
		if status := out.report(test.err); status != test.status {
			t.Errorf("%v: exit status %d, want %d", test.err, status, test.status)
		}
		line, rest, _ := bytes.Cut(stderr.Bytes(), []byte("\n"))
		if string(line) != "rmf: "+test.line {
			t.Errorf("%v: told as %q, want %q", test.err, line, "rmf: "+test.line)
		}
		if hint := bytes.HasPrefix(rest, []byte("hint: ")); hint != test.hint || bytes.Count(rest, []byte("\n")) > 1 {
			t.Errorf("%v: the rest is %q, want a hint: %v", test.err, rest, test.hint)
		}
	}
}

// TestEveryFailureIsTold holds that of the failures of a tree none is lost, that
// the same hint is not repeated, and that the most telling status counts.
func TestEveryFailureIsTold(t *testing.T) {
	err := withHint(errors.Join(
		&remote.Error{Path: "/a", Code: remote.Exists},
		errors.Join(&remote.Error{Path: "/b", Code: remote.Exists}, &remote.Error{Path: "/c", Code: remote.Timeout}),
	), remote.Exists, "do something")
	out, _, stderr := capture()
	if status := out.report(err); status != exitUnreachable {
		t.Errorf("exit status %d, want %d", status, exitUnreachable)
	}
	want := "rmf: /a: it exists already\nhint: do something\nrmf: /b: it exists already\n" +
		"rmf: /c: the server did not answer in time\nhint: --timeout sets how long the server may be silent\n"
	if stderr.String() != want {
		t.Errorf("told:\n%s\nwant:\n%s", stderr, want)
	}
}
