package models_test

import (
	"testing"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
	"olympus/models"
)

// A page of a listing reads a few rows for each that it shows, however many there are.
func TestListingsReadFewRows(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const limit = 50
	e := add(t, "example.com/m", "v1.0.0", "a", now())
	for _, statement := range []string{
		`INSERT INTO events (position, kind, module, version, origin, time, logged_at, zip_hash, zip_sha256, zip_size, mod_hash, info, mod, reason)
			SELECT n, 'add', 'example.com/m' || lpad(n::text, 6, '0'), 'v1.0.0', 'om.example.com', now(), now(),
				'` + e.ZipHash + `', '` + e.ZipSHA256 + `', 1234, '` + e.ModHash + `', '{}', 'module m', '' FROM generate_series(1, 100000) n`,
		`INSERT INTO versions (module, version, add_position, deprecated, deleted, conflict)
			SELECT module, version, position, false, false, position % 10000 = 0 FROM events`,
		"ANALYZE events, versions",
	} {
		require.NoError(t, db.RawQuery(statement).Exec())
	}
	versions := func(page models.VersionPage) func(*pop.Connection) (int, error) {
		return func(tx *pop.Connection) (int, error) {
			page.Limit = limit
			found, err := models.LatestVersions(tx, page)
			return len(found), err
		}
	}
	events := func(before int64, filter models.EventFilter) func(*pop.Connection) (int, error) {
		return func(tx *pop.Connection) (int, error) {
			found, _, err := models.LatestEvents(tx, before, filter, limit)
			return len(found), err
		}
	}
	for name, test := range map[string]struct {
		list func(*pop.Connection) (int, error)
		want int
	}{
		"the newest events":       {events(0, models.EventFilter{}), limit},
		"events in the middle":    {events(50_000, models.EventFilter{}), limit},
		"events of a module":      {events(0, models.EventFilter{Module: "example.com/m054321"}), 1},
		"the first versions":      {versions(models.VersionPage{}), limit},
		"versions in the middle":  {versions(models.VersionPage{Module: "example.com/m050000", Version: "v1.0.0"}), limit},
		"versions before another": {versions(models.VersionPage{Module: "example.com/m050000", Version: "v1.0.0", Before: true}), limit},
		"versions of a prefix":    {versions(models.VersionPage{Prefix: "example.com/m09"}), limit},
		"the end of a prefix":     {versions(models.VersionPage{Prefix: "example.com/m09", Module: "example.com/m099989", Version: "v1.0.0"}), 10},
		"conflicts":               {versions(models.VersionPage{State: models.VersionConflict}), 10},
		"failed fetches":          {versions(models.VersionPage{State: models.VersionFailed}), 0},
	} {
		require.NoError(t, db.Transaction(func(tx *pop.Connection) error {
			before := rowsRead(t, tx)
			found, err := test.list(tx)
			require.Equal(t, test.want, found, name)
			require.LessOrEqual(t, rowsRead(t, tx)-before, int64(4*limit), name)
			return err
		}), name)
	}
}

// rowsRead counts the rows of the log and of the versions that the session of a transaction has read, those of its last ones among them.
func rowsRead(t *testing.T, tx *pop.Connection) int64 {
	t.Helper()
	var read struct {
		Rows int64 `db:"rows"`
	}
	require.NoError(t, tx.RawQuery(`SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint AS rows
		FROM pg_stat_xact_user_tables WHERE relname IN ('events', 'versions')`).First(&read))
	return read.Rows
}
