package protocol_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

// typicalEvents are n adds of different modules, about 700 bytes each.
func typicalEvents(n int) []protocol.Logged {
	events := make([]protocol.Logged, n)
	for i := range events {
		e := addEvent()
		e.Module = fmt.Sprintf("example.com/team-%d/service-%d", i%100, i)
		e.Mod = "module " + e.Module + "\n\ngo 1.26\n\nrequire (\n" + strings.Repeat("\texample.com/library v1.2.3\n", 6) + ")\n"
		e.ModHash = protocol.ModHash([]byte(e.Mod))
		events[i] = protocol.Logged{Position: int64(i) + 1, Event: e}
	}
	return events
}

func reportEvents(b *testing.B, perRound int) {
	b.ReportMetric(float64(perRound)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkReadPage(b *testing.B) {
	const n = 1000
	var page []byte
	for _, e := range typicalEvents(n) {
		page = protocol.AppendLine(page, &e)
	}
	page = protocol.AppendTail(page, n, n, "")
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := protocol.ReadPage(bytes.NewReader(page), 0, n)
		require.NoError(b, err)
	}
	reportEvents(b, n)
}

func BenchmarkParsePush(b *testing.B) {
	var events []protocol.Event
	for _, l := range typicalEvents(protocol.MaxPushEvents) {
		events = append(events, l.Event)
	}
	body := protocol.AppendPush(nil, events)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := protocol.ParsePush(body)
		require.NoError(b, err)
	}
	reportEvents(b, len(events))
}

func BenchmarkAppendLine(b *testing.B) {
	events := typicalEvents(1000)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = dst[:0]
		for i := range events {
			dst = protocol.AppendLine(dst, &events[i])
		}
	}
	b.SetBytes(int64(len(dst)))
	reportEvents(b, len(events))
}

func BenchmarkModHash(b *testing.B) {
	mod := []byte("module example.com/m\n" + strings.Repeat("// comment\n", 30))
	b.ReportAllocs()
	for b.Loop() {
		protocol.ModHash(mod)
	}
}
