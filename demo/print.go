package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// printer writes what the audience reads. That it could not be written changes nothing about the play.
type printer struct {
	w      io.Writer
	colour bool
}

// The colours of terminals.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

func (p *printer) paint(colour, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (p *printer) line(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format+"\n", args...) }

// title announces what comes.
func (p *printer) title(text string) { p.line("\n%s", p.paint(bold, text)) }

// say explains a step.
func (p *printer) say(format string, args ...any) { p.line("    "+format, args...) }

// command shows what an operator or a client would type for it.
func (p *printer) command(command string) { p.say("%s", p.paint(dim, "$ "+command)) }

// table prints rows of cells; the first row is the heading. A row whose last cell is not "ok" or empty stands out.
func (p *printer) table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+3))
			}
		}
		text, last := strings.TrimRight(b.String(), " "), row[len(row)-1]
		switch {
		case n == 0:
			text = p.paint(dim, text)
		case last == isOK:
			text = strings.TrimSuffix(text, isOK) + p.paint(green, isOK)
		case last == differs:
			text = p.paint(red, text)
		}
		p.line("    %s", text)
	}
}

// What the last column of a table may say.
const (
	isOK    = "ok"
	differs = "DIFFERS"
)

// size shows a number of bytes.
func size(bytes int64) string {
	if bytes < 1000 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%.0f kB", float64(bytes)/1000)
}
