package models_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
	"olympus/models"
)

// Upstream's answers add up, and one process at a time asks for them.
func TestUpstreamList(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const module = "example.com/m"
	take := func(process string, ttl time.Duration) bool {
		taken, err := models.TakeUpstreamList(db, module, process, ttl, time.Minute)
		require.NoError(t, err)
		return taken
	}
	find := func() *models.UpstreamList {
		list, err := models.FindUpstreamList(db, module)
		require.NoError(t, err)
		return list
	}
	require.NoError(t, models.Beat(db, "p", "all", "host"))
	_, err := models.FindUpstreamList(db, module)
	require.ErrorIs(t, err, models.ErrNotFound)
	require.True(t, take("p", time.Hour))
	require.False(t, take("q", time.Hour), "p lives and is asking")
	require.Nil(t, find().AnsweredAt)
	require.Empty(t, find().Versions)

	require.NoError(t, models.SaveUpstreamList(db, module, []string{"v1.0.0", "v1.1.0"}, true, ""))
	require.False(t, take("q", time.Hour), "the answer is fresh")
	list := find()
	require.ElementsMatch(t, []string{"v1.0.0", "v1.1.0"}, list.Versions)
	require.True(t, list.Found)
	require.NotNil(t, list.AnsweredAt)

	require.True(t, take("q", 0))
	require.NoError(t, models.SaveUpstreamList(db, module, nil, false, "v0.0.0-20200101000000-aaaaaaaaaaaa"))
	list = find()
	require.ElementsMatch(t, []string{"v1.0.0", "v1.1.0"}, list.Versions, "nothing is forgotten")
	require.True(t, list.Found)
	require.Equal(t, "v0.0.0-20200101000000-aaaaaaaaaaaa", list.Latest)

	require.NoError(t, models.FailUpstreamList(db, module, "out of order", time.Hour, time.Minute))
	require.False(t, take("q", time.Hour), "too soon after a failure")
	require.Equal(t, "out of order", find().Error)
	require.ElementsMatch(t, []string{"v1.0.0", "v1.1.0"}, find().Versions)
	require.NoError(t, models.FailUpstreamList(db, module, "out of order", time.Hour, 0))
	require.True(t, take("q", time.Hour), "as soon as it may be asked again")
	require.Empty(t, find().Error)
}

// Names that nobody knows do not fill the database for ever; what upstream has known stays.
func TestForgetUnknownLists(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for module, found := range map[string]bool{"example.com/known": true, "example.com/unknown": false, "example.com/recent": false} {
		_, err := models.TakeUpstreamList(db, module, "p", time.Hour, time.Minute)
		require.NoError(t, err)
		require.NoError(t, models.SaveUpstreamList(db, module, nil, found, ""))
	}
	require.NoError(t, db.RawQuery(`UPDATE upstream_lists SET asked_at = now() - interval '11 minutes' WHERE module <> 'example.com/recent'`).Exec())
	require.NoError(t, models.ForgetUnknownLists(db, 10*time.Minute))
	for module, there := range map[string]bool{"example.com/known": true, "example.com/unknown": false, "example.com/recent": true} {
		_, err := models.FindUpstreamList(db, module)
		if there {
			require.NoError(t, err, module)
			continue
		}
		require.ErrorIs(t, err, models.ErrNotFound, module)
	}
}
