package models_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
	"olympus/models"
)

// A search in the middle of paths looks at so many versions at a time, says where it has come to, and finds all in the end.
func TestSearchVersions(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	require.NoError(t, db.RawQuery(`INSERT INTO versions (module, version, deprecated, deleted, conflict)
		SELECT 'example.com/' || CASE WHEN n % 40000 = 5 THEN 'Needle' ELSE 'm' END || lpad(n::text, 6, '0'), 'v1.0.0', n = 40005, false, false
		FROM generate_series(1, 100100) n`).Exec())
	var patience time.Duration // none: 100,000 versions are looked at, and no more
	search := func(contains string, page models.VersionPage) (names []string, last *models.Version) {
		t.Helper()
		found, last, err := models.SearchVersions(db, page, contains, patience)
		require.NoError(t, err)
		for i := range found {
			names = append(names, found[i].Module)
		}
		return names, last
	}
	all := []string{"example.com/Needle000005", "example.com/Needle040005", "example.com/Needle080005"}
	found, last := search("needle", models.VersionPage{Limit: 50})
	require.Subset(t, all, found)
	require.NotNil(t, last, "there are more versions than it has looked at")
	rest, end := search("needle", models.VersionPage{Limit: 50, Module: last.Module, Version: last.Version})
	require.Equal(t, all, append(found, rest...))
	require.Nil(t, end)

	found, last = search("needle", models.VersionPage{Limit: 2})
	require.Equal(t, all[:2], found)
	require.Equal(t, all[1], last.Module, "a full page goes on after its last one")
	found, last = search("04", models.VersionPage{Limit: 50, Prefix: "example.com/Needle", Module: "example.com/Needle"})
	require.Equal(t, all[1:2], found)
	require.Nil(t, last, "fewer have the prefix than are looked at")
	found, _ = search("needle", models.VersionPage{State: models.VersionDeprecated, Limit: 50})
	require.Equal(t, all[1:2], found)
	found, last = search("%", models.VersionPage{Limit: 50, Prefix: "example.com/N", Module: "example.com/N"})
	require.Empty(t, found, "nothing in it is a pattern")
	require.Nil(t, last)

	patience = time.Hour
	found, last = search("needle", models.VersionPage{Limit: 50})
	require.Equal(t, all, found)
	require.Nil(t, last, "all was looked at")
	found, last = search("needle", models.VersionPage{Limit: 2})
	require.Equal(t, all[:2], found)
	require.Equal(t, all[1], last.Module)
	found, _ = search("m", models.VersionPage{Limit: 5, Module: "example.com/m099998", Version: "v1.0.0"})
	require.Equal(t, []string{"example.com/m099999", "example.com/m100000", "example.com/m100001", "example.com/m100002", "example.com/m100003"}, found)
	found, last = search("m10000", models.VersionPage{Limit: 3})
	require.Equal(t, []string{"example.com/m100000", "example.com/m100001", "example.com/m100002"}, found, "one of the first 100,000 versions, and the others after them")
	require.Equal(t, found[2], last.Module)
}
