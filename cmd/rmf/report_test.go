package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

// TestReportBoundsFailures holds that a thousand failures are not a thousand lines, and that
// what is the same is told once.
func TestReportBoundsFailures(t *testing.T) {
	var all []error
	for i := range 150 {
		all = append(all, &remote.Error{Path: fmt.Sprintf("/%d", i), Code: remote.Exists})
	}
	all = append(all, &remote.Error{Path: "server", Code: remote.Unreachable}, &remote.Error{Path: "server", Code: remote.Unreachable})
	out, stdout, stderr := capture()
	err := newTreeReport(out, reportFlags{}).finish(remote.Summary{Failed: 152}, false, errors.Join(all...))
	if status := out.report(err); status != exitUnreachable {
		t.Errorf("exit status %d, want %d", status, exitUnreachable)
	}
	if lines := strings.Count(stderr.String(), "it exists already"); lines != maxFailuresTold {
		t.Errorf("%d failures are told, want %d", lines, maxFailuresTold)
	}
	if !strings.HasSuffix(stderr.String(), "rmf: 50 failures more\n") || strings.Count(stderr.String(), "can't be reached") != 1 || stdout.Len() > 0 {
		t.Errorf("told:\n%s", stderr)
	}
}

func TestSummaryText(t *testing.T) {
	for _, test := range []struct {
		summary remote.Summary
		dry     bool
		want    string
	}{
		{remote.Summary{Took: 3 * time.Millisecond}, false, "nothing to do; 3ms"},
		{remote.Summary{Unchanged: 20000, Took: time.Second}, false, "20000 names unchanged; 1s"},
		{remote.Summary{Files: 1, Directories: 2, Removed: 1, Bytes: 3_000_000, Sent: 1_000_000, Saved: 2_000_000, Took: time.Second}, true,
			"dry run: 1 file transferred (3.0 MB), 2 directories made, 1 name removed; 1.0 MB sent, 2.0 MB saved; 1s"},
	} {
		if got := summaryText(test.summary, test.dry); got != test.want {
			t.Errorf("%+v is %q, want %q", test.summary, got, test.want)
		}
	}
}

// TestReportAsJSON holds what scripts read, also of names that are not UTF-8.
func TestReportAsJSON(t *testing.T) {
	out, stdout, stderr := capture()
	r := newTreeReport(out, reportFlags{JSON: true})
	for _, e := range []remote.Event{
		{Kind: remote.EventFound, Path: "a", Size: 3},
		{Kind: remote.EventDone, Path: "a\n", Size: 3, Bytes: 0},
		{Kind: remote.EventRenamed, Path: "\xff", From: "b"},
		{Kind: remote.EventFailed, Path: "c", Err: &remote.Error{Path: "/c", Code: remote.Exists}},
	} {
		r.observe(e)
	}
	if err := r.finish(remote.Summary{Files: 1, Failed: 1, Took: 1500 * time.Millisecond}, true, nil); err != nil {
		t.Error(err)
	}
	want := `{"event":"done","path":"a\n","size":3,"sent":0}
{"event":"renamed","path":"\ufffd","path_base64":"/w==","from":"b"}
{"event":"failed","path":"c","error":"/c: it exists already"}
{"event":"summary","dry_run":false,"files":1,"directories":0,"links":0,"attributes":0,"removed":0,"renamed":0,"unchanged":0,"skipped":0,"failed":1,"bytes":0,"sent":0,"saved":0,"seconds":1.5}
`
	if stdout.String() != want || stderr.Len() > 0 {
		t.Errorf("standard output has\n%s\nwant\n%s\nstandard error %q", stdout, want, stderr)
	}
}
