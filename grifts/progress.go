package grifts

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"olympus/worker"
)

const (
	// progressRewrite is how often the line at a terminal is written anew, progressLine how often there is a new one elsewhere.
	progressRewrite = 250 * time.Millisecond
	progressLine    = 10 * time.Second
)

// progress tells on standard error how far a long task has come: in one line that is rewritten, or, if that is no terminal, in a line every
// now and then. Its methods may be called concurrently.
type progress struct {
	out      io.Writer
	terminal bool

	mu          sync.Mutex
	what        string // that is counted, in the plural; empty before anything is
	began       time.Time
	done, total int64 // total is 0 while it is not known
	bytes       int64
	drawn       bool // there is a line to be rewritten

	stop chan struct{}
	gone sync.WaitGroup
}

// progress begins to tell. It must be ended.
func (c *call) progress(what string) *progress {
	file, ok := c.Stderr.(*os.File)
	p := &progress{out: c.Stderr, terminal: ok && term.IsTerminal(int(file.Fd())), what: what, began: time.Now(), stop: make(chan struct{})}
	every := progressLine
	if p.terminal {
		every = progressRewrite
	}
	p.gone.Go(func() {
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case <-p.stop:
				return
			case now := <-ticks.C:
				p.draw(now)
			}
		}
	})
	return p
}

// begin begins to count something else.
func (p *progress) begin(what string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.total, p.done, p.bytes, p.began = what, total, 0, 0, time.Now()
}

// telling returns a context in which work tells how far it has come.
func (p *progress) telling(ctx context.Context) context.Context {
	return worker.WithProgress(ctx, worker.Progress{Begin: p.begin, Add: p.add})
}

// add counts more of what is done.
func (p *progress) add(done, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += done
	p.bytes += bytes
}

// of says how many there are in all.
func (p *progress) of(total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = total
}

// print writes a line somewhere else, which may be the same terminal.
func (p *progress) print(out io.Writer, line string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	_, err := fmt.Fprintln(out, line)
	return err
}

// end stops telling and takes the line away, if there is one.
func (p *progress) end() {
	close(p.stop)
	p.gone.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// Nobody can be told that standard error cannot be written to.

func (p *progress) clear() {
	if p.drawn {
		_, _ = io.WriteString(p.out, "\r\x1b[K")
	}
	p.drawn = false
}

func (p *progress) draw(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.what == "" {
		return
	}
	line := p.line(now.Sub(p.began))
	if p.terminal {
		_, _ = io.WriteString(p.out, "\r"+line+"\x1b[K")
		p.drawn = true
		return
	}
	_, _ = fmt.Fprintln(p.out, line)
}

// line is the state after a while.
func (p *progress) line(after time.Duration) string {
	rate := float64(p.done) / max(after.Seconds(), 0.001)
	var b strings.Builder
	fmt.Fprintf(&b, "%d", p.done)
	if p.total > 0 {
		fmt.Fprintf(&b, " of %d", max(p.total, p.done))
	}
	fmt.Fprintf(&b, " %s, %.0f/s", p.what, rate)
	if p.bytes > 0 {
		b.WriteString(", " + size(p.bytes))
	}
	if left := p.total - p.done; left > 0 && p.done > 0 {
		fmt.Fprintf(&b, ", %s left", time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second))
	}
	return b.String()
}

// size is a number of bytes for people.
func size(bytes int64) string {
	if bytes < 1<<10 {
		return fmt.Sprintf("%d B", bytes)
	}
	value, unit := float64(bytes), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value /= 1 << 10; value < 1<<10 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
