package grifts

import (
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
	"olympus/internal/testmod"
	"olympus/models"
)

func TestModules(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	s.settings.Upstream = testmod.NewUpstream(t,
		testmod.Module{Path: "example.com/M", Version: "v1.0.0"}, testmod.Module{Path: "example.com/M", Version: "v1.1.0"}).URL

	require.Equal(t, map[string]any{"module": "example.com/M", "version": "v1.1.0"}, s.object("modules:add", "example.com/M@latest"))
	require.Equal(t, "example.com/M@v1.0.0 is held\n", s.must("modules:add", "example.com/M@v1.0.0"))
	require.Equal(t, "example.com/M@v1.0.0 is held\n", s.must("modules:add", "example.com/M@v1.0.0"), "again")
	_, _, err := s.run("modules:add", "example.com/M@v1.2.0")
	require.ErrorContains(t, err, "not found")
	require.JSONEq(t, `{"events":2,"versions":2,"blobs":2,"orphans":0,"problems":[]}`, s.must("log:verify", "--json"))

	require.Equal(t, "example.com/M@v1.0.0 is now deprecated\n", s.must("modules:deprecate", "example.com/M@v1.0.0", "too", "old"))
	require.Equal(t, "example.com/M@v1.0.0 was already deprecated\n", s.must("modules:deprecate", "example.com/M@v1.0.0", "too", "old"))
	require.Contains(t, s.must("log:show", "2"), "\ttoo old\n")
	require.JSONEq(t, `{"module":"example.com/M","version":"v1.1.0","kind":"delete","changed":true}`,
		s.must("modules:delete", "--json", "example.com/M@v1.1.0", "--", "--json", "is", "broken"))
	require.Contains(t, s.must("log:show", "3"), "\t--json is broken\n")
	_, _, err = s.run("modules:add", "example.com/M@v1.1.0")
	require.ErrorContains(t, err, "deleted here")
	_, _, err = s.run("modules:delete", "example.com/M@latest", "not a version")
	require.ErrorContains(t, err, "version")

	// Each change is in the audit trail, once.
	trail, err := models.AuditTrail(testdb.Open(t, s.settings.DatabaseURL), 0, 10)
	require.NoError(t, err)
	require.Len(t, trail, 2)
	require.Equal(t, actor, trail[0].Actor)
}
