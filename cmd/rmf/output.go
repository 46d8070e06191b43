package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// output is where a command writes: data to stdout, everything else to stderr.
type output struct {
	stdout, stderr io.Writer
	// Whether a person reads the stream.
	stdoutTerminal, stderrTerminal bool
	hinted                         string // the last hint, which is not repeated
}

func newOutput(stdout, stderr *os.File) *output {
	return &output{
		stdout:         stdout,
		stderr:         stderr,
		stdoutTerminal: term.IsTerminal(int(stdout.Fd())),
		stderrTerminal: term.IsTerminal(int(stderr.Fd())),
	}
}

// columns is the width of the terminal that stderr is.
func (o *output) columns() int {
	if f, ok := o.stderr.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// printf writes data.
func (o *output) printf(format string, args ...any) error {
	if _, err := fmt.Fprintf(o.stdout, format, args...); err != nil {
		return stdoutFailed(err)
	}
	return nil
}

// notef writes one line that is no data. An error is of no use to anybody then:
// the stream for telling it is the one that fails.
func (o *output) notef(format string, args ...any) {
	fmt.Fprintln(o.stderr, oneLine(fmt.Sprintf(format, args...)))
}

// stdoutFailed wraps an error of writing data. A reader that went away is no such
// error, but for a transfer: SIGPIPE has ended the process then.
func stdoutFailed(err error) error {
	return failed("standard output: "+cause(err), "")
}

// name returns a file's name as it is written to stdout: as it is, or quoted
// where a terminal would take some of it for a command.
func (o *output) name(name string) string {
	if o.stdoutTerminal && !printable(name) {
		return strconv.Quote(name)
	}
	return name
}

// printable reports whether all of s is text that moves no cursor.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}

// oneLine escapes whatever in s, which may come from a server or a file's name,
// would end the line or command a terminal.
func oneLine(s string) string {
	if printable(s) {
		return s
	}
	var line strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 || !strconv.IsPrint(r) {
			quoted := strconv.Quote(s[:size])
			line.WriteString(quoted[1 : len(quoted)-1])
		} else {
			line.WriteString(s[:size])
		}
		s = s[size:]
	}
	return line.String()
}
