package main

import (
	"strings"
	"testing"
	"time"
)

// TestNamesOnATerminal holds that a name can't command a terminal, and reaches a
// script as it is.
func TestNamesOnATerminal(t *testing.T) {
	for _, test := range []struct{ name, terminal string }{
		{"notes.txt", "notes.txt"},
		{"Übung 1", "Übung 1"},
		{"two\nlines", `"two\nlines"`},
		{"\x1b[2J", `"\x1b[2J"`},
		{"\xff", `"\xff"`},
		{"\u202egpj.exe", `"\u202egpj.exe"`},
	} {
		if got := (&output{stdoutTerminal: true}).name(test.name); got != test.terminal {
			t.Errorf("%q on a terminal is %s, want %s", test.name, got, test.terminal)
		}
		if got := (&output{}).name(test.name); got != test.name {
			t.Errorf("%q in a file is %q", test.name, got)
		}
	}
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain \"text\"":  "plain \"text\"",
		"a\nb\tc\x1b\xff": `a\nb\tc\x1b\xff`,
	} {
		if got := oneLine(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

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
			half := make([]byte, 100)
			for _, remaining := range []int64{200, 100} {
				if !p.chunk(half, remaining, 200, "song.ogg") {
					t.Error("the transfer was cancelled")
				}
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
	for range 2 { // files
		p.chunk(make([]byte, 100), 1_000_000, 1_000_000, "song.ogg")
		p.started = p.started.Add(-time.Hour)
		p.resume(999_900, "song.ogg")
		p.chunk(make([]byte, 999_900), 999_900, 1_000_000, "song.ogg")
	}
	want := "song.ogg: 1000000 of 1000000 bytes, 999900 were there, 0.0 MB/s\n"
	if got := stderr.String(); got != want+want {
		t.Errorf("standard error has %q, want %q twice", got, want)
	}
}

// TestProgressOfAnEmptyFile holds that nothing is divided by zero bytes.
func TestProgressOfAnEmptyFile(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		out, _, _ := capture()
		out.stderrTerminal = terminal
		newProgress(out, true).chunk(nil, 0, 0, "empty")
	}
}
