package grifts

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/testmod"
)

// The task tells the life of a version, and asks upstream about one that nobody knows, without filling it.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	m, missing := testmod.Module{Path: "example.com/M", Version: "v1.0.0"}, testmod.Module{Path: "example.com/M", Version: "v1.1.0"}
	up := testmod.NewUpstream(t, m, missing)
	s.settings.Upstream = up.URL
	s.must("modules:add", "example.com/M@v1.0.0")

	out := s.must("explain", "example.com/M@v1.0.0")
	require.Regexp(t, `^om\.example\.com: live, held\n  20\S+Z  asked  asked for, and not known: the fill began\n`, out)
	require.Regexp(t, `\n  20\S+Z  add    logged at position 1; it originated here\n`, out)
	require.Regexp(t, `\n  20\S+Z  held   its zip of `+strconv.Itoa(len(testmod.Zip(t, m)))+` bytes was checked and stored; it came from upstream, `+up.URL+`\n`, out)

	require.Equal(t, "om.example.com: unknown\n  No event of the log speaks of it. No peer that answers knows it. "+
		"Upstream has it: ask for it, or run olympus task modules:add example.com/M@v1.1.0.\n", s.must("explain", "example.com/M@v1.1.0"))
	var e peer.Explanation
	require.NoError(t, json.Unmarshal([]byte(s.must("explain", "--json", "example.com/M@v1.2.0")), &e))
	require.Len(t, e.Deployments, 1)
	require.Equal(t, peer.StateUnknown, e.Deployments[0].State)
	require.Contains(t, e.Deployments[0].Reason, "not found")
	require.JSONEq(t, `{"events":1,"versions":1,"blobs":1,"orphans":0,"problems":[]}`, s.must("log:verify", "--json"), "asking fills nothing")
}
