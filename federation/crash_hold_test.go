package federation

import (
	"context"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"olympus/config"
	"olympus/internal/testmod"
)

// holding is a lock on a connection of the test's own, at which a process is held up.
type holding struct {
	site *site
	conn *pgx.Conn
	tx   pgx.Tx
}

// hold takes the locks of a statement until release.
func (s *site) hold(statement string, args ...any) *holding {
	s.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.database)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close(ctx) })
	tx, err := conn.Begin(ctx)
	require.NoError(s.t, err)
	tag, err := tx.Exec(ctx, statement, args...)
	require.NoError(s.t, err)
	require.True(s.t, tag.RowsAffected() > 0 || strings.HasPrefix(statement, "LOCK"), "nothing was locked")
	return &holding{s, conn, tx}
}

// holdHead keeps everybody from appending to the log.
func (s *site) holdHead() *holding {
	s.t.Helper()
	return s.hold("SELECT head FROM event_log FOR UPDATE")
}

// holdVersion keeps everybody from changing the row of a version.
func (s *site) holdVersion(m testmod.Module) *holding {
	s.t.Helper()
	return s.hold("SELECT 1 FROM versions WHERE module = $1 AND version = $2 FOR UPDATE", m.Path, m.Version)
}

// awaitBlocked waits until somebody with a statement like the pattern waits for what is held.
func (h *holding) awaitBlocked(pattern string) {
	h.site.t.Helper()
	eventually(h.site.t, "a statement waits for the lock", func() bool {
		return h.site.count(`SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND ? = ANY (pg_blocking_pids(pid)) AND query ~ ?`, h.conn.PgConn().PID(), pattern) > 0
	})
}

func (h *holding) release() {
	h.site.t.Helper()
	require.NoError(h.site.t, h.tx.Rollback(context.Background()))
}

// outage takes the database away: from everybody, and last from who holds a lock, if anybody does.
func (s *site) outage(h *holding) (over func() error) {
	s.t.Helper()
	u, err := url.Parse(s.database)
	require.NoError(s.t, err)
	name := strings.TrimPrefix(u.Path, "/")
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, config.TestDatabaseURL())
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close(ctx) })
	holder := uint32(0)
	if h != nil {
		holder = h.conn.PgConn().PID()
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	require.NoError(s.t, err)
	for _, except := range []uint32{holder, 0} {
		_, err = conn.Exec(ctx, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND pid <> $2", name, except)
		require.NoError(s.t, err)
	}
	return func() error {
		_, err := conn.Exec(ctx, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
		return err
	}
}
