package federation

import (
	"errors"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
	"olympus/models"
)

// Whoever claims an abandoned fill while another gives it up for good gets a claim that lasts: it would be refused when it records what
// it answers otherwise.
func TestCrashClaim(t *testing.T) {
	t.Parallel()
	const patience = time.Minute
	url := testdb.URL(t)
	db, other := testdb.Open(t, url), testdb.Open(t, url)
	require.NoError(t, models.Beat(db, "alive", "all", "host"))
	_, claimed, err := models.ClaimFill(db, mx.Path, mx.Version, "dead", patience)
	require.NoError(t, err)
	require.True(t, claimed)

	done := make(chan error, 1)
	require.NoError(t, db.Transaction(func(tx *pop.Connection) error {
		abandoned, err := models.AbandonedFills(tx, patience, 10)
		require.NoError(t, err)
		require.Len(t, abandoned, 1)
		go func() {
			_, claimed, err := models.ClaimFill(other, mx.Path, mx.Version, "alive", patience)
			if !claimed && err == nil {
				err = errors.New("not claimed")
			}
			done <- err
		}()
		eventually(t, "the claim has been made, or waits", func() bool {
			n, err := db.RawQuery("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").ExecWithCount()
			return err == nil && n > 0 || len(done) > 0
		})
		return models.EndFill(tx, mx.Path, mx.Version)
	}))
	require.NoError(t, awaitFrom(t, "the claim", done))
	require.NoError(t, models.RecordFill(db, mx.Path, mx.Version, "alive", mx.Info(), mx.Mod()))
}
