package actions

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
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
		{fmt.Errorf("stage a download: %w", &fs.PathError{Op: "open", Path: "/srv/secret", Err: fs.ErrPermission}), "stage a download: open a file of this deployment: permission denied"},
		{
			&statusError{http.StatusInternalServerError, "no zip: open /srv/secret: permission denied", &fs.PathError{Op: "open", Path: "/srv/secret", Err: fs.ErrPermission}},
			"no zip: open a file of this deployment: permission denied",
		},
		{fmt.Errorf("read a version: %w", &net.OpError{Op: "read", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, Err: io.ErrUnexpectedEOF}), "the database does not answer"},
		{fmt.Errorf("read a version: %w", &pgconn.PgError{Code: "57P01", Message: "terminating connection due to unexpected postmaster exit"}), "the database does not answer"},
		{fmt.Errorf("read a version: %w", &pgconn.PgError{Code: "23505", Message: "no such luck"}), "read a version: : no such luck (SQLSTATE 23505)"},
		{fmt.Errorf("find a version: %w", &pgconn.ConnectError{Config: &pgconn.Config{Host: "db.internal"}}), "the database does not answer"},
	} {
		require.Equal(t, test.want, told(test.err))
	}
}
