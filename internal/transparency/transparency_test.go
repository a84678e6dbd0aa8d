package transparency

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/protocol"
)

var when = time.Date(2026, 11, 22, 13, 0, 0, 1000, time.FixedZone("CET", 3600))

// The text of records is fixed for ever: any change of it is another tree.
func TestRecord(t *testing.T) {
	t.Parallel()
	add := protocol.Event{
		Kind: protocol.KindAdd, Module: "example.com/m", Version: "v1.0.0", Origin: "om.example.com", Time: when,
		ZipHash: "h1:10+aopo4crVuDpMV2clxq8pEIJJw6k2WCf70No/sOag=", ZipSize: 450,
		ZipSHA256: "f33fb230dcec3fc0a3d5a30609f231f26f2d45f0bef31eecfb4b6b290ce85a34",
		ModHash:   "h1:NnGvEkTHyKKlgPcQSue0skqyqiS1EfBSAh+0WaWZYmE=", Info: `{"Version":"v1.0.0","Time":"2026-11-22T12:00:00Z"}`,
	}
	for _, test := range []struct {
		event protocol.Event
		want  string
		leaf  string
	}{
		{
			add, `example.com/m v1.0.0 h1:10+aopo4crVuDpMV2clxq8pEIJJw6k2WCf70No/sOag=
example.com/m v1.0.0/go.mod h1:NnGvEkTHyKKlgPcQSue0skqyqiS1EfBSAh+0WaWZYmE=
kind add
origin om.example.com
time 2026-11-22T12:00:00.000001Z
zip 450 f33fb230dcec3fc0a3d5a30609f231f26f2d45f0bef31eecfb4b6b290ce85a34
info 0e35187614b5ca86ff45486f8feb24f35dc5d945c471557005203f62ce6b629e
`, "O1f4QUc7AMhY5nYEQ86bZd6acdJkYvpEUh6bguwE46w=",
		},
		{
			protocol.Event{Kind: protocol.KindDeprecate, Module: "example.com/m", Version: "v1.0.0", Origin: "oa.example.com/eu", Time: when},
			`kind deprecate
version example.com/m v1.0.0
origin oa.example.com/eu
time 2026-11-22T12:00:00.000001Z
`, "V2yodTkrGNPYMo3bTovKGTQz5MzWZkKJ/qIrFB9MSto=",
		},
		{
			protocol.Event{Kind: protocol.KindDelete, Module: "example.com/m", Version: "v1.0.0", Origin: "om.example.com", Time: when, Reason: "holds a “secret”"},
			`kind delete
version example.com/m v1.0.0
origin om.example.com
time 2026-11-22T12:00:00.000001Z
reason holds a “secret”
`, "RYXCIyT0vMuJNzpXOBGeIIp1JOM6iMPXACGtJzW4qRI=",
		},
	} {
		record := Record(&test.event)
		require.Equal(t, test.want, string(record))
		require.Equal(t, test.leaf, Leaf(&test.event).String())
		_, err := tlog.FormatRecord(0, record)
		require.NoError(t, err, "the text must be one that the go command accepts")
	}
	// Whatever is changed of an event changes its leaf.
	leaves := map[tlog.Hash]string{Leaf(&add): "nothing"}
	for what, change := range map[string]func(e *protocol.Event){
		"module":     func(e *protocol.Event) { e.Module += "2" },
		"version":    func(e *protocol.Event) { e.Version = "v1.0.1" },
		"origin":     func(e *protocol.Event) { e.Origin = "oa.example.com" },
		"time":       func(e *protocol.Event) { e.Time = e.Time.Add(time.Microsecond) },
		"zip hash":   func(e *protocol.Event) { e.ZipHash = e.ModHash },
		"zip sha256": func(e *protocol.Event) { e.ZipSHA256 = strings.Repeat("0", 64) },
		"zip size":   func(e *protocol.Event) { e.ZipSize++ },
		"mod hash":   func(e *protocol.Event) { e.ModHash = e.ZipHash },
		"info":       func(e *protocol.Event) { e.Info += " " },
		"kind":       func(e *protocol.Event) { e.Kind = protocol.KindDelete },
		"reason":     func(e *protocol.Event) { e.Kind = protocol.KindDelete; e.Reason = "x" },
	} {
		e := add
		change(&e)
		leaf := Leaf(&e)
		require.Empty(t, leaves[leaf], what)
		leaves[leaf] = what
	}
}
