// Package migrations holds the schema as numbered up and down migrations, embedded into the binary, and applies them.
//
// Every invariant that the database can carry is written here as a constraint or a trigger. No query of the running
// product lives here: those are in models.
package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed *.sql
var files embed.FS

// lock is the key of the Postgres advisory lock that serialises migrating processes.
const lock = 0x6f6c796d707573 // "olympus"

// Up brings the schema, ours and River's, to the newest version. Several processes may call it at once: one migrates, the
// others wait and find nothing to do. It returns the number of our own migrations applied.
func Up(ctx context.Context, db *pop.Connection) (applied int, err error) {
	pool, err := pgxpool.New(ctx, db.URL())
	if err != nil {
		return 0, fmt.Errorf("connect to migrate: %w", err)
	}
	defer pool.Close()

	// The lock belongs to this one connection and goes with it, whatever happens to the process.
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect to migrate: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(lock)); err != nil {
		return 0, fmt.Errorf("lock the schema: %w", err)
	}
	defer func() { _, _ = conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(lock)) }()

	// On connections without limits: to build an index of a long log takes as long as it takes.
	unlimited, err := pop.NewConnection(&pop.ConnectionDetails{URL: db.URL(), Pool: 2})
	if err == nil {
		err = unlimited.Open()
	}
	if err != nil {
		return 0, fmt.Errorf("connect to migrate: %w", err)
	}
	defer func() { _ = unlimited.Close() }()
	box, err := pop.NewMigrationBox(files, unlimited)
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	applied, err = box.UpTo(0)
	if err != nil {
		return applied, fmt.Errorf("migrate: %w", err)
	}
	river, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return applied, fmt.Errorf("read River's migrations: %w", err)
	}
	if _, err := river.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return applied, fmt.Errorf("migrate River's tables: %w", err)
	}
	return applied, nil
}

// Fingerprint identifies the schema that Up makes: 16 hex digits that change with any migration, ours or River's.
func Fingerprint() string {
	h := sha256.New()
	names, _ := fs.Glob(files, "*.sql")
	for _, name := range names {
		content, _ := files.ReadFile(name)
		_, _ = fmt.Fprintf(h, "%s %d\n%s", name, len(content), content)
	}
	river, err := rivermigrate.New(riverpgxv5.New(nil), nil)
	if err == nil {
		for _, m := range river.AllVersions() {
			_, _ = fmt.Fprintf(h, "river %d\n", m.Version)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Pending returns the number of our migrations that the database lacks; an error means that it cannot be asked.
func Pending(db *pop.Connection) (int, error) {
	box, err := pop.NewMigrationBox(files, db)
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	var done []struct {
		Version string `db:"version"`
	}
	err = db.RawQuery("SELECT version FROM " + db.MigrationTableName()).All(&done)
	if err != nil && err != sql.ErrNoRows {
		return 0, fmt.Errorf("read applied migrations: %w", err)
	}
	applied := make(map[string]bool, len(done))
	for _, m := range done {
		applied[m.Version] = true
	}
	pending := 0
	for _, m := range box.UpMigrations.Migrations {
		if !applied[m.Version] {
			pending++
		}
	}
	return pending, nil
}
