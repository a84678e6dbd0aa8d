package config

import (
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/postgres"
)

func databaseYML(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open("../database.yml")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

func TestOpenDatabase(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, TestDatabaseURL(), "TEST_DATABASE_URL: make test starts a Postgres and sets it")
	for _, env := range []string{Development, Test, Production} {
		c := &Config{Env: env, DatabaseURL: TestDatabaseURL()}
		db, err := c.OpenDatabase(databaseYML(t), postgres.Serving)
		require.NoError(t, err)
		details := db.Dialect.Details()
		require.Equal(t, []any{20, 10, 5 * time.Minute}, []any{details.Pool, details.IdlePool, details.ConnMaxIdleTime})
		require.Equal(t, c.DatabaseURL, db.URL())
		require.NoError(t, db.Close())
	}
	// database.yml finds the database of the tests by itself.
	db, err := (&Config{Env: Test}).OpenDatabase(databaseYML(t), postgres.Serving)
	require.NoError(t, err)
	require.Equal(t, TestDatabaseURL(), db.URL())
	require.NoError(t, db.Close())
}

// The database may start at the same moment as we do.
func TestOpenDatabaseWaits(t *testing.T) {
	t.Parallel()
	late, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := late.Addr().String()
	require.NoError(t, late.Close())
	u, err := url.Parse(TestDatabaseURL())
	require.NoError(t, err)
	server := u.Host
	u.Host = address

	listening := make(chan net.Listener, 1)
	time.AfterFunc(3*databaseRetry, func() {
		l, err := net.Listen("tcp", address)
		listening <- l
		for err == nil {
			var client net.Conn
			if client, err = l.Accept(); err == nil {
				go forward(client, server)
			}
		}
	})
	db, err := (&Config{Env: Test, DatabaseURL: u.String()}).OpenDatabase(databaseYML(t), postgres.Serving)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.NoError(t, (<-listening).Close())
}

func forward(client net.Conn, server string) {
	defer client.Close()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	go func() {
		defer upstream.Close()
		_, _ = io.Copy(upstream, client)
	}()
	_, _ = io.Copy(client, upstream)
}

func TestOpenDatabaseFails(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never says a word
	require.NoError(t, err)
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	missing, err := url.Parse(TestDatabaseURL())
	require.NoError(t, err)
	missing.Path = "/nowhere"

	for name, tc := range map[string]struct {
		config Config
		yml    string
		want   string
		within time.Duration
	}{
		"nobody listens": {
			Config{Env: Test, DatabaseURL: "postgres://u:hunter2@" + closed.Addr().String() + "/x"}, "",
			"cannot reach database " + closed.Addr().String() + "/x: ", 10 * time.Second,
		},
		"nobody answers": {
			Config{Env: Test, DatabaseURL: "postgres://u:hunter2@" + silent.Addr().String() + "/x"}, "",
			"cannot reach database " + silent.Addr().String() + "/x: ", 10 * time.Second,
		},
		"no such database": {
			Config{Env: Test, DatabaseURL: missing.String()}, "",
			`database "nowhere" does not exist`, time.Second, // refused is refused: no waiting
		},
		"environment without a connection": {Config{Env: "staging"}, "", "read database.yml: no connection for staging", time.Second},
		"broken file":                      {Config{Env: Test}, "test: [", "read database.yml: ", time.Second},
		"broken template":                  {Config{Env: Test}, "{{ nonsense }}", "read database.yml: ", time.Second},
		"broken URL":                       {Config{Env: Test}, "test:\n  url: postgres://u:hunter2@host:port/x", "open database: ", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			start := time.Now()
			if tc.yml == "" {
				_, err = tc.config.openDatabase(databaseYML(t), postgres.Serving, 2*time.Second)
			} else {
				_, err = tc.config.openDatabase(strings.NewReader(tc.yml), postgres.Serving, 2*time.Second)
			}
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "\n")
			require.Less(t, time.Since(start), tc.within)
		})
	}
}
