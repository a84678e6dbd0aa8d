package models_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/models"
)

// A merge looks its events up one by one. Postgres, which knows nothing yet of a log that has just grown, would rather read all of it
// for every page, and a first pull would take time with the square of its length.
func TestMergeNeverScansTheLog(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	batch := func(first, n int) []protocol.Event {
		events := make([]protocol.Event, n)
		for i := range events {
			mod := fmt.Sprintf("module example.com/m%d\n", first+i)
			events[i] = protocol.Event{
				Kind: protocol.KindAdd, Module: fmt.Sprintf("example.com/m%d", first+i), Version: "v1.0.0", Origin: "om.example.com",
				Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), ZipHash: protocol.ModHash([]byte(mod)), ZipSHA256: fmt.Sprintf("%064x", first+i),
				ZipSize: 1, ModHash: protocol.ModHash([]byte(mod)), Info: `{"Version":"v1.0.0"}`, Mod: mod,
			}
		}
		return events
	}
	const grown = 20_000
	require.NoError(t, db.Transaction(func(tx *pop.Connection) error {
		_, err := models.Merge(tx, batch(0, grown))
		return err
	}))
	require.NoError(t, db.Transaction(func(tx *pop.Connection) error {
		if _, err := models.Merge(tx, batch(grown-1000, 3000)); err != nil {
			return err
		}
		var scanned struct {
			Rows int64 `db:"rows"`
		}
		err := tx.RawQuery(`SELECT coalesce(sum(seq_tup_read), 0) AS rows FROM pg_stat_xact_user_tables WHERE relname IN ('events', 'versions')`).First(&scanned)
		require.Zero(t, scanned.Rows, "rows read by scanning")
		return err
	}))
}
