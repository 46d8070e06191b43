package main

import (
	"fmt"
	"os/signal"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"

	"github.com/remofile/remofile/remote"
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
	resumed int64 // bytes that an interrupted transfer has left
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

// watch has the transfers with these options shown. Where nothing is shown, the files of a
// tree need not come one after the other.
func (p *progress) watch(o *remote.TransferOptions) {
	if p.out.stderrTerminal || p.wanted {
		o.Progress, o.Resumed = p.chunk, p.resume
	}
}

// resume is the Resumed of the transfers.
func (p *progress) resume(bytes int64, _ string) { p.resumed += bytes }

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
	p.started, p.resumed = now, 0
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
	rate := float64(done-p.resumed) / 1e6 / max(now.Sub(p.started), time.Microsecond).Seconds()
	there := ""
	if p.resumed > 0 {
		there = fmt.Sprintf(", %d were there", p.resumed)
	}
	p.out.notef("%s: %d of %d bytes%s, %.1f MB/s", name, done, size, there, rate)
}

// shorten cuts s to a number of characters.
func shorten(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
