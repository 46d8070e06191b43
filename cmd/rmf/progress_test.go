package main

import (
	"strings"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

// TestProgress holds when something is shown: on a terminal what takes long or is
// asked for, elsewhere only what is asked for.
func TestProgress(t *testing.T) {
	for _, test := range []struct {
		name             string
		terminal, wanted bool
		ago              time.Duration // the command's begin
		want             string        // contained; "": nothing at all
	}{
		{"short on a terminal", true, false, 0, ""},
		{"long on a terminal", true, false, time.Hour, "50%"},
		{"asked for on a terminal", true, true, 0, "50%"},
		{"long in a file", false, false, time.Hour, ""},
		{"asked for in a file", false, true, 0, "song.ogg: 200 of 200 bytes, "},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, stdout, stderr := capture()
			out.stderrTerminal = test.terminal
			p := newProgress(out, test.wanted)
			p.begun, p.shown = p.begun.Add(-test.ago), time.Time{}
			now := p.measured.Add(barPeriod)
			for _, e := range []remote.Event{
				{Kind: remote.EventFound, Path: "song.ogg", Size: 200},
				{Kind: remote.EventStarted, Path: "song.ogg", Size: 200},
				{Kind: remote.EventMoved, Path: "song.ogg", Bytes: 100},
				{Kind: remote.EventDone, Path: "song.ogg", Size: 200, Bytes: 200},
			} {
				p.observeAt(now, e)
				now = now.Add(barPeriod)
			}
			p.clear()
			if got := stderr.String(); !strings.Contains(got, test.want) || test.want == "" && got != "" {
				t.Errorf("standard error has %q, want %q", got, test.want)
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output has %q", stdout)
			}
		})
	}
}

// TestProgressOfWhatWasThere holds that it is told, and does not make the rate any better.
func TestProgressOfWhatWasThere(t *testing.T) {
	out, _, stderr := capture()
	p := newProgress(out, true)
	for _, name := range []string{"a.ogg", "b.ogg"} {
		p.observeAt(time.Time{}, remote.Event{Kind: remote.EventFound, Path: name, Size: 1_000_000})
		p.observeAt(time.Time{}, remote.Event{Kind: remote.EventStarted, Path: name, Size: 1_000_000})
		p.observeAt(time.Time{}.Add(time.Hour), remote.Event{Kind: remote.EventDone, Path: name, Size: 1_000_000, Bytes: 100})
	}
	want := "a.ogg: 1000000 of 1000000 bytes, 999900 were there, 0.0 MB/s\n" +
		"b.ogg: 1000000 of 1000000 bytes, 999900 were there, 0.0 MB/s (2 of 2 files)\n"
	if got := stderr.String(); got != want {
		t.Errorf("standard error has %q, want %q", got, want)
	}
}

// TestProgressOfManyFiles holds that there is one bar for all of them and one for a
// file that is under way, with the rate and the time left, and that nothing of them stays.
func TestProgressOfManyFiles(t *testing.T) {
	out, _, stderr := capture()
	out.stderrTerminal = true
	p := newProgress(out, true)
	p.shown = time.Time{}
	for _, e := range []remote.Event{
		{Kind: remote.EventFound, Path: "small", Size: 1e6},
		{Kind: remote.EventFound, Path: "large", Size: 3e6},
		{Kind: remote.EventStarted, Path: "small", Size: 1e6},
		{Kind: remote.EventStarted, Path: "large", Size: 3e6},
	} {
		p.observeAt(p.begun, e)
		p.shown = p.begun.Add(time.Hour)
	}
	stderr.Reset()
	p.lines, p.shown = 0, time.Time{}
	p.observeAt(p.begun.Add(time.Second), remote.Event{Kind: remote.EventMoved, Path: "large", Bytes: 1e6})
	want := "0 of 2 files         ███░░░░░░░░░  25% 1.0 MB/4.0 MB 1.0 MB/s 3s left\n" +
		"large                ████░░░░░░░░  33% 1.0 MB/3.0 MB\n"
	if stderr.String() != want {
		t.Errorf("the terminal has\n%s\nwant\n%s", stderr, want)
	}
	stderr.Reset()
	p.clear()
	if got := stderr.String(); got != "\x1b[2A\r\x1b[J" {
		t.Errorf("cleared by %q", got)
	}
}

// TestProgressOfAnEmptyFile holds that nothing is divided by zero bytes.
func TestProgressOfAnEmptyFile(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		out, _, _ := capture()
		out.stderrTerminal = terminal
		p := newProgress(out, true)
		p.shown = time.Time{}
		for _, kind := range []remote.EventKind{remote.EventFound, remote.EventStarted, remote.EventDone} {
			p.observeAt(p.begun, remote.Event{Kind: kind, Path: "empty"})
		}
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 5e15: "5000.0 TB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"音楽", 4, "音楽"}, {"音楽", 3, "音…"}, {"音楽", 2, "…"}, {"█░", 2, "█░"},
	} {
		if got := shorten(test.text, test.width); got != test.want {
			t.Errorf("%q in %d columns is %q, want %q", test.text, test.width, got, test.want)
		}
	}
}
