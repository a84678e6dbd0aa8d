package protocol

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Page is a stretch of one deployment's event log.
type Page struct {
	Events []Logged // positions without a gap; none if there is nothing new
	Head   int64    // last position in that log when the page was written
	Next   int64    // last position in this page, or the one it was asked for after

	// Checkpoint is the signed note about the log up to Next, empty if the page
	// has none. Nothing about it has been checked but its length.
	Checkpoint string
}

// readBufferBytes makes reads of a page large. Lines may be longer.
const readBufferBytes = 64 << 10

var tailNames = []string{"head", "next", "checkpoint"}

// tailCheckpoint is the place of the checkpoint in tailNames.
const tailCheckpoint = 2

// ReadPage reads a page of at most limit events after a position, and checks
// all of it; r delivers it decompressed. A page with any fault is returned as an
// error alone. It wraps a *MalformedError if the page breaks the rules,
// ErrTooLarge if it is longer than a page or line may be, or else the error of r.
func ReadPage(r io.Reader, after int64, limit int) (*Page, error) {
	lines := lineReader{src: bufio.NewReaderSize(r, readBufferBytes)}
	var p parser
	page := &Page{Next: after}
	for n := 1; ; n++ {
		last, err := lines.next()
		switch {
		case err != nil: // reported below, like the others
		case last:
			if err = p.tail(page, lines.line); err == nil {
				return page, nil
			}
		case len(page.Events) >= limit:
			err = malformed("page", "", fmt.Sprintf("more than %d events", limit))
		default:
			err = p.line(page, lines.line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d of the page: %w", n, err)
		}
	}
}

// line reads the next event into the page.
func (p *parser) line(page *Page, line []byte) error {
	if err := p.reset(line); err != nil {
		return err
	}
	page.Events = append(page.Events, Logged{})
	l := &page.Events[len(page.Events)-1]
	if err := p.event(l, lineNames); err != nil {
		return err
	}
	if l.Position != page.Next+1 {
		return malformed("position", string(appendInt(nil, l.Position)), fmt.Sprintf("%d comes next", page.Next+1))
	}
	page.Next = l.Position
	return p.end()
}

// tail reads the last line of the page.
func (p *parser) tail(page *Page, line []byte) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return malformed("page", "", "ends without its last line")
	}
	if err := p.reset(line); err != nil {
		return err
	}
	if err := p.open("line", jsontext.KindBeginObject); err != nil {
		return err
	}
	found := [...]int64{-1, -1}
	for {
		i, err := p.name(tailNames)
		if err != nil {
			return err
		}
		if i == endOfObject {
			break
		}
		if i == tailCheckpoint {
			checkpoint, err := p.bytes(tailNames[i])
			if err != nil {
				return err
			}
			if len(checkpoint) > MaxCheckpointBytes {
				return malformed("checkpoint", string(checkpoint), "longer than 16 KiB")
			}
			page.Checkpoint = string(checkpoint)
			continue
		}
		if found[i], err = p.integer(tailNames[i]); err != nil {
			return err
		}
	}
	head, next := found[0], found[1]
	switch {
	case head < 0:
		return malformed("head", "", "missing from the last line")
	case next < 0:
		return malformed("next", "", "missing from the last line")
	case next != page.Next:
		return malformed("next", string(appendInt(nil, next)), fmt.Sprintf("the page ends at %d", page.Next))
	case head < next:
		return malformed("head", string(appendInt(nil, head)), fmt.Sprintf("before next, %d", next))
	}
	page.Head = head
	return p.end()
}

// lineReader reads a page line by line and bounds what it takes in.
type lineReader struct {
	src  *bufio.Reader
	line []byte // the line read last, with its newline
	read int    // bytes so far
}

// next reads a line and reports whether it is the last. A copy of the line is
// kept, because looking ahead may move the buffer.
func (l *lineReader) next() (last bool, err error) {
	l.line = l.line[:0]
	for {
		chunk, err := l.src.ReadSlice('\n')
		l.line = append(l.line, chunk...)
		l.read += len(chunk)
		if l.read > maxReadBytes {
			return false, fmt.Errorf("page of more than %d bytes: %w", maxReadBytes, ErrTooLarge)
		}
		if len(bytes.TrimSuffix(l.line, []byte("\n"))) > MaxLineBytes {
			return false, fmt.Errorf("longer than %d bytes: %w", MaxLineBytes, ErrTooLarge)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read: %w", err)
		}
		if _, err = l.src.Peek(1); err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read: %w", err)
		}
		return false, nil
	}
}
