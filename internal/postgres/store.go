package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/jmoiron/sqlx"
)

// ErrSlow: the database did not answer in the time that there was for it. It may later.
var ErrSlow = errors.New("the database takes too long")

// store is what pop asks the database through. It gives up what takes too long.
type store struct {
	*sqlx.DB
	wait time.Duration // see Limits
}

// budget is the time that is left for the database.
type budget struct{ left atomic.Int64 }

type budgetKey struct{}

// Impatient returns a context under which the database is waited for no longer than total, all statements together and the waiting for
// connections included; after that they fail with ErrSlow. Whatever else is done under it may take longer.
func Impatient(ctx context.Context, total time.Duration) context.Context {
	b := &budget{}
	b.left.Store(int64(total))
	return context.WithValue(ctx, budgetKey{}, b)
}

// within runs f under a context that ends when the time for the database is over.
func within(ctx context.Context, limit time.Duration, f func(ctx context.Context) error) error {
	b, limited := ctx.Value(budgetKey{}).(*budget)
	if limited {
		limit = time.Duration(b.left.Load())
	} else if limit == 0 {
		return f(ctx)
	}
	if limit <= 0 {
		return ErrSlow
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	err := f(bounded)
	if limited {
		b.left.Add(-int64(time.Since(began)))
	}
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %v", ErrSlow, err) // not wrapped: it is not the caller's time that is over
	}
	return err
}

// Enter waits until there is room in a channel, no longer than ctx has patience for the database: what it guards is asking it.
func Enter(ctx context.Context, room chan<- struct{}) error {
	return within(ctx, 0, func(ctx context.Context) error {
		select {
		case room <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// Transaction runs f in a transaction that takes no longer than ctx has patience for the database.
func Transaction(ctx context.Context, db *pop.Connection, f func(tx *pop.Connection) error) error {
	return within(ctx, 0, func(bounded context.Context) error {
		// What f asks is not to be counted a second time.
		return db.WithContext(context.WithValue(bounded, budgetKey{}, nil)).Transaction(f)
	})
}

func (s *store) SelectContext(ctx context.Context, dest any, query string, args ...any) error {
	return within(ctx, s.wait, func(ctx context.Context) error { return s.DB.SelectContext(ctx, dest, query, args...) })
}

func (s *store) GetContext(ctx context.Context, dest any, query string, args ...any) error {
	return within(ctx, s.wait, func(ctx context.Context) error { return s.DB.GetContext(ctx, dest, query, args...) })
}

func (s *store) ExecContext(ctx context.Context, query string, args ...any) (result sql.Result, err error) {
	err = within(ctx, s.wait, func(ctx context.Context) error {
		result, err = s.DB.ExecContext(ctx, query, args...)
		return err
	})
	return result, err
}

// Exec is for those who ask without a context.
func (s *store) Exec(query string, args ...any) (sql.Result, error) {
	return s.ExecContext(context.Background(), query, args...)
}

// TransactionContextOptions begins a transaction, which ends with ctx. Only its beginning is bounded here.
func (s *store) TransactionContextOptions(ctx context.Context, options *sql.TxOptions) (*pop.Tx, error) {
	begun, giveUp := context.WithCancel(ctx) // once begun, it needs its context to the end
	timer := time.AfterFunc(cmp.Or(s.wait, math.MaxInt64), giveUp)
	tx, err := s.BeginTxx(begun, options)
	if !timer.Stop() && ctx.Err() == nil {
		if err == nil {
			_ = tx.Rollback()
		}
		return nil, fmt.Errorf("begin a transaction: %w", ErrSlow)
	}
	if err != nil {
		giveUp()
		return nil, fmt.Errorf("begin a transaction: %w", err)
	}
	return &pop.Tx{Tx: tx, ID: rand.Int()}, nil
}

// TransactionContext begins a transaction with the usual options.
func (s *store) TransactionContext(ctx context.Context) (*pop.Tx, error) {
	return s.TransactionContextOptions(ctx, nil)
}

// Transaction begins a transaction that no context ends.
func (s *store) Transaction() (*pop.Tx, error) {
	return s.TransactionContextOptions(context.Background(), nil)
}

// Commit and Rollback are for transactions; here there is none.
func (s *store) Commit() error { return nil }

// Rollback does nothing: see Commit.
func (s *store) Rollback() error { return nil }
