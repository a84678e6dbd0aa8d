package protocol_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

// wireEvent is an event as an ordinary JSON library reads it.
type wireEvent struct {
	Position  int64  `json:"position"`
	Kind      string `json:"kind"`
	Module    string `json:"module"`
	Version   string `json:"version"`
	Origin    string `json:"origin"`
	Time      string `json:"time"`
	ZipHash   string `json:"zip_hash"`
	ZipSHA256 string `json:"zip_sha256"`
	ZipSize   int64  `json:"zip_size"`
	ModHash   string `json:"mod_hash"`
	Info      string `json:"info"`
	Mod       string `json:"mod"`
	Reason    string `json:"reason"`
}

// event is what the ordinary library has read.
func (w wireEvent) event(t testing.TB) protocol.Event {
	moment, err := time.Parse(time.RFC3339Nano, w.Time)
	require.NoError(t, err)
	return protocol.Event{
		Kind: protocol.Kind(w.Kind), Module: w.Module, Version: w.Version, Origin: w.Origin,
		Time:    moment.UTC().Truncate(time.Microsecond),
		ZipHash: w.ZipHash, ZipSHA256: w.ZipSHA256, ZipSize: w.ZipSize, ModHash: w.ModHash,
		Info: w.Info, Mod: w.Mod, Reason: w.Reason,
	}
}

// requireRoundTrip checks that a valid event survives a push and a page.
func requireRoundTrip(t testing.TB, e protocol.Event) {
	t.Helper()
	want := e
	want.Time = want.Time.UTC()

	body := protocol.AppendPush(nil, []protocol.Event{e})
	if len(body) <= protocol.MaxPushBytes {
		events, err := protocol.ParsePush(body)
		require.NoError(t, err)
		require.Equal(t, []protocol.Event{want}, events)
	}
	logged := protocol.Logged{Position: 1, Event: e}
	text := protocol.AppendTail(protocol.AppendLine(nil, &logged), 1, 1, "")
	page, err := protocol.ReadPage(bytes.NewReader(text), 0, 1)
	require.NoError(t, err)
	require.Equal(t, []protocol.Logged{{Position: 1, Event: want}}, page.Events)

	var read wireEvent
	require.NoError(t, json.Unmarshal(protocol.AppendEvent(nil, &e), &read))
	require.Equal(t, want, read.event(t))
}

// What is accepted is valid, says the same to an ordinary JSON library, and can
// be written again, in no more bytes.
func FuzzParsePush(f *testing.F) {
	f.Add([]byte(`{"events":[` + addText + `,` + deleteText + `]}`))
	f.Add([]byte(`{"later":[{}],"events":[` + member(`"x":{"y":[1e3,null,"\\u0000\ud83d\ude00"]}`) + `]}` + "\n"))
	f.Add([]byte(`{"events":[` + replace(`2026-11-22T12:00:00.000001Z`, `2026-11-22T12:00:00.5+14:00`) + `]}`))
	for _, test := range malformedEvents() {
		if len(test.text) < 2000 {
			f.Add([]byte(`{"events":[` + test.text + `]}`))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := protocol.ParsePush(body)
		if err != nil {
			require.Nil(t, events)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		var push struct {
			Events []wireEvent `json:"events"`
		}
		require.NoError(t, json.Unmarshal(body, &push))
		require.Len(t, push.Events, len(events))
		for i, e := range events {
			require.NoError(t, e.Validate())
			require.Equal(t, push.Events[i].event(t), e)
			if e.Kind == protocol.KindAdd {
				var info struct {
					Version string
					Time    time.Time
				}
				require.NoError(t, json.Unmarshal([]byte(e.Info), &info))
				require.Equal(t, e.Version, info.Version)
			}
		}
		again := protocol.AppendPush(nil, events)
		require.LessOrEqual(t, len(again), len(body))
		reread, err := protocol.ParsePush(again)
		require.NoError(t, err)
		require.Equal(t, events, reread)
	})
}

// What is accepted is gapless, within its limit, and can be written again.
func FuzzReadPage(f *testing.F) {
	f.Add([]byte(line("1", addText)+line("2", deleteText)+`{"head":2,"next":2}`+"\n"), int64(0), 2)
	f.Add([]byte(line("8", addText)+`{"checkpoint":"x","head":9,"next":8}`), int64(7), 10)
	f.Add([]byte(`{"head":5,"next":5}`), int64(5), 0)
	f.Add([]byte(line("4611686018427387904", deleteText)+`{"head":4611686018427387904,"next":4611686018427387904}`), int64(1<<62-1), 1)
	f.Add([]byte(line("1", addText)+line("3", deleteText)+`{"head":3,"next":3}`+"\n"), int64(0), 2)
	f.Add([]byte(line("1", addText)), int64(0), 1)
	f.Add([]byte("{}\n\n"), int64(0), 1)
	f.Fuzz(func(t *testing.T, text []byte, after int64, limit int) {
		page, err := protocol.ReadPage(bytes.NewReader(text), after, limit)
		if err != nil {
			require.Nil(t, page)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.LessOrEqual(t, len(page.Events), max(limit, 0))
		require.GreaterOrEqual(t, page.Head, page.Next)
		require.Equal(t, after+int64(len(page.Events)), page.Next)
		var again []byte
		for i := range page.Events {
			l := &page.Events[i]
			require.Equal(t, after+1+int64(i), l.Position)
			require.NoError(t, l.Validate())
			again = protocol.AppendLine(again, l)
		}
		again = protocol.AppendTail(again, page.Head, page.Next, page.Checkpoint)
		require.LessOrEqual(t, len(again), len(text)+1)
		reread, err := protocol.ReadPage(bytes.NewReader(again), after, limit)
		require.NoError(t, err)
		require.Equal(t, page, reread)
	})
}

// Every event that is valid survives, and one that is not never becomes valid by
// being written, unless what is wrong with it is what writing leaves out.
func FuzzEventRoundTrip(f *testing.F) {
	seed := func(e protocol.Event) {
		f.Add(string(e.Kind), e.Module, e.Version, e.Origin, e.Time.UnixMicro(), e.ZipSize, e.Info, e.Mod, e.Reason)
	}
	seed(addEvent())
	seed(deleteEvent())
	e := addEvent()
	setVersion(&e, "example.com/m/v2", "v2.0.0-rc.1")
	e.Mod, e.Origin = "module \"m\\\t\x01\u2028\U0001f600", `o"m\.example.com/a`
	seed(e)
	e = deleteEvent()
	e.Kind, e.Reason = protocol.KindDeprecate, `<é> & "\`
	seed(e)
	f.Fuzz(func(t *testing.T, kind, path, version, origin string, micros, zipSize int64, info, mod, reason string) {
		e := addEvent()
		if protocol.Kind(kind) != protocol.KindAdd {
			e = deleteEvent()
		} else {
			e.ZipSize, e.Info = zipSize, info
			setMod(&e, mod)
		}
		e.Kind, e.Module, e.Version, e.Origin = protocol.Kind(kind), path, version, origin
		e.Time, e.Reason = time.UnixMicro(micros).UTC(), reason
		if e.Validate() == nil {
			requireRoundTrip(t, e)
			return
		}
		if e.Kind == protocol.KindAdd {
			e.Reason = ""
			if e.Validate() == nil {
				return
			}
		}
		_, err := protocol.ParsePush(protocol.AppendPush(nil, []protocol.Event{e}))
		require.Error(t, err)
	})
}
