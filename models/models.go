// Package models is the state of a deployment in Postgres: the event log and what follows from it (module versions), peers
// and their pull pointers, fills and what upstream listed, processes, the audit trail.
//
// All SQL of the running product lives here, one file per noun. Functions take the connection or transaction they are given
// and never open one: jobs and actions decide what commits together. Nothing here knows HTTP, the queue or the blob store.
package models

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/gobuffalo/pop/v6"
)

// ErrNotFound is returned where a single row was asked for and there is none. It is not sql.ErrNoRows, which Buffalo would
// turn into a 404 wherever it surfaced.
var ErrNotFound = errors.New("not found")

// one runs a query for exactly one row; what says what is being read, for the error.
func one(tx *pop.Connection, into any, what, query string, args ...any) error {
	err := tx.RawQuery(query, args...).First(into)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// all runs a query for any number of rows into a pointer to a slice.
func all(tx *pop.Connection, into any, what, query string, args ...any) error {
	if err := tx.RawQuery(query, args...).All(into); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// exec runs a statement and returns the number of rows it touched.
func exec(tx *pop.Connection, what, statement string, args ...any) (int, error) {
	n, err := tx.RawQuery(statement, args...).ExecWithCount()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return n, nil
}
