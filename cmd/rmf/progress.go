package main

import (
	"os/signal"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
)

// Times and sizes of the display.
const (
	barDelay   = time.Second            // a command that takes less shows nothing unasked
	barPeriod  = 100 * time.Millisecond // between two states of a bar
	linePeriod = time.Second            // between two lines where there is no terminal
	barWidth   = 12                     // columns
	nameWidth  = 24                     // columns
)

// progress shows on standard error how far the transfers of a command, one after
// the other, have come: by a bar for each file on a terminal, which vanishes at
// its end; elsewhere, and only if it is wanted, by lines.
type progress struct {
	out    *output
	wanted bool // -p
	begun  time.Time
	shown  time.Time // when a state was last shown

	// Of the present file:
	started time.Time
	bar     *progressbar.ProgressBar
	visible bool // bar is on the terminal
}

// newProgress also sees to it that a reader of standard error that goes away does not
// end a transfer in the middle.
func newProgress(out *output, wanted bool) *progress {
	signal.Ignore(syscall.SIGPIPE)
	now := time.Now()
	return &progress{out: out, wanted: wanted, begun: now, shown: now}
}

// callback returns the Progress of the transfers, nil where nothing is shown: then the
// files of a tree need not come one after the other.
func (p *progress) callback() func([]byte, int64, int64, string) bool {
	if !p.out.stderrTerminal && !p.wanted {
		return nil
	}
	return p.chunk
}

// chunk is the Progress of the transfers. It never cancels one.
func (p *progress) chunk(chunk []byte, remaining, size int64, name string) bool {
	now := time.Now()
	if remaining == size {
		p.begin(now, size, name)
	}
	done := size - remaining + int64(len(chunk))
	switch {
	case p.out.stderrTerminal:
		p.draw(now, done, size)
	case p.wanted:
		p.write(now, done, size, name)
	}
	return true
}

func (p *progress) begin(now time.Time, size int64, name string) {
	p.started = now
	if !p.out.stderrTerminal {
		return
	}
	p.clear()
	p.bar = progressbar.NewOptions64(max(size, 1),
		progressbar.OptionSetWriter(p.out.stderr),
		progressbar.OptionSetDescription(shorten(oneLine(name), nameWidth)),
		progressbar.OptionSetWidth(barWidth),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish())
	p.bar.StartWithoutRender()
}

// draw brings the bar to done bytes.
func (p *progress) draw(now time.Time, done, size int64) {
	switch {
	case done == size:
		p.clear()
	case !p.wanted && now.Sub(p.begun) < barDelay, now.Sub(p.shown) < barPeriod:
	default:
		p.bar.Set64(done)
		p.shown, p.visible = now, true
	}
}

// clear takes the bar from the terminal, for other lines to be written.
func (p *progress) clear() {
	if p.visible {
		p.bar.Clear()
		p.visible = false
	}
}

// write writes a line at the end of a file, and meanwhile now and then.
func (p *progress) write(now time.Time, done, size int64, name string) {
	if done < size && now.Sub(p.shown) < linePeriod {
		return
	}
	p.shown = now
	rate := float64(done) / 1e6 / max(now.Sub(p.started), time.Microsecond).Seconds()
	p.out.notef("%s: %d of %d bytes, %.1f MB/s", name, done, size, rate)
}

// shorten cuts s to a number of characters.
func shorten(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
