package models_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
	"olympus/models"
)

// Postgres keeps since when a peer's log is ahead, whoever moves pointer or head.
func TestBehindSince(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	exec := func(statement string) {
		t.Helper()
		require.NoError(t, db.RawQuery(statement).Exec())
	}
	find := func() *models.Peer {
		t.Helper()
		p, err := models.FindPeer(db, "om.example.com")
		require.NoError(t, err)
		return p
	}
	require.NoError(t, models.SavePeer(db, "om.example.com", "https://om.example.com", peerKey))
	require.Nil(t, find().BehindSince)
	moved, err := models.MovePullPointer(db, find(), 0, 5, 9)
	require.NoError(t, err)
	require.True(t, moved)
	since := find().BehindSince
	require.NotNil(t, since)
	require.InDelta(t, 60, find().LagTime(since.Add(time.Minute)).Seconds(), 0.001)
	require.NoError(t, models.RecordPeerHead(db, find(), 0, 90), "the pointer is elsewhere by now")
	require.NoError(t, models.RecordPeerHead(db, find(), 5, 8), "an older page")
	require.EqualValues(t, 9, find().Head)
	require.NoError(t, models.RecordPeerHead(db, find(), 5, 11))
	require.EqualValues(t, 11, find().Head)
	require.Equal(t, since, find().BehindSince)
	moved, err = models.MovePullPointer(db, find(), 5, 7, 12)
	require.NoError(t, err)
	require.True(t, moved)
	require.Equal(t, since, find().BehindSince, "it has been behind all the time")
	moved, err = models.MovePullPointer(db, find(), 7, 12, 12)
	require.NoError(t, err)
	require.True(t, moved)
	require.Nil(t, find().BehindSince)
	require.Zero(t, find().LagTime(time.Now()))
	require.NoError(t, models.RewindPullPointer(db, "om.example.com", 3))
	require.NotNil(t, find().BehindSince, "its log is to be taken again")
	exec(`UPDATE peers SET behind_since = now() - interval '1 hour'`)
	require.Greater(t, find().LagTime(time.Now()), 59*time.Minute)
	require.NoError(t, models.SavePeer(db, "om.example.com", "https://om.example.com", otherKey))
	require.Nil(t, find().BehindSince, "another log, of which nothing has been seen")
}

// However many processes take samples, there is one a minute, and none older than a day and an hour.
func TestLagSamples(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	exec := func(statement string) {
		t.Helper()
		require.NoError(t, db.RawQuery(statement).Exec())
	}
	for _, name := range []string{"om.example.com", "og.example.com", "ob.example.com"} {
		require.NoError(t, models.SavePeer(db, name, "https://"+name, name+"+aaaaaaaa+AAAA"))
	}
	require.NoError(t, models.SetPeerState(db, "ob.example.com", models.PeerRemoved))
	exec(`UPDATE peers SET head = 40, behind_since = now() - interval '90 seconds' WHERE name = 'om.example.com'`)
	exec(`INSERT INTO lag_samples SELECT date_trunc('minute', now()) - n * interval '1 minute', 'om.example.com', n, n * 60
		FROM generate_series(1, 3000) n WHERE n NOT BETWEEN 60 AND 125`)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := models.SampleLag(db); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var row struct {
		N    int `db:"n"`
		Most int `db:"most"`
		Old  int `db:"old"`
	}
	require.NoError(t, db.RawQuery(`SELECT count(*)::int AS n, max(per)::int AS most, (SELECT count(*)::int FROM lag_samples WHERE time < now() - interval '25 hours 1 minute') AS old
		FROM (SELECT count(*) AS per FROM lag_samples GROUP BY peer, time) minutes`).First(&row))
	require.Equal(t, 1, row.Most)
	require.Zero(t, row.Old)
	require.InDelta(t, 1500-66+2, row.N, 4, "og and om now, and what was there of om")

	samples, err := models.LagOfDay(db, "om.example.com", 5*time.Minute)
	require.NoError(t, err)
	require.InDelta(t, 288-13, len(samples), 2, "the hour without samples is a gap")
	last := samples[len(samples)-1]
	require.InDelta(t, 287, last.Step, 1)
	require.GreaterOrEqual(t, last.Lag, int64(4))
	require.InDelta(t, 1440, samples[0].Lag, 3)
	require.InDelta(t, 1440*60, samples[0].Seconds, 180)
	both, err := models.LagOfDay(db, "", 30*time.Minute)
	require.NoError(t, err)
	require.Equal(t, "og.example.com", both[0].Peer)
	require.Equal(t, int64(0), both[0].Lag)
	for _, sample := range both {
		require.NotEqual(t, "ob.example.com", sample.Peer, "it was removed")
	}

	lag, ago, err := models.LagBefore(db, "om.example.com", 10*time.Minute)
	require.NoError(t, err)
	require.InDelta(t, 10, lag, 1)
	require.InDelta(t, 600, ago.Seconds(), 61)
	_, _, err = models.LagBefore(db, "ob.example.com", 10*time.Minute)
	require.ErrorIs(t, err, models.ErrNotFound)
}
