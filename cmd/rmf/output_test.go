package main

import "testing"

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
