package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDifference(t *testing.T) {
	t.Parallel()
	want := situation{
		"OA": {log: []string{"MxV1", "MzV1"}, pointers: map[string]int64{"OM": 1}},
		"OM": {log: []string{"MxV1"}, pointers: map[string]int64{"OA": 0, "OG": 2}},
	}
	tests := []struct {
		name       string
		oa         view
		difference string
	}{
		{"equal", want["OA"], ""},
		{"an event is missing", view{[]string{"MxV1"}, map[string]int64{"OM": 1}},
			"the log of OA is [MxV1], and should be [MxV1 MzV1]"},
		{"the order is another", view{[]string{"MzV1", "MxV1"}, map[string]int64{"OM": 1}},
			"the log of OA is [MzV1 MxV1], and should be [MxV1 MzV1]"},
		{"a push moved the pointer", view{[]string{"MxV1", "MzV1"}, map[string]int64{"OM": 2}},
			"the pull pointers of OA are (OM 2), and should be (OM 1)"},
		{"a peer too many", view{[]string{"MxV1", "MzV1"}, map[string]int64{"OM": 1, "OG": 0}},
			"the pull pointers of OA are (OG 0, OM 1), and should be (OM 1)"},
		{"nothing is there", view{}, "the log of OA is [], and should be [MxV1 MzV1]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := situation{"OA": test.oa, "OM": want["OM"], "OG": {log: []string{"nobody asks about it"}}}
			require.Equal(t, test.difference, got.difference(want))

			rows := got.table(want)
			require.Len(t, rows, 3)
			verdict := isOK
			if test.difference != "" {
				verdict = differs
			}
			require.Equal(t, []string{"OA", verdict}, []string{rows[1][0], rows[1][5]})
			require.Equal(t, []string{"OM", "[MxV1]", "OA 0, OG 2", "[MxV1]", "OA 0, OG 2", isOK}, rows[2])
		})
	}
}

func TestParseEntries(t *testing.T) {
	t.Parallel()
	const lines = `{"kind":"add","module":"example.com/y","version":"v1.0.0","zip_hash":"h1:y","mod":"","position":2}
{"kind":"delete","module":"example.com/z","version":"v1.0.0","position":3}
`
	entries, err := parseEntries([]byte(lines), 1)
	require.NoError(t, err)
	require.Equal(t, []entry{{2, "add", "example.com/y", "v1.0.0", "h1:y"}, {3, "delete", "example.com/z", "v1.0.0", ""}}, entries)

	_, err = parseEntries([]byte(lines), 0)
	require.EqualError(t, err, "an event has position 2, and should have 1")
	_, err = parseEntries([]byte("olympus: no\n"), 0)
	require.ErrorContains(t, err, "olympus: no")
	entries, err = parseEntries(nil, 7)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// Deduplication knows facts, not positions: the same event has another one in each log.
func TestUnknown(t *testing.T) {
	t.Parallel()
	y, z := entry{2, "add", "example.com/y", "v1.0.0", "h1:y"}, entry{3, "add", "example.com/z", "v1.0.0", "h1:z"}
	otherBytes := entry{4, "add", "example.com/z", "v1.0.0", "h1:other"}
	held := z
	held.Position = 2
	require.Equal(t, []entry{y, otherBytes}, unknown([]entry{y, z, otherBytes}, []entry{held}))
	require.Empty(t, unknown([]entry{y, z}, []entry{z, y}))
}
