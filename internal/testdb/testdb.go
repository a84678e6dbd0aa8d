// Package testdb gives each test a Postgres database of its own, cloned from a template that has been migrated once. It is for
// tests only.
package testdb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"sync"
	"testing"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"olympus/config"
	"olympus/migrations"
)

var template = sync.OnceValues(makeTemplate)

// New returns a connection to a fresh database with the whole schema; both go when the test ends.
func New(t testing.TB) *pop.Connection {
	t.Helper()
	return Open(t, URL(t))
}

// URL makes a fresh database with the whole schema and returns its URL; it is dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	from, err := template()
	require.NoError(t, err, "make the template database")
	name := "olympus_test_" + random()
	require.NoError(t, admin("CREATE DATABASE "+name+" TEMPLATE "+from))
	t.Cleanup(func() { _ = admin("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)") })
	return withDatabase(name)
}

// Open connects to a database made by URL, until the test ends.
func Open(t testing.TB, databaseURL string) *pop.Connection {
	t.Helper()
	db, err := open(databaseURL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func open(databaseURL string) (*pop.Connection, error) {
	db, err := pop.NewConnection(&pop.ConnectionDetails{URL: databaseURL, Pool: 16, IdlePool: 8})
	if err != nil {
		return nil, err
	}
	return db, db.Open()
}

// makeTemplate returns the name of a migrated database to clone from. It is made once per schema and kept: its name carries the
// fingerprint of the migrations, and it gets that name only when it is whole.
func makeTemplate() (string, error) {
	ctx := context.Background()
	name := "olympus_template_" + migrations.Fingerprint()
	conn, err := pgx.Connect(ctx, withDatabase("postgres"))
	if err != nil {
		return "", fmt.Errorf("connect to the Postgres of the tests (make test starts one): %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	// Test binaries of several packages run at once; the lock ends with the connection.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext('olympus_template'))"); err != nil {
		return "", err
	}
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil || exists {
		return name, err
	}
	draft := "olympus_draft_" + random()
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+draft); err != nil {
		return "", err
	}
	db, err := open(withDatabase(draft))
	if err != nil {
		return "", err
	}
	if _, err := migrations.Up(ctx, db); err != nil {
		return "", err
	}
	// A template must have no connections while it is cloned.
	if err := db.Close(); err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+name)
	return name, err
}

func admin(statement string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, withDatabase("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the Postgres of the tests (make test starts one): %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

func withDatabase(name string) string {
	u, err := url.Parse(config.TestDatabaseURL())
	if err != nil {
		return ""
	}
	u.Path = "/" + name
	return u.String()
}

func random() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
