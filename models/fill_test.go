package models_test

import (
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
	"olympus/models"
)

// However often somebody asks meanwhile, the next attempt comes when it was to come: only those that were due count.
func TestFailFill(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	require.NoError(t, models.Beat(db, "p1", "web", "here"))
	fails := func(reason string, retryIn time.Duration) *models.Fill {
		_, claimed, err := models.ClaimFill(db, "example.com/m", "v1.0.0", "p1", time.Minute)
		require.NoError(t, err)
		require.True(t, claimed)
		require.NoError(t, models.FailFill(db, "example.com/m", "v1.0.0", "p1", reason, retryIn))
		f, err := models.FindFill(db, "example.com/m", "v1.0.0")
		require.NoError(t, err)
		require.Equal(t, reason, f.Error)
		return f
	}
	_, claimed, err := models.ClaimFill(db, "example.com/m", "v1.0.0", "p1", time.Minute)
	require.NoError(t, err)
	require.True(t, claimed)
	require.NoError(t, models.RecordFill(db, "example.com/m", "v1.0.0", "p1", "{}", "module example.com/m\n"))

	first := fails("no room", time.Minute)
	require.Equal(t, 1, first.Attempts)
	require.WithinDuration(t, now().Add(time.Minute), first.DueAt, 30*time.Second)
	for range 3 {
		again := fails("still no room", time.Hour)
		require.Equal(t, 1, again.Attempts)
		require.Equal(t, first.DueAt, again.DueAt)
	}
	require.NoError(t, models.WakeWaiting(db))
	second := fails("no room yet", time.Hour)
	require.Equal(t, 2, second.Attempts)
	require.WithinDuration(t, now().Add(time.Hour), second.DueAt, 30*time.Second)

	// With nothing recorded there is nothing to try again.
	_, claimed, err = models.ClaimFill(db, "example.com/n", "v1.0.0", "p1", time.Minute)
	require.NoError(t, err)
	require.True(t, claimed)
	require.NoError(t, models.FailFill(db, "example.com/n", "v1.0.0", "p1", "no answer", time.Hour))
	_, err = models.FindFill(db, "example.com/n", "v1.0.0")
	require.ErrorIs(t, err, models.ErrNotFound)
}

// What was left by however many is done by one, and left again if that fails.
func TestLeftChore(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	finish := func() (left bool) {
		require.NoError(t, db.Transaction(func(tx *pop.Connection) (err error) {
			left, err = models.FinishChore(tx, "sweep")
			return err
		}))
		return left
	}
	require.False(t, finish())
	for range 2 {
		require.NoError(t, models.LeaveChore(db, "sweep"))
	}
	require.ErrorIs(t, db.Transaction(func(tx *pop.Connection) error {
		left, err := models.FinishChore(tx, "sweep")
		require.NoError(t, err)
		require.True(t, left)
		return models.ErrNotFound
	}), models.ErrNotFound)
	require.True(t, finish())
	require.False(t, finish())
}
