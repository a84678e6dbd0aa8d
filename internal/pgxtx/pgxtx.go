// Package pgxtx reaches the pgx connection that lies under a pop transaction, for what database/sql cannot do: COPY, and River's
// inserting of jobs in the same transaction.
//
// pop's transaction is database/sql over pgx's driver. A pgx.QueryRewriter passed as an argument is handed the very connection
// that the transaction runs on. What is returned belongs to the transaction: it must not be used after it, nor beside a
// query of it that is still being read.
package pgxtx

import (
	"context"
	"errors"
	"fmt"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// From returns the connection of a pop transaction as a pgx.Tx whose Begin, Commit and Rollback fail: pop owns the transaction.
func From(ctx context.Context, tx *pop.Connection) (pgx.Tx, error) {
	if tx.TX == nil {
		return nil, errors.New("reach the database connection: not in a transaction")
	}
	var r reach
	if _, err := tx.TX.Tx.ExecContext(ctx, "-- reach the connection", &r); err != nil {
		return nil, fmt.Errorf("reach the database connection: %w", err)
	}
	return &borrowed{conn: r.conn}, nil
}

// reach is a query rewriter that keeps the connection it is handed.
type reach struct{ conn *pgx.Conn }

func (r *reach) RewriteQuery(_ context.Context, conn *pgx.Conn, query string, _ []any) (string, []any, error) {
	r.conn = conn
	return query, nil, nil
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
