package models_test

import (
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/internal/testmod"
	"olympus/models"
)

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// add is an add of a version that nobody has; what distinguishes bytes goes into its go.mod.
func add(t *testing.T, path, version, bytes string, at time.Time) protocol.Event {
	e := testmod.Event(t, testmod.Module{Path: path, Version: version, Files: map[string]string{"m.go": "package m // " + bytes + "\n"}}, "om.example.com")
	e.Time = at
	return e
}

func say(kind protocol.Kind, path, version string) protocol.Event {
	return protocol.Event{Kind: kind, Module: path, Version: version, Origin: "og.example.com", Time: now(), Reason: "because"}
}

// merge merges events in a transaction of its own.
func merge(t *testing.T, db *pop.Connection, events ...protocol.Event) *models.Merged {
	t.Helper()
	var merged *models.Merged
	require.NoError(t, db.Transaction(func(tx *pop.Connection) (err error) {
		merged, err = models.Merge(tx, events)
		return err
	}))
	return merged
}

// The invariants of the log are Postgres's own: no statement can break them, whoever sends it.
func TestSchemaKeepsTheLog(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	merge(t, db, add(t, "example.com/m", "v1.0.0", "a", now()), say(protocol.KindDeprecate, "example.com/m", "v1.0.0"), say(protocol.KindDelete, "example.com/d", "v1.0.0"))
	const (
		columns = `(position, zip_size, time, logged_at, kind, module, version, origin, zip_hash, zip_sha256, mod_hash, info, mod, reason)`
		later   = `now() + interval '1 hour'`
		h1      = `'h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='`
		sha256  = `'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'`
	)
	insert := func(values string) string { return `INSERT INTO events ` + columns + ` VALUES ` + values }
	// good is a statement that every bad one differs from in one thing.
	good := insert(`(4, 1, now(), ` + later + `, 'add', 'example.com/n', 'v1.0.0', 'og', ` + h1 + `, ` + sha256 + `, ` + h1 + `, '{}', '', '')`)
	refused := func(name, statement string) {
		t.Helper()
		err := db.RawQuery(statement).Exec()
		require.ErrorContains(t, err, "SQLSTATE 23", name) // an integrity constraint violation, not a slip of this test
	}
	bare := func(values string) string { return insert(`(4, ` + values + `)`) }
	for name, statement := range map[string]string{
		"a repeated position":      insert(`(3, 0, now(), ` + later + `, 'delete', 'example.com/n', 'v1.0.0', 'og', '', '', '', '', '', '')`),
		"a gap":                    insert(`(5, 0, now(), ` + later + `, 'delete', 'example.com/n', 'v1.0.0', 'og', '', '', '', '', '', '')`),
		"position 0":               insert(`(0, 0, now(), ` + later + `, 'delete', 'example.com/n', 'v1.0.0', 'og', '', '', '', '', '', '')`),
		"a gap inside a statement": insert(`(4, 0, now(), ` + later + `, 'delete', 'example.com/n', 'v1.0.0', 'og', '', '', '', '', '', ''), (6, 0, now(), ` + later + ` + interval '1 s', 'delete', 'example.com/n', 'v1.1.0', 'og', '', '', '', '', '', '')`),
		"logged in the past":       bare(`0, now(), 'epoch', 'delete', 'example.com/n', 'v1.0.0', 'og', '', '', '', '', '', ''`),
		"a repeated event":         bare(`0, now(), ` + later + `, 'delete', 'example.com/d', 'v1.0.0', 'other', '', '', '', '', '', 'why'`),
		"an unknown kind":          bare(`0, now(), ` + later + `, 'update', 'example.com/n', 'v1.0.0', 'og', '', '', '', '', '', ''`),
		"no module":                bare(`0, now(), ` + later + `, 'delete', '', 'v1.0.0', 'og', '', '', '', '', '', ''`),
		"no version":               bare(`0, now(), ` + later + `, 'delete', 'example.com/n', '', 'og', '', '', '', '', '', ''`),
		"no origin":                bare(`0, now(), ` + later + `, 'delete', 'example.com/n', 'v1.0.0', '', '', '', '', '', '', ''`),
		"null":                     bare(`0, now(), ` + later + `, 'delete', 'example.com/n', 'v1.0.0', 'og', '', '', '', '', '', NULL`),
		"add without zip_hash":     bare(`1, now(), ` + later + `, 'add', 'example.com/n', 'v1.0.0', 'og', '', ` + sha256 + `, ` + h1 + `, '{}', '', ''`),
		"add without zip_sha256":   bare(`1, now(), ` + later + `, 'add', 'example.com/n', 'v1.0.0', 'og', ` + h1 + `, '', ` + h1 + `, '{}', '', ''`),
		"add without mod_hash":     bare(`1, now(), ` + later + `, 'add', 'example.com/n', 'v1.0.0', 'og', ` + h1 + `, ` + sha256 + `, '', '{}', '', ''`),
		"add without zip_size":     bare(`0, now(), ` + later + `, 'add', 'example.com/n', 'v1.0.0', 'og', ` + h1 + `, ` + sha256 + `, ` + h1 + `, '{}', '', ''`),
		"add without info":         bare(`1, now(), ` + later + `, 'add', 'example.com/n', 'v1.0.0', 'og', ` + h1 + `, ` + sha256 + `, ` + h1 + `, '', '', ''`),
		"add with a reason":        bare(`1, now(), ` + later + `, 'add', 'example.com/n', 'v1.0.0', 'og', ` + h1 + `, ` + sha256 + `, ` + h1 + `, '{}', '', 'why'`),
		"delete with zip_hash":     bare(`0, now(), ` + later + `, 'delete', 'example.com/n', 'v1.0.0', 'og', ` + h1 + `, '', '', '', '', ''`),
		"delete with zip_sha256":   bare(`0, now(), ` + later + `, 'delete', 'example.com/n', 'v1.0.0', 'og', '', ` + sha256 + `, '', '', '', ''`),
		"delete with zip_size":     bare(`1, now(), ` + later + `, 'delete', 'example.com/n', 'v1.0.0', 'og', '', '', '', '', '', ''`),
		"delete with mod_hash":     bare(`0, now(), ` + later + `, 'delete', 'example.com/n', 'v1.0.0', 'og', '', '', ` + h1 + `, '', '', ''`),
		"deprecate with info":      bare(`0, now(), ` + later + `, 'deprecate', 'example.com/n', 'v1.0.0', 'og', '', '', '', '{}', '', ''`),
		"deprecate with mod":       bare(`0, now(), ` + later + `, 'deprecate', 'example.com/n', 'v1.0.0', 'og', '', '', '', '', 'module m', ''`),
		"UPDATE of events":         `UPDATE events SET reason = 'another' WHERE position = 2`,
		"UPDATE of no event":       `UPDATE events SET reason = 'another' WHERE position = 99`,
		"DELETE of events":         `DELETE FROM events WHERE position = 3`,
		"TRUNCATE of events":       `TRUNCATE events`,
		"head moved on":            `UPDATE event_log SET head = 4`,
		"head moved back":          `UPDATE event_log SET head = 2`,
		"head below zero":          `UPDATE event_log SET head = -1`,
		"a second log":             `INSERT INTO event_log (singleton, head) VALUES (false, 3)`,
		"the log twice":            `INSERT INTO event_log (head) VALUES (3)`,
		"DELETE of the log":        `DELETE FROM event_log`,
		"TRUNCATE of the log":      `TRUNCATE event_log`,
		"held, not pinned":         `UPDATE versions SET held = true WHERE module = 'example.com/m'`,
		"pinned to nothing":        `UPDATE versions SET pinned = true WHERE module = 'example.com/d'`,
		"due and deleted":          `UPDATE versions SET fetch_due_at = now() WHERE module = 'example.com/d'`,
		"a fill with half a word":  `INSERT INTO fills (module, version, process, info) VALUES ('example.com/f', 'v1.0.0', 'p', '{}')`,
		"a pointer below zero":     `INSERT INTO peers (name, url, key, pull_position) VALUES ('p', 'u', 'k', -1)`,
		"a peer of no state":       `INSERT INTO peers (name, url, key, state) VALUES ('p', 'u', 'k', 'gone')`,
	} {
		refused(name, statement)
	}
	head, err := models.Head(db)
	require.NoError(t, err)
	require.EqualValues(t, 3, head)
	require.NoError(t, db.RawQuery(good).Exec(), "what differs from the refused ones in one thing only")
	head, err = models.Head(db)
	require.NoError(t, err)
	require.EqualValues(t, 4, head, "the head follows by itself")
}
