package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrPooler: between us and Postgres stands a pooler that gives each transaction any of its connections. What belongs to a session does
// not survive that: LISTEN, by which processes hear of events and jobs, locks of a session, limits, and prepared statements.
var ErrPooler = errors.New("a connection pooler in transaction or statement mode stands between, and LISTEN and session locks do not work through it: " +
	"connect to Postgres directly, or set the pooler to session mode (PgBouncer: pool_mode = session)")

// poolerRounds is how often it is looked for sessions that share a connection. Others may use the pooler at the same time, so that
// once is not sure to show it.
const poolerRounds = 20

// CheckPooler returns ErrPooler if a pooler takes the sessions at a URL apart. One in session mode is fine.
func CheckPooler(ctx context.Context, url string) error {
	first, err := connectSimply(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = first.Close(context.WithoutCancel(ctx)) }()
	backend, err := backendOf(ctx, first)
	if err != nil {
		return err
	}
	// Postgres tells a client which backend it has. A pooler tells something of its own making, for it has none for it yet.
	if backend == first.PID() {
		return nil
	}
	second, err := connectSimply(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = second.Close(context.WithoutCancel(ctx)) }()
	for range poolerRounds {
		// While the first is idle, the second keeps a backend for itself. In session mode that is another one, and the first keeps its own.
		if _, err := second.Exec(ctx, "BEGIN").ReadAll(); err != nil {
			return refusedBy(err) // in statement mode there are no transactions
		}
		others, err := backendOf(ctx, second)
		if err != nil {
			return refusedBy(err)
		}
		again := backend
		if others != backend {
			if again, err = backendOf(ctx, first); err != nil {
				return err
			}
		}
		if others == backend || again != backend {
			return ErrPooler
		}
		if _, err := second.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

func refusedBy(err error) error {
	if _, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("%w (it says: %w)", ErrPooler, err)
	}
	return err
}

// connectSimply connects without setting anything.
func connectSimply(ctx context.Context, url string) (*pgconn.PgConn, error) {
	conn, err := Connect(ctx, url, Unlimited)
	if err != nil {
		return nil, err
	}
	return conn.PgConn(), nil
}

// backendOf asks which backend answers, by the simple protocol, which prepares nothing.
func backendOf(ctx context.Context, conn *pgconn.PgConn) (uint32, error) {
	results, err := conn.Exec(ctx, "SELECT pg_backend_pid()").ReadAll()
	if err != nil {
		return 0, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return 0, fmt.Errorf("which backend answers: %w", pgx.ErrNoRows)
	}
	pid, err := strconv.ParseUint(string(results[0].Rows[0][0]), 10, 32)
	return uint32(pid), err
}
