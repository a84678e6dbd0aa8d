package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"olympus/config"
	"olympus/internal/postgres"
)

func open(t *testing.T, limits postgres.Limits, pool int, parameters string) *pop.Connection {
	t.Helper()
	db, err := postgres.Open(&pop.ConnectionDetails{URL: config.TestDatabaseURL() + parameters, Pool: pool, IdlePool: pool}, limits)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func codeOf(err error) string {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return ""
	}
	return refused.Code
}

// Every connection has the limits, those of later on too; what the URL says is left alone, and tasks have none.
func TestLimits(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, config.TestDatabaseURL(), "TEST_DATABASE_URL: make test starts a Postgres and sets it")
	for name, tc := range map[string]struct {
		limits     postgres.Limits
		parameters string
		want       [3]string
	}{
		"serving":               {postgres.Serving, "", [3]string{"30s", "10s", "1min"}},
		"queue":                 {postgres.Queueing, "", [3]string{"90s", "90s", "1min"}},
		"tasks":                 {postgres.Unlimited, "", [3]string{"0", "0", "0"}},
		"chosen by an operator": {postgres.Serving, "&statement_timeout=7000", [3]string{"7s", "10s", "1min"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, tc.limits, 3, tc.parameters)
			held := make([]*pop.Connection, 3)
			for i := range held {
				var err error
				held[i], err = db.NewTransaction()
				require.NoError(t, err)
				defer func() { _ = held[i].TX.Rollback() }()
				var row struct {
					Statement string `db:"statement"`
					Lock      string `db:"lock"`
					Idle      string `db:"idle"`
				}
				require.NoError(t, held[i].RawQuery(`SELECT current_setting('statement_timeout') AS statement,
					current_setting('lock_timeout') AS lock, current_setting('idle_in_transaction_session_timeout') AS idle`).First(&row))
				require.Equal(t, tc.want, [3]string{row.Statement, row.Lock, row.Idle})
			}
			require.Equal(t, config.TestDatabaseURL()+tc.parameters, db.URL())
		})
	}
}

// What takes too long is ended, and the connections are good for others afterwards.
func TestTooLong(t *testing.T) {
	t.Parallel()
	const soon = 100 * time.Millisecond
	for name, tc := range map[string]struct {
		limits postgres.Limits
		ask    func(ctx context.Context, db *pop.Connection) error
		code   string // of Postgres; empty: it is we who gave up
	}{
		"a statement": {postgres.Limits{Statement: soon}, func(ctx context.Context, db *pop.Connection) error {
			return db.WithContext(ctx).RawQuery("SELECT pg_sleep(60)").Exec()
		}, "57014"},
		"a statement of which nothing is heard": {postgres.Limits{Wait: soon}, func(ctx context.Context, db *pop.Connection) error {
			return db.WithContext(ctx).RawQuery("SELECT pg_sleep(60)").Exec()
		}, ""},
		"a statement without a context": {postgres.Limits{Wait: soon}, func(_ context.Context, db *pop.Connection) error {
			return db.RawQuery("SELECT pg_sleep(60)").Exec()
		}, ""},
		"a row": {postgres.Limits{Wait: soon}, func(ctx context.Context, db *pop.Connection) error {
			var row struct {
				A string `db:"a"`
			}
			return db.WithContext(ctx).RawQuery("SELECT pg_sleep(60)::text AS a").First(&row)
		}, ""},
		"rows": {postgres.Limits{Wait: soon}, func(ctx context.Context, db *pop.Connection) error {
			var rows []struct {
				A string `db:"a"`
			}
			return db.WithContext(ctx).RawQuery("SELECT pg_sleep(60)::text AS a").All(&rows)
		}, ""},
		"all statements of a request": {postgres.Limits{Wait: time.Hour}, func(ctx context.Context, db *pop.Connection) (err error) {
			db = db.WithContext(postgres.Impatient(ctx, 10*soon))
			for err == nil { // each for itself is quick enough
				err = db.RawQuery("SELECT pg_sleep(0.1)").Exec()
			}
			return err
		}, ""},
		"a transaction of a request": {postgres.Limits{Wait: time.Hour}, func(ctx context.Context, db *pop.Connection) error {
			return postgres.Transaction(postgres.Impatient(ctx, soon), db, func(tx *pop.Connection) error {
				return tx.RawQuery("SELECT pg_sleep(60)").Exec()
			})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, tc.limits, 1, "")
			err := tc.ask(t.Context(), db)
			require.Error(t, err)
			require.Equal(t, tc.code, codeOf(err))
			require.Equal(t, tc.code == "", errors.Is(err, postgres.ErrSlow), "%v", err)
			require.NotErrorIs(t, err, context.DeadlineExceeded, "it is not the time of who asks that is over")
			require.NoError(t, db.WithContext(postgres.Impatient(t.Context(), time.Minute)).RawQuery("SELECT 1").Exec())
		})
	}
}

// When no connection comes free, nobody waits for one longer than for an answer.
func TestNoConnection(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Limits{Wait: time.Second}, 1, "")
	held, err := db.NewTransaction()
	require.NoError(t, err)
	require.ErrorIs(t, db.RawQuery("SELECT 1").Exec(), postgres.ErrSlow)
	_, err = db.NewTransaction()
	require.ErrorIs(t, err, postgres.ErrSlow)
	impatient := postgres.Impatient(t.Context(), time.Millisecond)
	nothing := func(*pop.Connection) error { return nil }
	require.ErrorIs(t, postgres.Transaction(impatient, db, nothing), postgres.ErrSlow)
	require.ErrorIs(t, db.WithContext(impatient).RawQuery("SELECT 1").Exec(), postgres.ErrSlow, "its time is over for good")
	require.NoError(t, held.TX.Rollback())
	require.NoError(t, db.WithContext(postgres.Impatient(t.Context(), time.Minute)).RawQuery("SELECT 1").Exec())
	require.NoError(t, postgres.Transaction(t.Context(), db, nothing))
}

// Whose own time is over is told so, and who waits for his turn is impatient as well.
func TestWhoseTime(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Serving, 1, "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := db.WithContext(ctx).RawQuery("SELECT pg_sleep(60)").Exec()
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, postgres.ErrSlow)

	room := make(chan struct{}, 1)
	require.NoError(t, postgres.Enter(t.Context(), room))
	require.ErrorIs(t, postgres.Enter(postgres.Impatient(t.Context(), time.Millisecond), room), postgres.ErrSlow)
	require.ErrorIs(t, postgres.Enter(ctx, room), context.DeadlineExceeded)
	<-room
	require.NoError(t, postgres.Enter(t.Context(), room))
}
