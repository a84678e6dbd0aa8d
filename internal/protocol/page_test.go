package protocol_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

// line is an event's text with a position written like this, and a newline.
func line(position, text string) string {
	return `{"position":` + position + `,` + text[1:] + "\n"
}

func TestReadPage(t *testing.T) {
	t.Parallel()
	want := &protocol.Page{
		Events: []protocol.Logged{{Position: 6, Event: addEvent()}, {Position: 7, Event: deleteEvent()}},
		Head:   9, Next: 7,
	}
	tail := `{"head":9,"next":7}`
	for name, text := range map[string]string{
		"as written":          line("6", addText) + line("7", deleteText) + tail + "\n",
		"no newline at last":  line("6", addText) + line("7", deleteText) + tail,
		"carriage returns":    strings.ReplaceAll(line("6", addText)+line("7", deleteText)+tail+"\n", "}\n", "}\r\n"),
		"position elsewhere":  member(`"position":6`) + "\n" + line("7", deleteText) + tail,
		"unknown in events":   line("6", member(`"head":null,"leaf":"x"`)) + line("7", deleteText) + tail,
		"unknown in the last": line("6", addText) + line("7", deleteText) + `{"next":7,"head":9,"kind":null}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := protocol.ReadPage(strings.NewReader(text), 5, 2)
			require.NoError(t, err)
			require.Equal(t, want, page)
			page, err = protocol.ReadPage(iotest.OneByteReader(strings.NewReader(text)), 5, protocol.MaxPageEvents)
			require.NoError(t, err)
			require.Equal(t, want, page)
		})
	}
	signed := *want
	signed.Checkpoint = "om.example.com\n7\n"
	page, err := protocol.ReadPage(strings.NewReader(line("6", addText)+line("7", deleteText)+`{"checkpoint":"om.example.com\n7\n","next":7,"head":9}`), 5, 2)
	require.NoError(t, err)
	require.Equal(t, &signed, page)
}

func TestReadPageWithoutEvents(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, 1} {
		page, err := protocol.ReadPage(strings.NewReader(`{"head":5,"next":5}`+"\n"), 5, limit)
		require.NoError(t, err)
		require.Equal(t, &protocol.Page{Head: 5, Next: 5}, page)
	}
	_, err := protocol.ReadPage(strings.NewReader(`{"head":4611686018427387904,"next":0}`), 0, 1)
	require.NoError(t, err)
}

func TestReadPageRefusesEvents(t *testing.T) {
	t.Parallel()
	for name, test := range malformedEvents() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := test.text
			if strings.HasPrefix(text, "{") && text != "{}" {
				text = strings.TrimSuffix(line("2", text), "\n")
			}
			page, err := protocol.ReadPage(strings.NewReader(line("1", addText)+text+"\n"+`{"head":2,"next":2}`), 0, 10)
			if name != "unknown control" { // its newline ends the line early
				require.ErrorContains(t, err, "line 2 of the page: ")
			}
			requireMalformed(t, err, test.field)
			require.Nil(t, page)
		})
	}
}

func TestReadPageRefusesPages(t *testing.T) {
	t.Parallel()
	one, two, tail := line("1", addText), line("2", deleteText), `{"head":2,"next":2}`
	const limit = 3
	for name, test := range map[string]struct{ field, text string }{
		"nothing":             {"page", ""},
		"a newline":           {"page", "\n"},
		"no last line":        {"head", one + two},
		"cut after a newline": {"head", one},
		"cut in an event":     {"json", one + two[:len(two)/2]},
		"cut in the last":     {"json", one + two + tail[:len(tail)-1]},
		"last line twice":     {"kind", one + two + tail + "\n" + tail + "\n"},
		"an event behind":     {"kind", one + tail + "\n" + two},
		"two newlines":        {"kind", one + two + tail + "\n\n"},
		"white space behind":  {"kind", one + two + tail + "\n "},
		"junk behind":         {"json", one + two + tail + "}"},
		"an empty line":       {"json", one + "\n" + two + tail},
		"two events a line":   {"json", strings.TrimSuffix(one, "\n") + two + tail},
		"two lasts a line":    {"json", one + two + tail + tail},
		"an event over lines": {"json", strings.Replace(one, ",", ",\n", 1) + two + tail},
		"an array":            {"json", "[" + one + "," + two + "]"},

		"position missing":      {"position", one + deleteText + "\n" + tail},
		"position twice":        {"json", one + line(`2,"position":2`, deleteText) + tail},
		"Position":              {"position", one + line(`2,"Position":2`, deleteText) + tail},
		"position with point":   {"position", one + line("2.0", deleteText) + tail},
		"position with an e":    {"position", one + line("2e0", deleteText) + tail},
		"position as a string":  {"position", one + line(`"2"`, deleteText) + tail},
		"position null":         {"position", one + line("null", deleteText) + tail},
		"position negative":     {"position", one + line("-2", deleteText) + tail},
		"position over 2^62":    {"position", one + line("4611686018427387905", deleteText) + tail},
		"position modulo 2^64":  {"position", one + line("18446744073709551618", deleteText) + tail},
		"position with a gap":   {"position", one + line("3", deleteText) + `{"head":3,"next":3}`},
		"position again":        {"position", one + one + `{"head":1,"next":1}`},
		"position going down":   {"position", two + one + tail},
		"position too early":    {"position", line("0", addText) + one + tail},
		"first position late":   {"position", two + tail},
		"more events than that": {"page", one + two + line("3", addText) + line("4", addText) + `{"head":4,"next":4}`},

		"last without head":      {"head", one + two + `{"next":2}`},
		"last without next":      {"next", one + two + `{"head":2}`},
		"last an array":          {"line", one + two + `[2,2]`},
		"last null":              {"line", one + two + `null`},
		"head behind next":       {"head", one + two + `{"head":1,"next":2}`},
		"head null":              {"head", one + two + `{"head":null,"next":2}`},
		"head as a string":       {"head", one + two + `{"head":"2","next":2}`},
		"head negative":          {"head", one + two + `{"head":-2,"next":2}`},
		"head twice":             {"json", one + two + `{"head":2,"next":2,"head":2}`},
		"Head":                   {"head", one + two + `{"Head":2,"next":2}`},
		"head and HEAD":          {"head", one + two + `{"head":2,"HEAD":3,"next":2}`},
		"head too large":         {"head", one + two + `{"head":4611686018427387905,"next":2}`},
		"next too small":         {"next", one + two + `{"head":2,"next":1}`},
		"next too large":         {"next", one + two + `{"head":3,"next":3}`},
		"next with a point":      {"next", one + two + `{"head":2,"next":2.0}`},
		"next moved, no events":  {"next", `{"head":2,"next":1}`},
		"unknown in last broken": {"json", one + two + `{"head":2,"next":2,"checkpoint":}`},
		"unknown in last NUL":    {"json", one + two + `{"head":2,"next":2,"checkpoint":"\u0000"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := protocol.ReadPage(strings.NewReader(test.text), 0, limit)
			requireMalformed(t, err, test.field)
			require.ErrorContains(t, err, "line ")
			require.Nil(t, page)
		})
	}
}

func TestReadPageSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := protocol.ReadPage(strings.NewReader(addText+"\n"+`{"head":1,"next":1}`), 0, 1)
	require.EqualError(t, err, `line 1 of the page: malformed position "": missing`)
	_, err = protocol.ReadPage(strings.NewReader(line("1", addText)), 0, 1)
	require.EqualError(t, err, `line 1 of the page: malformed head "": missing from the last line`)
}

// A connection that breaks is not the fault of the writer.
func TestReadPageReturnsReadErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for name, text := range map[string]string{
		"at once":              "",
		"in a line":            line("1", addText)[:100],
		"between lines":        line("1", addText),
		"behind the last line": line("1", addText) + `{"head":1,"next":1}` + "\n",
		"in a long line":       line("1", member(`"later":"`+strings.Repeat("a", 1<<18))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := protocol.ReadPage(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), 0, 10)
			require.ErrorIs(t, err, broken)
			require.False(t, errors.As(err, new(*protocol.MalformedError)))
			require.Nil(t, page)
		})
	}
}

func TestReadPageLimits(t *testing.T) {
	t.Parallel()
	tail := `{"head":1,"next":1}`
	padded := func(position string, length int) string {
		text := line(position, addText)
		return strings.Repeat(" ", length+1-len(text)) + text
	}
	_, err := protocol.ReadPage(strings.NewReader(padded("1", protocol.MaxLineBytes)+tail), 0, 10)
	require.NoError(t, err)

	_, err = protocol.ReadPage(strings.NewReader(padded("1", protocol.MaxLineBytes+1)+tail), 0, 10)
	require.ErrorIs(t, err, protocol.ErrTooLarge)

	// One byte for ever, as from a bomb: reading stops at the limit of a line.
	endless := &countingReader{}
	_, err = protocol.ReadPage(endless, 0, 10)
	require.ErrorIs(t, err, protocol.ErrTooLarge)
	require.Less(t, endless.read, protocol.MaxLineBytes+1<<20)

	third := 10 << 20
	page := padded("1", third) + padded("2", third) + padded("3", third) + `{"head":3,"next":3}`
	_, err = protocol.ReadPage(strings.NewReader(page), 0, 10)
	require.ErrorIs(t, err, protocol.ErrTooLarge)
	_, err = protocol.ReadPage(strings.NewReader(page[third+1:2*third+2]+`{"head":2,"next":2}`), 1, 10)
	require.NoError(t, err)
}

// The longest event there can be fits a line, however much of it is escaped.
func TestLongestEventFitsALine(t *testing.T) {
	t.Parallel()
	e := addEvent()
	setVersion(&e, "example.com/"+strings.Repeat("m", protocol.MaxPathBytes-12), e.Version)
	setMod(&e, strings.Repeat("\x01", protocol.MaxModBytes))
	e.Origin = strings.Repeat(`"`, protocol.MaxOriginBytes)
	e.Info += strings.Repeat("\n", protocol.MaxInfoBytes-len(e.Info))
	require.NoError(t, e.Validate())

	page := protocol.AppendLine(nil, &protocol.Logged{Position: 1 << 62, Event: e})
	require.LessOrEqual(t, len(page), protocol.MaxLineBytes)
	page = protocol.AppendTail(page, 1<<62, 1<<62, "")
	read, err := protocol.ReadPage(strings.NewReader(string(page)), 1<<62-1, 1)
	require.NoError(t, err)
	require.True(t, e == read.Events[0].Event)
}

func TestReadPageOfManyEvents(t *testing.T) {
	t.Parallel()
	events := typicalEvents(protocol.MaxPageEvents)
	var text []byte
	for i := range events {
		text = protocol.AppendLine(text, &events[i])
	}
	text = protocol.AppendTail(text, 1<<40, int64(len(events)), "")
	page, err := protocol.ReadPage(strings.NewReader(string(text)), 0, protocol.MaxPageEvents)
	require.NoError(t, err)
	require.Equal(t, events, page.Events)
	require.Equal(t, int64(1<<40), page.Head)
	require.Equal(t, int64(len(events)), page.Next)
}

// countingReader is an endless page without newlines.
type countingReader struct{ read int }

func (r *countingReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	r.read += len(p)
	return len(p), nil
}
