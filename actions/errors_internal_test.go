package actions

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// Clients are told what went wrong in one line, and not where our files and our database are.
func TestTold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.New("no such thing\r\nSet-Cookie: x"), "no such thing; Set-Cookie: x"},
		{fmt.Errorf("stage a download: %w", &fs.PathError{Op: "open", Path: "/srv/secret", Err: fs.ErrPermission}), "open a file of this deployment: permission denied"},
		{fmt.Errorf("find a version: %w", &pgconn.ConnectError{Config: &pgconn.Config{Host: "db.internal"}}), "the database does not answer"},
	} {
		require.Equal(t, test.want, told(test.err))
	}
}
