package actions

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// Why the database was not asked stands in the log, which does not grow with the requests that find it gone.
func TestOutageIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	app := &App{Log: slog.New(slog.NewTextHandler(&log, nil)), outages: newOutages()}
	for range 200 {
		w := httptest.NewRecorder()
		app.fail(w, httptest.NewRequest(http.MethodGet, "/eventlog?after=20", nil), fmt.Errorf("read the head: %w", &pgconn.PgError{Code: "53300", Message: "sorry, too many clients already"}))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.NotContains(t, w.Body.String(), "clients")
	}
	require.Contains(t, log.String(), "too many clients already")
	require.Contains(t, log.String(), "/eventlog")
	require.Less(t, strings.Count(log.String(), "\n"), 100)
}

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
