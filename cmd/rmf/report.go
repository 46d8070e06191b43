package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/remofile/remofile/remote"
)

// reportFlags choose what a transfer of files tells.
type reportFlags struct {
	DryRun   bool `short:"n" help:"Change nothing; print what would be done, one line each."`
	Progress bool `short:"p" help:"Show how far it has come, also where standard error is no terminal."`
	JSON     bool `help:"Write one JSON object a line: for each thing that was done, and at last a summary; with -p also how far each file has come."`
}

// jsonHelp documents the objects of --json.
const jsonHelp = `The objects of --json have a member "event" and, but for "summary", "path", relative
to where the transfer begins ("." is that itself): "done" ("size" of the file, "sent": the bytes of it that
were not there already), "directory", "link", "attributes", "removed", "renamed"
("from"), "conflict" (it was skipped, or comes under another name than that it has "from"),
"failed" ("error"); with -p also "unchanged", "found" ("size"), "started" and "moved"
("bytes" since the last). "path_base64" and "from_base64" stand
beside names that are not UTF-8. "summary" has numbers of "files", "directories",
"links", "attributes", "removed", "renamed", "unchanged", "skipped", "failed", the
"bytes" of the files, how many of them were "sent" and "saved", and "seconds".`

// maxFailuresTold bounds the list of failures at the end.
const maxFailuresTold = 100

// treeReport tells of a transfer of files while it runs and at its end.
type treeReport struct {
	out      *output
	flags    reportFlags
	progress *progress
	stdout   *bufio.Writer
	failed   error // to write to stdout
}

// newTreeReport also sees to it that a reader of what is told that goes away does not end a
// transfer in the middle.
func newTreeReport(out *output, flags reportFlags) *treeReport {
	if !flags.DryRun {
		signal.Ignore(syscall.SIGPIPE)
	}
	return &treeReport{out: out, flags: flags, stdout: bufio.NewWriter(out.stdout), progress: newProgress(out, flags.Progress)}
}

// observer is the Observe of the transfer, nil where nothing is to be told before its end.
func (r *treeReport) observer() func(remote.Event) {
	if r.flags.JSON || r.flags.DryRun || r.flags.Progress || r.out.stderrTerminal {
		return r.observe
	}
	return nil
}

func (r *treeReport) observe(e remote.Event) {
	if e.Path == "" {
		e.Path = "." // where the transfer begins
	}
	switch {
	case r.flags.JSON:
		r.writeJSON(e)
	case r.flags.DryRun:
		r.writeLine(e)
	default:
		r.progress.observe(e)
	}
}

// words are what a dry run says would be done.
var words = map[remote.EventKind]string{
	remote.EventDone:       "transfer",
	remote.EventDirectory:  "make directory",
	remote.EventLink:       "make link",
	remote.EventAttributes: "set attributes of",
	remote.EventConflict:   "skip",
	remote.EventRemoved:    "remove",
	remote.EventRenamed:    "rename",
}

func (r *treeReport) writeLine(e remote.Event) {
	word, ok := words[e.Kind]
	switch {
	case !ok, e.Kind == remote.EventConflict && e.From != "": // what is done instead follows
	case e.From != "":
		r.note(fmt.Fprintf(r.stdout, "%s %s to %s\n", word, r.out.name(e.From), r.out.name(e.Path)))
	default:
		r.note(fmt.Fprintf(r.stdout, "%s %s\n", word, r.out.name(e.Path)))
	}
}

// note takes note of what became of a write to stdout.
func (r *treeReport) note(_ int, err error) {
	if r.failed == nil {
		r.failed = err
	}
}

// eventNames are the kinds of events as JSON has them.
var eventNames = map[remote.EventKind]string{
	remote.EventFound:      "found",
	remote.EventStarted:    "started",
	remote.EventMoved:      "moved",
	remote.EventDone:       "done",
	remote.EventDirectory:  "directory",
	remote.EventLink:       "link",
	remote.EventAttributes: "attributes",
	remote.EventConflict:   "conflict",
	remote.EventRemoved:    "removed",
	remote.EventRenamed:    "renamed",
	remote.EventUnchanged:  "unchanged",
	remote.EventFailed:     "failed",
}

// eventLine is an event as JSON.
type eventLine struct {
	Event      string `json:"event"`
	Path       string `json:"path"`
	PathBase64 []byte `json:"path_base64,omitempty"`
	From       string `json:"from,omitempty"`
	FromBase64 []byte `json:"from_base64,omitempty"`
	Size       *int64 `json:"size,omitempty"`
	Bytes      *int64 `json:"bytes,omitempty"`
	Sent       *int64 `json:"sent,omitempty"`
	Error      string `json:"error,omitempty"`
}

