package models_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/models"
)

// How an event came is found by its position, in whatever range it was recorded; what was not recorded is not found.
func TestArrivals(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	pulled, pushed := models.Arrival{Way: models.ByPull, Peer: "om.example.com"}, models.Arrival{Way: models.ByPush, Peer: "oa.example.com"}
	require.NoError(t, models.RecordArrival(db, 2, 1001, pulled))
	require.NoError(t, models.RecordArrival(db, 1005, 1005, pushed))
	for position, want := range map[int64]*models.Arrival{1: nil, 2: &pulled, 500: &pulled, 1001: &pulled, 1002: nil, 1004: nil, 1005: &pushed, 1006: nil} {
		got, err := models.ArrivalOf(db, position)
		if want == nil {
			require.ErrorIs(t, err, models.ErrNotFound, "%d", position)
		} else {
			require.NoError(t, err)
		}
		require.Equal(t, want, got, "%d", position)
	}
	require.NoError(t, models.RecordArrival(db, 1005, 1006, pulled), "of a log that was lost")
	got, err := models.ArrivalOf(db, 1006)
	require.NoError(t, err)
	require.Equal(t, &pulled, got)
	require.Error(t, models.RecordArrival(db, 9, 8, pulled))
	require.Error(t, models.RecordArrival(db, 9, 9, models.Arrival{Way: "rumour", Peer: "om.example.com"}))
}

// A delivery counts for every event of its range, and the newest end of a push is what is kept.
func TestDeliveries(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	require.NoError(t, models.RecordDelivery(db, "oa.example.com", 5, 7, 5, "no answer"))
	require.NoError(t, models.RecordDelivery(db, "oa.example.com", 5, 7, 1, ""))
	require.NoError(t, models.RecordDelivery(db, "og.example.com", 6, 6, 2, "refused"))
	for position, want := range map[int64][]string{4: nil, 5: {"oa.example.com"}, 6: {"oa.example.com", "og.example.com"}, 7: {"oa.example.com"}, 8: nil} {
		got, err := models.DeliveriesOf(db, position, 10)
		require.NoError(t, err)
		var peers []string
		for _, d := range got {
			peers = append(peers, d.Peer)
			require.NotNil(t, d.EndedAt)
		}
		require.Equal(t, want, peers, "%d", position)
	}
	got, err := models.DeliveriesOf(db, 5, 10)
	require.NoError(t, err)
	require.Empty(t, got[0].Error)
	require.Equal(t, 1, got[0].Attempts)
}

// A version is served for the first time once, whoever else reports it; and nobody waits for a row that somebody has.
func TestServed(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	merge(t, db, add(t, "example.com/a", "v1.0.0", "a", now()), add(t, "example.com/b", "v1.0.0", "a", now()), say(protocol.KindDelete, "example.com/c", "v1.0.0"))
	first := time.Now().UTC().Truncate(time.Microsecond)
	served := func(at time.Time, paths ...string) (done []string) {
		var batch []models.Served
		for _, path := range paths {
			batch = append(batch, models.Served{Module: path, Version: "v1.0.0", At: at})
		}
		recorded, err := models.RecordServed(db, batch)
		require.NoError(t, err)
		for _, v := range recorded {
			done = append(done, v.Module)
		}
		return done
	}
	holding, err := db.NewTransaction()
	require.NoError(t, err)
	require.NoError(t, holding.RawQuery("UPDATE versions SET scrubbed_at = now() WHERE module = 'example.com/b'").Exec())
	require.Equal(t, []string{"example.com/a"}, served(first, "example.com/a", "example.com/b", "example.com/nowhere"))
	require.NoError(t, holding.TX.Commit())
	require.Equal(t, []string{"example.com/b"}, served(first.Add(time.Second), "example.com/a", "example.com/b"))
	for path, want := range map[string]time.Time{"example.com/a": first, "example.com/b": first.Add(time.Second)} {
		life, err := models.LifeOf(db, path, "v1.0.0")
		require.NoError(t, err)
		require.True(t, want.Equal(*life.ServedAt), path)
	}
}
