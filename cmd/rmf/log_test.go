package main

import (
	"bytes"
	"io"
	"testing"
)

// TestLogComesAfterTheFirstLine holds the order that scripts rely on.
func TestLogComesAfterTheFirstLine(t *testing.T) {
	var stderr bytes.Buffer
	log := &heldLog{w: &stderr}
	io.WriteString(log, "early\n")
	io.WriteString(&stderr, "listening\n")
	log.release()
	io.WriteString(log, "late\n")
	log.release()
	if got, want := stderr.String(), "listening\nearly\nlate\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