func (r *treeReport) writeJSON(e remote.Event) {
	switch e.Kind {
	case remote.EventFound, remote.EventStarted, remote.EventMoved, remote.EventUnchanged:
		if !r.flags.Progress {
			return
		}
	}
	line := eventLine{Event: eventNames[e.Kind], Path: e.Path, PathBase64: inexact(e.Path), From: e.From, FromBase64: inexact(e.From)}
	switch e.Kind {
	case remote.EventFound, remote.EventStarted:
		line.Size = &e.Size
	case remote.EventMoved:
		line.Bytes = &e.Bytes
	case remote.EventDone:
		line.Size, line.Sent = &e.Size, &e.Bytes
	case remote.EventFailed:
		line.Error = describe(e.Err).line
	}
	r.encode(line)
	if r.flags.Progress {
		r.note(0, r.stdout.Flush())
	}
}

// inexact returns a name that JSON can't hold as it is, or nil.
func inexact(name string) []byte {
	if utf8.ValidString(name) {
		return nil
	}
	return []byte(name)
}

func (r *treeReport) encode(line any) { r.note(0, json.NewEncoder(r.stdout).Encode(line)) }

// summaryLine is a summary as JSON.
type summaryLine struct {
	Event       string  `json:"event"`
	DryRun      bool    `json:"dry_run"`
	Files       int64   `json:"files"`
	Directories int64   `json:"directories"`
	Links       int64   `json:"links"`
	Attributes  int64   `json:"attributes"`
	Removed     int64   `json:"removed"`
	Renamed     int64   `json:"renamed"`
	Unchanged   int64   `json:"unchanged"`
	Skipped     int64   `json:"skipped"`
	Failed      int64   `json:"failed"`
	Bytes       int64   `json:"bytes"`
	Sent        int64   `json:"sent"`
	Saved       int64   `json:"saved"`
	Seconds     float64 `json:"seconds"`
}

// finish tells at the end what was done, with summarized in words, too, and what failed.
func (r *treeReport) finish(s remote.Summary, summarized bool, err error) error {
	if r.flags.JSON {
		r.encode(summaryLine{"summary", r.flags.DryRun, s.Files, s.Directories, s.Links, s.Attributes, s.Removed, s.Renamed,
			s.Unchanged, s.Skipped, s.Failed, s.Bytes, s.Sent, s.Saved, s.Took.Seconds()})
	}
	r.progress.clear()
	r.progress = newProgress(r.out, r.flags.Progress) // of another run
	r.note(0, r.stdout.Flush())
	status := r.failures(err)
	if summarized && !r.flags.JSON {
		r.out.notef("%s", summaryText(s, r.flags.DryRun))
	}
	if r.failed != nil {
		return stdoutFailed(r.failed)
	}
	if status == exitDone {
		return nil
	}
	return alreadyTold(status)
}

// failures lists what failed, and returns the highest exit status. What is the same for many
// files, as an interruption is, is told once.
func (r *treeReport) failures(err error) int {
	status, told, more := exitDone, make(map[string]bool), 0
	for _, part := range parts(err) {
		p := describe(part)
		status = max(status, p.status)
		switch {
		case told[p.line]:
		case len(told) >= maxFailuresTold && p.status == exitFailed:
			more++
		default:
			told[p.line] = true
			r.out.report(p)
		}
	}
	if more > 0 {
		r.out.notef("rmf: %d failures more", more)
	}
	return status
}

// summaryText is a summary in words.
func summaryText(s remote.Summary, dryRun bool) string {
	var did []string
	add := func(n int64, one, many, what string) {
		switch n {
		case 0:
		case 1:
			did = append(did, "1 "+one+" "+what)
		default:
			did = append(did, fmt.Sprintf("%d %s %s", n, many, what))
		}
	}
	add(s.Files, "file", "files", "transferred ("+bytesText(s.Bytes)+")")
	add(s.Directories, "directory", "directories", "made")
	add(s.Links, "link", "links", "made")
	add(s.Renamed, "file", "files", "renamed")
	add(s.Removed, "name", "names", "removed")
	add(s.Attributes, "name", "names", "with new attributes")
	add(s.Unchanged, "name", "names", "unchanged")
	add(s.Skipped, "name", "names", "skipped")
	add(s.Failed, "name", "names", "failed")
	if len(did) == 0 {
		did = []string{"nothing to do"}
	}
	text := strings.Join(did, ", ")
	if s.Bytes > 0 || s.Saved > 0 {
		text += fmt.Sprintf("; %s sent, %s saved", bytesText(s.Sent), bytesText(s.Saved))
	}
	text += fmt.Sprintf("; %v", s.Took.Round(time.Millisecond))
	if dryRun {
		text = "dry run: " + text
	}
	return text
}
