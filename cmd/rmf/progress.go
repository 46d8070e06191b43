package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/remofile/remofile/remote"
)

// Times and sizes of the display.
const (
	barDelay   = time.Second            // a command that takes less shows nothing unasked
	barPeriod  = 100 * time.Millisecond // between two states of the bars
	linePeriod = time.Second            // between two lines where there is no terminal
	rateWindow = 3 * time.Second        // what the rate is an average of
	barWidth   = 12                     // columns
	nameWidth  = 20                     // columns
)

// progress shows on standard error how far a transfer of files has come. On a terminal: one bar
// for all of it, and under it, where there are several files, one for a file that is under way; they
// vanish. Elsewhere, and only if it is wanted: lines.
type progress struct {
	out    *output
	wanted bool // -p
	begun  time.Time
	shown  time.Time // when a state was last shown
	lines  int       // that are on the terminal

	files, filesDone int64
	size, done       int64 // of all files that were found, in bytes
	underWay         map[string]*fileProgress
	file             *fileProgress // the one that is shown, or nil

	rate     float64 // bytes a second
	measured time.Time
	before   int64 // of done at measured
}

// fileProgress is a file under way.
type fileProgress struct {
	path       string
	size, done int64 // bytes
	started    time.Time
}

func newProgress(out *output, wanted bool) *progress {
	now := time.Now()
	return &progress{out: out, wanted: wanted, begun: now, shown: now, measured: now,
		underWay: make(map[string]*fileProgress)}
}

// observe is told of all events of the transfer.
func (p *progress) observe(e remote.Event) { p.observeAt(time.Now(), e) }

func (p *progress) observeAt(now time.Time, e remote.Event) {
	f := p.underWay[e.Path]
	switch e.Kind {
	case remote.EventFound:
		p.files++
		p.size += e.Size
	case remote.EventStarted:
		f = &fileProgress{path: e.Path, size: e.Size, started: now}
		p.underWay[e.Path] = f
	case remote.EventMoved:
		p.move(f, e.Bytes)
	case remote.EventDone:
		p.filesDone++
		if f != nil {
			p.move(f, f.size-f.done)
		}
	}
	p.show(now, f, e)
	if e.Kind == remote.EventDone || e.Kind == remote.EventFailed {
		p.end(f)
	}
}

func (p *progress) move(f *fileProgress, bytes int64) {
	if f != nil {
		f.done += bytes
		p.done += bytes
	}
}

// end is told that f, which may be nil, is not under way any longer.
func (p *progress) end(f *fileProgress) {
	if f == nil {
		return
	}
	delete(p.underWay, f.path)
	if p.file == f {
		p.file = nil
	}
}

// show shows the state after e, an event of f, if it is time to.
func (p *progress) show(now time.Time, f *fileProgress, e remote.Event) {
	switch {
	case p.out.stderrTerminal:
		if (p.wanted || now.Sub(p.begun) >= barDelay) && now.Sub(p.shown) >= barPeriod {
			p.measure(now)
			p.draw()
			p.shown = now
		}
	case !p.wanted || f == nil:
	case e.Kind == remote.EventDone:
		p.write(now, f, f.size-e.Bytes)
	case e.Kind == remote.EventMoved && now.Sub(p.shown) >= linePeriod:
		p.write(now, f, 0)
	}
}

// measure updates the rate.
func (p *progress) measure(now time.Time) {
	past := now.Sub(p.measured)
	if past <= 0 {
		return
	}
	latest := float64(p.done-p.before) / past.Seconds()
	if p.before == 0 {
		p.rate = latest
	}
	p.rate += (latest - p.rate) * (1 - math.Exp(-past.Seconds()/rateWindow.Seconds()))
	p.measured, p.before = now, p.done
}

// draw brings the bars to the terminal.
func (p *progress) draw() {
	p.clear()
	name := fmt.Sprintf("%d of %d files", p.filesDone, p.files)
	if p.file == nil {
		for _, f := range p.underWay { // what takes longest
			if p.file == nil || f.size-f.done > p.file.size-p.file.done {
				p.file = f
			}
		}
	}
	switch {
	case p.files == 1 && p.file != nil:
		name = shorten(oneLine(p.file.path), nameWidth)
	case p.file != nil:
		defer p.line(bar(shorten(oneLine(p.file.path), nameWidth), p.file.done, p.file.size))
	}
	p.line(bar(name, p.done, p.size) + fmt.Sprintf(" %s/s%s", bytesText(int64(p.rate)), p.left()))
}

// left is the time left, where it can be told.
func (p *progress) left() string {
	seconds := float64(p.size-p.done) / p.rate
	if p.rate < 1 || seconds > (1000*time.Hour).Seconds() {
		return ""
	}
	return fmt.Sprintf(" %v left", time.Duration(math.Ceil(seconds))*time.Second)
}

// line writes one line, which must not go on in the next one: clear counts them.
func (p *progress) line(text string) {
	fmt.Fprintln(p.out.stderr, shorten(text, p.out.columns()-1))
	p.lines++
}

// clear takes the bars from the terminal, for other lines to be written.
func (p *progress) clear() {
	if p.lines > 0 {
		fmt.Fprintf(p.out.stderr, "\x1b[%dA\r\x1b[J", p.lines) // up, to its begin, and all behind it erased
		p.lines = 0
	}
}

// bar draws how much of size is done.
func bar(name string, done, size int64) string {
	part := 1.0
	if size > 0 {
		part = min(float64(done)/float64(size), 1)
	}
	full := int(part * barWidth)
	gap := strings.Repeat(" ", max(nameWidth-columns(name), 0))
	return fmt.Sprintf("%s%s %s%s %3.0f%% %s/%s", name, gap, strings.Repeat("█", full),
		strings.Repeat("░", barWidth-full), math.Floor(part*100), bytesText(done), bytesText(size))
}

// write writes a line about a file.
func (p *progress) write(now time.Time, f *fileProgress, wereThere int64) {
	p.shown = now
	rate := float64(f.done-wereThere) / 1e6 / max(now.Sub(f.started), time.Microsecond).Seconds()
	there := ""
	if wereThere > 0 {
		there = fmt.Sprintf(", %d were there", wereThere)
	}
	of := ""
	if p.files > 1 {
		of = fmt.Sprintf(" (%d of %d files)", p.filesDone, p.files)
	}
	p.out.notef("%s: %d of %d bytes%s, %.1f MB/s%s", f.path, f.done, f.size, there, rate, of)
}

// shorten cuts s to a number of columns.
func shorten(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	end, used := 0, 1 // for the ellipsis
	for i, r := range s {
		if used += runeColumns(r); used > width {
			end = i
			break
		}
	}
	return s[:end] + "…"
}

// columns is how many columns of a terminal s takes at most.
func columns(s string) (n int) {
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// runeColumns counts all as wide that comes from where the first wide characters are: Hangul, but for
// what bars are made of.
func runeColumns(r rune) int {
	if r >= 0x1100 && (r < 0x2000 || r > 0x25ff) {
		return 2
	}
	return 1
}

// bytesText is a number of bytes as people read it.
func bytesText(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB"} {
		if value /= 1000; value < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
