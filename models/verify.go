package models

import (
	"fmt"
	"strings"

	"github.com/gobuffalo/pop/v6"
)

// Extent is how far the event log reaches, by its head and by its rows. In a sound log Head, Count and Last are one number.
type Extent struct {
	Head  int64 `db:"head"`
	Count int64 `db:"count"`
	Last  int64 `db:"last"` // highest position, 0 in an empty log
}

// LogExtent measures the event log.
func LogExtent(tx *pop.Connection) (*Extent, error) {
	var e Extent
	err := one(tx, &e, "measure the event log", `
		SELECT head, (SELECT count(*) FROM events) AS count, (SELECT coalesce(max(position), 0) FROM events) AS last FROM event_log`)
	return &e, err
}

// Disorder is an event that does not follow the one before it as it should.
type Disorder struct {
	Position int64 `db:"position"`
	Before   int64 `db:"before"` // position of the event before it, 0 for the first
	Late     bool  `db:"late"`   // it was not logged after the event before it
}

// Disorders returns the events, after a position, with a gap in front of them, or logged no later than the event before.
func Disorders(tx *pop.Connection, after int64, limit int) ([]Disorder, error) {
	var rows []Disorder
	err := all(tx, &rows, "look for gaps in the event log", `
		SELECT position, before, late FROM (
			SELECT position, lag(position, 1, 0::bigint) OVER log AS before,
				coalesce(logged_at <= lag(logged_at) OVER log, false) AS late
			FROM events WINDOW log AS (ORDER BY position)
		) ordered
		WHERE (position <> before + 1 OR late) AND position > ? ORDER BY position LIMIT ?`, after, limit)
	return rows, err
}

// Repeated is an event that the log holds more than once.
type Repeated struct {
	Module    string `db:"module"`
	Version   string `db:"version"`
	Kind      string `db:"kind"`
	Positions string `db:"positions"` // separated by commas
}

// RepeatedEvents looks for what the unique constraint on events rules out, in case it was dropped for a while.
func RepeatedEvents(tx *pop.Connection, limit int) ([]Repeated, error) {
	var rows []Repeated
	err := all(tx, &rows, "look for repeated events", `
		SELECT module, version, kind, string_agg(position::text, ', ' ORDER BY position) AS positions
		FROM events GROUP BY module, version, kind, zip_hash HAVING count(*) > 1 ORDER BY module, version LIMIT ?`, limit)
	return rows, err
}

// stateOfLog is what the rows of versions should say.
const stateOfLog = `SELECT module, version, ` + stateOfEvents + ` FROM events GROUP BY module, version`

// mispinned is true of a row v that is pinned to something else than an add of its version.
const mispinned = `(v.pinned AND NOT EXISTS (
	SELECT FROM events e WHERE e.position = v.add_position AND e.kind = 'add' AND e.module = v.module AND e.version = v.version))`

// idle is true of a row v with a zip to fetch that will never be due.
const idle = `(v.fetch_due_at IS NULL AND NOT v.held AND NOT v.deleted AND v.add_position IS NOT NULL)`

// deviates is true of a row v that does not say what its row s of stateOfLog does. A pinned row may serve any of its adds.
const deviates = `(v.deprecated <> s.deprecated OR v.deleted <> s.deleted OR v.conflict <> s.conflict
	OR NOT v.pinned AND v.add_position IS DISTINCT FROM s.add_position)`

// Deviation is a version whose row does not follow from the events of the log. The fields named Row are what its row says, those
// named Log what it should say.
type Deviation struct {
	Module  string `db:"module"`
	Version string `db:"version"`

	HasRow    bool `db:"has_row"`
	HasEvents bool `db:"has_events"`

	RowAdd        int64 `db:"row_add"`
	RowDeprecated bool  `db:"row_deprecated"`
	RowDeleted    bool  `db:"row_deleted"`
	RowConflict   bool  `db:"row_conflict"`
	Pinned        bool  `db:"pinned"`
	Mispinned     bool  `db:"mispinned"`
	Idle          bool  `db:"idle"`

	LogAdd        int64 `db:"log_add"`
	LogDeprecated bool  `db:"log_deprecated"`
	LogDeleted    bool  `db:"log_deleted"`
	LogConflict   bool  `db:"log_conflict"`
}

