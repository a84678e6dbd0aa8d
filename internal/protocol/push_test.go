package protocol_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

func TestParsePush(t *testing.T) {
	t.Parallel()
	want := []protocol.Event{addEvent(), deleteEvent()}
	for name, body := range map[string]string{
		"as written":       `{"events":[` + addText + `,` + deleteText + `]}`,
		"with white space": " {\r\n\t\"events\" : [ " + addText + " , " + deleteText + " ] } \n",
		"escaped name":     `{"\u0065vents":[{"\u006bind":"\u0061dd",` + strings.TrimPrefix(addText, `{"kind":"add",`) + `,` + deleteText + `]}`,
		"unknown names": `{"version":2,"events":[` + member(`"later":{"kind":null,"x":[1e9,"\\u0000"]}`) + `,` +
			deleteMember(`"ziphash":true,"":0`) + `],"more":[[[]]]}`,
		"a position":   `{"events":[{"position":"none",` + addText[1:] + `,` + deleteText + `]}`,
		"another zone": `{"events":[` + replace(`12:00:00.000001Z`, `13:30:00.000001999+01:30`) + `,` + deleteText + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := protocol.ParsePush([]byte(body))
			require.NoError(t, err)
			require.Equal(t, want, events)
		})
	}
}

func TestParsePushTruncatesTime(t *testing.T) {
	t.Parallel()
	events, err := protocol.ParsePush([]byte(`{"events":[` + replace(`00.000001Z`, `59.9999999999Z`) + `]}`))
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 11, 22, 12, 0, 59, 999999000, time.UTC), events[0].Time)
}

func TestParsePushRefusesEvents(t *testing.T) {
	t.Parallel()
	for name, test := range malformedEvents() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := protocol.ParsePush([]byte(`{"events":[` + deleteText + `,` + test.text + `]}`))
			requireMalformed(t, err, test.field)
			if !strings.Contains(name, "NUL") { // found before the events are
				require.ErrorContains(t, err, "event 1: ")
			}
			require.Nil(t, events)
		})
	}
}

func TestParsePushRefusesBodies(t *testing.T) {
	t.Parallel()
	good := `{"events":[` + addText + `]}`
	for name, test := range map[string]struct{ field, body string }{
		"nothing":               {"json", ``},
		"white space":           {"json", " \n"},
		"null":                  {"push", `null`},
		"an array":              {"push", `[` + addText + `]`},
		"an event":              {"events", addText},
		"no events":             {"events", `{}`},
		"empty events":          {"events", `{"events":[]}`},
		"events null":           {"events", `{"events":null}`},
		"events an object":      {"events", `{"events":` + addText + `}`},
		"events twice":          {"json", `{"events":[` + addText + `],"events":[` + addText + `]}`},
		"events twice, escaped": {"json", `{"events":[` + addText + `],"event\u0073":[]}`},
		"Events":                {"events", `{"Events":[` + addText + `]}`},
		"events and EVENTS":     {"events", `{"events":[` + addText + `],"EVENTS":[]}`},
		"events with a long s":  {"events", `{"eventſ":[` + addText + `]}`},
		"a second value":        {"json", good + good},
		"junk behind":           {"json", good + `,`},
		"a NUL behind":          {"json", good + "\x00"},
		"a bracket behind":      {"json", good + `]`},
		"byte order mark":       {"json", "\ufeff" + good},
		"UTF-16":                {"json", "{\x00\"\x00"},
		"a comma too many":      {"json", `{"events":[` + addText + `,]}`},
		"no comma":              {"json", `{"events":[` + addText + addText + `]}`},
		"wrong bracket":         {"json", `{"events":[` + addText + `}}`},
		"cut in the array":      {"json", good[:len(good)-2]},
		"cut in a number":       {"json", `{"events":[` + addText[:strings.Index(addText, "1234")+4]},
		"cut before a number":   {"json", `{"events":[` + addText[:strings.Index(addText, "1234")]},
		"cut in an event":       {"json", good[:len(good)/2]},
		"cut at the end":        {"json", good[:len(good)-1]},
		"arrays as a bomb":      {"json", strings.Repeat("[", 1<<20)},
		"objects as a bomb":     {"json", strings.Repeat(`{"a":`, 1<<19)},
		"events as a bomb":      {"json", `{"events":` + strings.Repeat("[", 1<<20)},
		"NUL beside events":     {"json", `{"later":"\u0000","events":[` + addText + `]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := protocol.ParsePush([]byte(test.body))
			requireMalformed(t, err, test.field)
			require.Nil(t, events)
		})
	}
}

func TestParsePushLimits(t *testing.T) {
	t.Parallel()
	events := make([]protocol.Event, protocol.MaxPushEvents)
	for i := range events {
		events[i] = addEvent()
	}
	body := protocol.AppendPush(nil, events)
	parsed, err := protocol.ParsePush(body)
	require.NoError(t, err)
	require.Equal(t, events, parsed)

	_, err = protocol.ParsePush(protocol.AppendPush(nil, append(events, addEvent())))
	require.ErrorIs(t, err, protocol.ErrTooLarge)

	body = append(body, strings.Repeat(" ", protocol.MaxPushBytes-len(body))...)
	_, err = protocol.ParsePush(body)
	require.NoError(t, err)
	_, err = protocol.ParsePush(append(body, ' '))
	require.ErrorIs(t, err, protocol.ErrTooLarge)
}

// The strings of an event must not change when the body's memory is used again.
func TestParsePushCopies(t *testing.T) {
	t.Parallel()
	body := []byte(`{"events":[` + addText + `]}`)
	events, err := protocol.ParsePush(body)
	require.NoError(t, err)
	require.Equal(t, `{"events":[`+addText+`]}`, string(body), "reading leaves the body alone")
	clear(body)
	require.Equal(t, []protocol.Event{addEvent()}, events)
}
