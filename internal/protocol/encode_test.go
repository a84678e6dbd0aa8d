package protocol_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

const (
	addText = `{"kind":"add","module":"example.com/m","version":"v1.0.0","origin":"om.example.com",` +
		`"time":"2026-11-22T12:00:00.000001Z",` +
		`"zip_hash":"h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",` +
		`"zip_sha256":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","zip_size":1234,` +
		`"mod_hash":"h1:flS2VctbRrTv+sBE+VKgxx6hlkMGPVz9MGOmzMYFg3k=",` +
		`"info":"{\"Version\":\"v1.0.0\",\"Time\":\"2026-11-22T11:59:59Z\"}","mod":"module example.com/m\n"}`

	deleteText = `{"kind":"delete","module":"example.com/m","version":"v1.0.0","origin":"om.example.com",` +
		`"time":"2026-11-22T12:00:00.000001Z","reason":"published by mistake"}`
)

func TestEncodingIsFixed(t *testing.T) {
	t.Parallel()
	add, del := addEvent(), deleteEvent()
	require.Equal(t, addText, string(protocol.AppendEvent(nil, &add)))
	require.Equal(t, deleteText, string(protocol.AppendEvent(nil, &del)))
	require.Equal(t, `{"events":[`+addText+`,`+deleteText+`]}`,
		string(protocol.AppendPush(nil, []protocol.Event{add, del})))
	require.Equal(t, `{"position":7,`+addText[1:]+"\n",
		string(protocol.AppendLine(nil, &protocol.Logged{Position: 7, Event: add})))
	require.Equal(t, `{"head":12,"next":7}`+"\n", string(protocol.AppendTail(nil, 12, 7, "")))
	require.Equal(t, `{"head":12,"next":7,"checkpoint":"om.example.com\n7\n…\n"}`+"\n", string(protocol.AppendTail(nil, 12, 7, "om.example.com\n7\n…\n")))

	del.Reason = ""
	require.Equal(t, strings.Replace(deleteText, `,"reason":"published by mistake"`, "", 1),
		string(protocol.AppendEvent(nil, &del)), "an empty reason is left out")
	require.Equal(t, "before"+`{"head":0,"next":0}`+"\n", string(protocol.AppendTail([]byte("before"), 0, 0, "")))
}

func TestEncodingOfTimes(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for want, moment := range map[string]time.Time{
		"2026-11-22T12:00:00Z":        noon,
		"2026-11-22T12:00:00.5Z":      noon.Add(500 * time.Millisecond),
		"2026-11-22T12:00:00.999999Z": noon.Add(999999999),
		"2026-11-22T11:00:00Z":        time.Date(2026, 11, 22, 12, 0, 0, 0, time.FixedZone("", 3600)),
		"0001-01-01T00:00:01Z":        time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC),
	} {
		e := deleteEvent()
		e.Time = moment
		require.Contains(t, string(protocol.AppendEvent(nil, &e)), `"time":"`+want+`"`)
	}
}

func TestEncodingOfStrings(t *testing.T) {
	t.Parallel()
	var every strings.Builder // every ASCII character but NUL, and what some encoders escape
	for c := rune(1); c <= 0x7f; c++ {
		every.WriteRune(c)
	}
	every.WriteString("é<>&\u2028\u2029\U0001f600")

	e := addEvent()
	setMod(&e, every.String())
	text := protocol.AppendEvent(nil, &e)
	var read wireEvent
	require.NoError(t, json.Unmarshal(text, &read))
	require.Equal(t, e.Mod, read.Mod)
	require.Contains(t, string(text), `\u0001`)
	require.Contains(t, string(text), `\b\t\n\u000b\f\r\u000e`)
	require.Contains(t, string(text), `!\"#`)
	require.Contains(t, string(text), `[\\]`)
	require.Contains(t, string(text), "\x7fé<>&\u2028\u2029\U0001f600")
	requireRoundTrip(t, e)
}