// Deviations returns a page of the versions whose rows do not follow from the log, missing and superfluous rows included, in order of
// module and version, after the given ones.
func Deviations(tx *pop.Connection, afterModule, afterVersion string, limit int) ([]Deviation, error) {
	var rows []Deviation
	err := all(tx, &rows, "compare the versions with the event log", `
		WITH s AS (`+stateOfLog+`)
		SELECT module, version, v.module IS NOT NULL AS has_row, s.module IS NOT NULL AS has_events,
			coalesce(v.add_position, 0) AS row_add, coalesce(v.deprecated, false) AS row_deprecated,
			coalesce(v.deleted, false) AS row_deleted, coalesce(v.conflict, false) AS row_conflict,
			coalesce(v.pinned, false) AS pinned, coalesce(`+mispinned+`, false) AS mispinned, coalesce(`+idle+`, false) AS idle,
			coalesce(s.add_position, 0) AS log_add, coalesce(s.deprecated, false) AS log_deprecated,
			coalesce(s.deleted, false) AS log_deleted, coalesce(s.conflict, false) AS log_conflict
		FROM s FULL JOIN versions v USING (module, version)
		WHERE (v.module IS NULL OR s.module IS NULL OR `+deviates+` OR `+idle+` OR `+mispinned+`) AND (module, version) > (?, ?)
		ORDER BY module, version LIMIT ?`, afterModule, afterVersion, limit)
	return rows, err
}

// String says what is wrong with the row.
func (d *Deviation) String() string {
	switch {
	case !d.HasRow:
		return "the log speaks of it, and it is missing among the versions"
	case !d.HasEvents:
		return "it is among the versions, and no event of the log speaks of it"
	}
	var wrong []string
	for _, flag := range []struct {
		name     string
		row, log bool
	}{
		{"deprecated", d.RowDeprecated, d.LogDeprecated},
		{"deleted", d.RowDeleted, d.LogDeleted},
		{"conflict", d.RowConflict, d.LogConflict},
	} {
		if flag.row != flag.log {
			wrong = append(wrong, fmt.Sprintf("%s is %t, by the log %t", flag.name, flag.row, flag.log))
		}
	}
	switch {
	case d.Mispinned:
		wrong = append(wrong, fmt.Sprintf("it serves position %d, which is no add of it", d.RowAdd))
	case !d.Pinned && d.RowAdd != d.LogAdd:
		wrong = append(wrong, fmt.Sprintf("it serves the add at position %d, by the log the one at %d", d.RowAdd, d.LogAdd))
	}
	if d.Idle {
		wrong = append(wrong, "its zip is remote and never due for fetch")
	}
	return strings.Join(wrong, "; ")
}

// Holding is one add of a version with what the version's row says about zips. A version without an add has one Holding all the
// same, at position 0.
type Holding struct {
	Module  string `db:"module"`
	Version string `db:"version"`
	Deleted bool   `db:"deleted"`
	Held    bool   `db:"held"` // a zip of the version is in our blob store, by its row

	Position  int64  `db:"position"`
	ZipHash   string `db:"zip_hash"`
	ZipSHA256 string `db:"zip_sha256"`
	ZipSize   int64  `db:"zip_size"` // bytes
	ModHash   string `db:"mod_hash"`
	Served    bool   `db:"served"`   // it is the add that the version serves
	Eligible  bool   `db:"eligible"` // its zip may be held: nothing else is pinned
}

// Holdings returns the adds of a page of versions: of at most limit of them, in order of module and version, after the given ones,
// and of each the earliest add first.
func Holdings(tx *pop.Connection, afterModule, afterVersion string, limit int) ([]Holding, error) {
	var rows []Holding
	err := all(tx, &rows, "read what is held", `
		SELECT v.module, v.version, v.deleted, v.held, coalesce(e.position, 0) AS position,
			coalesce(e.zip_hash, '') AS zip_hash, coalesce(e.zip_sha256, '') AS zip_sha256, coalesce(e.zip_size, 0) AS zip_size,
			coalesce(e.mod_hash, '') AS mod_hash, coalesce(e.position = v.add_position, false) AS served,
			coalesce(NOT v.pinned OR e.position = v.add_position, false) AS eligible
		FROM (
			SELECT module, version, add_position, deleted, pinned, held FROM versions
			WHERE (module, version) > (?, ?) ORDER BY module, version LIMIT ?
		) v
		LEFT JOIN events e ON e.module = v.module AND e.version = v.version AND e.kind = 'add'
		ORDER BY v.module, v.version, e.time, e.zip_hash COLLATE "C"`, afterModule, afterVersion, limit)
	return rows, err
}
