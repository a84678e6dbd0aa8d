package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
)

// A task is seen to live for as long as it runs, and not any longer.
func TestTaskBeats(t *testing.T) {
	t.Parallel()
	settings := testSettings(t)
	db := testdb.Open(t, settings.DatabaseURL)
	d, err := openDeployment(t.Context(), settings, roleTask, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Zero(t, count(t, db, "SELECT count(*) AS n FROM processes"))
	require.NoError(t, d.join(t.Context(), d.beat))
	require.Equal(t, 1, count(t, db, "SELECT count(*) AS n FROM processes WHERE role = 'task'"))
	require.Eventually(t, func() bool {
		return count(t, db, "SELECT count(*) AS n FROM processes WHERE seen_at > started_at") == 1
	}, 3*beatInterval, 50*time.Millisecond)
	require.NoError(t, d.Close())
	require.Zero(t, count(t, db, "SELECT count(*) AS n FROM processes"))
}

// What was opened by the time of a failure is closed again.
func TestOpenDeploymentCleansUp(t *testing.T) {
	t.Parallel()
	settings := testSettings(t)
	settings.Upstream = "ftp://x"
	_, err := openDeployment(t.Context(), settings, roleTask, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "list of proxies")
	db := testdb.Open(t, settings.DatabaseURL)
	require.Eventually(t, func() bool {
		return count(t, db, "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()") == 0
	}, 10*time.Second, 20*time.Millisecond, "connections are left open")
}
