package models_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"olympus/internal/postgres"
	"olympus/models"
)

func TestIsUnavailable(t *testing.T) {
	t.Parallel()
	code := func(code string) error { return fmt.Errorf("read: %w", &pgconn.PgError{Code: code}) }
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"connection failure":                   {code("08006"), true},
		"a standby":                            {code("25006"), true},
		"transaction that stood still":         {code("25P03"), true},
		"transaction that took too long":       {code("25P04"), true},
		"serialization failure":                {code("40001"), true},
		"deadlock":                             {code("40P01"), true},
		"disk full":                            {code("53100"), true},
		"too many connections":                 {code("53300"), true},
		"lock timeout":                         {code("55P03"), true},
		"statement timeout":                    {code("57014"), true},
		"stopped by its administrator":         {code("57P01"), true},
		"transaction ended under our hands":    {fmt.Errorf("commit: %w", sql.ErrTxDone), true},
		"no answer in time":                    {fmt.Errorf("read: %w", postgres.ErrSlow), true},
		"a constraint":                         {code("23505"), false},
		"a syntax error":                       {code("42601"), false},
		"in a transaction that failed already": {code("25P02"), false},
		"not found":                            {models.ErrNotFound, false},
		"the time of who asks":                 {context.DeadlineExceeded, false},
		"something else":                       {errors.New("something else"), false},
		"nothing":                              {nil, false},
	} {
		require.Equal(t, tc.want, models.IsUnavailable(tc.err), name)
	}
}
