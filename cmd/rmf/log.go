package main

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
)

// newLogger logs to w from level on.
func newLogger(w io.Writer, level slog.Level, json bool) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// heldLog is where a server logs. What it logs before release comes after the line
// that tells where it listens: scripts wait for that one as the first.
type heldLog struct {
	w io.Writer

	mu       sync.Mutex // guards what follows
	released bool
	held     bytes.Buffer
}

// Write implements io.Writer.
func (l *heldLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.released {
		return l.held.Write(p)
	}
	return l.w.Write(p)
}

// release writes what was held, and from now on everything at once. An error is of no
// use to anybody: the log is the place to tell it.
func (l *heldLog) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released = true
	l.held.WriteTo(l.w)
}
