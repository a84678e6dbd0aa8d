// Package pgxtx reaches the pgx connection that lies under a pop transaction, for what database/sql cannot do: let River
// insert jobs in the same transaction.
//
// pop's transaction is database/sql over pgx's driver. A pgx.QueryRewriter passed as an argument is called with the very connection
// that the transaction runs on.
package pgxtx

import (
	"context"
	"errors"
	"fmt"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Do calls f with the connection of a pop transaction: a pgx.Tx whose Begin, Commit and Rollback fail, because pop owns the
// transaction. f must not use the pop transaction itself, nor keep the connection.
//
// f runs within what database/sql takes for a query. Outside of one, database/sql would feel free to roll back as soon as the context
// ends, on the connection that f is using.
func Do(ctx context.Context, tx *pop.Connection, f func(pgx.Tx) error) error {
	if tx.TX == nil {
		return errors.New("reach the database connection: not in a transaction")
	}
	r := reach{f: f}
	_, err := tx.TX.Tx.ExecContext(ctx, "-- reached the connection", &r)
	switch {
	case r.err != nil:
		return r.err
	case err != nil:
		return fmt.Errorf("reach the database connection: %w", err)
	}
	return nil
}

// reach is a query rewriter that does something else with the connection before the query.
type reach struct {
	f   func(pgx.Tx) error
	err error // of f
}

func (r *reach) RewriteQuery(_ context.Context, conn *pgx.Conn, query string, _ []any) (string, []any, error) {
	r.err = r.f(&borrowed{conn: conn})
	return query, nil, r.err
}

var errOwned = errors.New("this transaction is begun and ended by pop")

// borrowed is a pgx.Tx over a connection on which somebody else's transaction is open.
type borrowed struct{ conn *pgx.Conn }

func (b *borrowed) Begin(context.Context) (pgx.Tx, error) { return nil, errOwned }
func (b *borrowed) Commit(context.Context) error          { return errOwned }
func (b *borrowed) Rollback(context.Context) error        { return errOwned }
func (b *borrowed) Conn() *pgx.Conn                       { return b.conn }
func (b *borrowed) LargeObjects() pgx.LargeObjects        { return pgx.LargeObjects{} }

func (b *borrowed) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return b.conn.CopyFrom(ctx, table, columns, rows)
}

func (b *borrowed) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	return b.conn.SendBatch(ctx, batch)
}

func (b *borrowed) Prepare(ctx context.Context, name, query string) (*pgconn.StatementDescription, error) {
	return b.conn.Prepare(ctx, name, query)
}

func (b *borrowed) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	return b.conn.Exec(ctx, query, args...)
}

func (b *borrowed) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	return b.conn.Query(ctx, query, args...)
}

func (b *borrowed) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	return b.conn.QueryRow(ctx, query, args...)
}
