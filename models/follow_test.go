package models_test

import (
	"context"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/models"
)

// follow runs a follower of a database until the test ends.
func follow(t *testing.T, db *pop.Connection) *models.Follower {
	t.Helper()
	f := models.NewFollower()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { f.Run(ctx, db, func(error) {}); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	await(t, "it is connected", func() bool { _, connected := f.Head(); return connected })
	return f
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 40*time.Second, 10*time.Millisecond, what)
}

func appendDelete(t *testing.T, db *pop.Connection, version string) {
	t.Helper()
	require.NoError(t, db.Transaction(func(tx *pop.Connection) error {
		_, err := models.Merge(tx, []protocol.Event{{Kind: protocol.KindDelete, Module: "example.com/m", Version: version, Origin: "om.example.com", Time: time.Now().UTC()}})
		return err
	}))
}

// What was heard over one connection is not joined to what is heard over the next: that may lead to another database.
func TestFollowerConnectsAnew(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	f := follow(t, db)
	_, first, _ := f.Known()
	appendDelete(t, db, "v1.0.0")
	await(t, "the event is heard of", func() bool { head, _ := f.Head(); return head == 1 })
	_, generation, _ := f.Known()
	require.Equal(t, first, generation, "an event is no new generation")

	require.NoError(t, db.RawQuery("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT head FROM event_log' OR query LIKE 'LISTEN%' AND datname = current_database()").Exec())
	await(t, "it is connected anew", func() bool { _, generation, connected := f.Known(); return connected && generation > first })
	head, _, _ := f.Known()
	require.EqualValues(t, 1, head)
}

// A log that is shorter than it was is another: the follower begins anew, though its connection holds.
func TestFollowerOfAShorterLog(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	f := follow(t, db)
	_, first, _ := f.Known()
	appendDelete(t, db, "v1.0.0")
	await(t, "the event is heard of", func() bool { head, _ := f.Head(); return head == 1 })
	// As if this process had committed something to a database that another has taken over for since.
	f.Heard(5)
	head, connected := f.Head()
	require.True(t, connected)
	require.EqualValues(t, 5, head)
	await(t, "it finds out", func() bool {
		head, generation, connected := f.Known()
		return connected && head == 1 && generation > first
	})
}
