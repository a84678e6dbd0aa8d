package models

import (
	"errors"
	"fmt"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/protocol"
)

// The backlog of fetch is the remote versions themselves: those whose fetch_due_at has come. Who takes one leases it for a
// while, so that a process that dies with it gives it back by doing nothing.

// Due is a remote version that was taken from the backlog.
type Due struct {
	Module   string `db:"module"`
	Version  string `db:"version"`
	Attempts int    `db:"fetch_attempts"` // this one included
	Trace    string `db:"trace"`          // that told of it, as a W3C traceparent; empty if none did
}

// leased are the assignments that give a row to the caller; a lease that runs out makes the version due again.
const leased = `fetch_leased_until = now() + make_interval(secs => ?), fetch_due_at = now() + make_interval(secs => ?)`

// What has been tried is told from what has not by least(fetch_attempts, 1): the backlog is ordered by that and by when a version is due.
const (
	untried = 0
	tried   = 1
)

// TakeDue takes up to limit versions that are due for the length of a lease, longest due first: those that nobody has tried yet, and in the
// places that are left those that have failed; with failedFirst the other way round. A long backlog of what nobody can give must not keep
// what is new waiting, nor the other way round. Concurrent callers get different ones.
func TakeDue(tx *pop.Connection, limit int, lease time.Duration, failedFirst bool) ([]Due, error) {
	first, second := untried, tried
	if failedFirst {
		first, second = tried, untried
	}
	due, err := takeDue(tx, first, limit, lease)
	if err != nil || len(due) == limit {
		return due, err
	}
	more, err := takeDue(tx, second, limit-len(due), lease)
	if len(due) > 0 {
		err = nil // they are taken: whoever asks next meets the error again
	}
	return append(due, more...), err
}

func takeDue(tx *pop.Connection, which, limit int, lease time.Duration) ([]Due, error) {
	var due []Due
	err := all(tx, &due, "take versions to fetch", `
		UPDATE versions v SET fetch_attempts = v.fetch_attempts + 1, `+leased+`
		FROM (
			SELECT module, version FROM versions WHERE least(fetch_attempts, 1) = ? AND fetch_due_at <= now()
			ORDER BY fetch_due_at LIMIT ? FOR UPDATE SKIP LOCKED
		) due
		WHERE v.module = due.module AND v.version = due.version
		RETURNING v.module, v.version, v.fetch_attempts, v.trace`, lease.Seconds(), lease.Seconds(), which, limit)
	return due, err
}

// Follow notes the trace, a W3C traceparent, that the fetch of versions is to go on with. Of one version a push and a page may tell at the same
// time: one that overrides takes the place of what is noted. Versions in somebody's hands are left out: they are being fetched.
func Follow(tx *pop.Connection, events []protocol.Event, trace string, overrides bool) error {
	var modules, versions []string
	for i := range events {
		if events[i].Kind == protocol.KindAdd {
			modules, versions = append(modules, events[i].Module), append(versions, events[i].Version)
		}
	}
	if len(modules) == 0 {
		return nil
	}
	_, err := exec(tx, fmt.Sprintf("note the trace of %d versions", len(modules)), `
		UPDATE versions v SET trace = ? FROM (
			SELECT module, version FROM versions
			WHERE (module, version) IN (SELECT * FROM unnest(?::text[], ?::text[])) AND NOT held AND NOT deleted AND (? OR trace = '')
			FOR UPDATE SKIP LOCKED
		) told
		WHERE v.module = told.module AND v.version = told.version`, trace, modules, versions, overrides)
	return err
}

// TakeVersion takes one remote version at once, due or not, unless somebody has it. It reports whether it was taken.
func TakeVersion(tx *pop.Connection, module, version string, lease time.Duration) (bool, error) {
	n, err := exec(tx, fmt.Sprintf("take %s@%s to fetch", module, version), `
		UPDATE versions SET fetch_attempts = fetch_attempts + 1, `+leased+`
		WHERE module = ? AND version = ? AND NOT held AND NOT deleted AND add_position IS NOT NULL
			AND (fetch_leased_until IS NULL OR fetch_leased_until <= now())`, lease.Seconds(), lease.Seconds(), module, version)
	return n == 1, err
}

// FetchBacklog counts the remote versions that are due to be fetched and not taken.
func FetchBacklog(tx *pop.Connection) (int64, error) {
	var row struct {
		Count int64 `db:"count"`
	}
	err := one(tx, &row, "count the versions to fetch", `SELECT count(*) AS count FROM versions WHERE least(fetch_attempts, 1) IN (0, 1) AND fetch_due_at <= now()`)
	return row.Count, err
}

// ExtendLease keeps a taken version for another lease, while its download lasts: also one that was deleted meanwhile, because the download
// may yet store its zip (see Unremoved).
func ExtendLease(tx *pop.Connection, module, version string, lease time.Duration) error {
	_, err := exec(tx, fmt.Sprintf("keep %s@%s", module, version), `
		UPDATE versions SET fetch_leased_until = now() + make_interval(secs => ?),
			fetch_due_at = CASE WHEN fetch_due_at IS NOT NULL THEN now() + make_interval(secs => ?) END
		WHERE module = ? AND version = ? AND fetch_leased_until IS NOT NULL`,
		lease.Seconds(), lease.Seconds(), module, version)
	return err
}

// Candidates returns the adds whose bytes may become the zip of a version, best first: the one it serves if that is pinned,
// else all of them by time and zip hash.
func Candidates(tx *pop.Connection, module, version string) ([]protocol.Logged, error) {
	var adds []protocol.Logged
	err := all(tx, &adds, fmt.Sprintf("read the adds of %s@%s", module, version), `
		SELECT e.position, e.kind, e.module, e.version, e.origin, e.time, e.zip_hash, e.zip_sha256, e.zip_size, e.mod_hash, e.info, e.mod, e.reason
		FROM versions v JOIN events e ON e.module = v.module AND e.version = v.version AND e.kind = 'add'
		WHERE v.module = ? AND v.version = ? AND NOT v.deleted AND NOT v.held AND (NOT v.pinned OR e.position = v.add_position)
		ORDER BY e.time, e.zip_hash COLLATE "C"`, module, version)
	return adds, err
}

// MarkHeld records that the zip of the add at a position is in our blob store, where it came from, and pins it. It reports false, and
// changes nothing, when the version may not hold those bytes: deleted meanwhile, or pinned to another add.
func MarkHeld(tx *pop.Connection, module, version string, addPosition int64, from string) (bool, error) {
	n, err := exec(tx, fmt.Sprintf("record %s@%s as held", module, version), `
		UPDATE versions SET held = true, pinned = true, add_position = ?, fetch_attempts = 0, fetch_due_at = NULL,
			fetch_leased_until = NULL, fetch_error = '', fetch_error_at = NULL, scrubbed_at = now(), held_at = now(), held_from = ?, trace = ''
		WHERE module = ? AND version = ? AND NOT deleted AND (NOT pinned OR add_position = ?)`,
		addPosition, from, module, version, addPosition)
	return n == 1, err
}

// MarkFetchFailed gives a taken version back with the reason why it could not be fetched, to be tried again after a delay.
func MarkFetchFailed(tx *pop.Connection, module, version, reason string, retryIn time.Duration) error {
	_, err := exec(tx, fmt.Sprintf("record the failed fetch of %s@%s", module, version), `
		UPDATE versions SET fetch_due_at = now() + make_interval(secs => ?), fetch_leased_until = NULL,
			fetch_error = ?, fetch_error_at = now()
		WHERE module = ? AND version = ? AND fetch_due_at IS NOT NULL`, retryIn.Seconds(), reason, module, version)
	return err
}

// GiveBack puts a taken version at the end of the backlog, as if it had not been taken.
func GiveBack(tx *pop.Connection, module, version string) error {
	_, err := exec(tx, fmt.Sprintf("give %s@%s back", module, version), `
		UPDATE versions SET fetch_attempts = greatest(0, fetch_attempts - 1), fetch_due_at = now(), fetch_leased_until = NULL
		WHERE module = ? AND version = ? AND fetch_due_at IS NOT NULL`, module, version)
	return err
}

// MarkLost records that a held zip turned out to be gone or damaged: the version is remote again, its add stays pinned.
func MarkLost(tx *pop.Connection, module, version, reason string) error {
	_, err := exec(tx, fmt.Sprintf("record %s@%s as lost", module, version), `
		UPDATE versions SET held = false, fetch_attempts = 0, fetch_due_at = now(), fetch_error = ?, fetch_error_at = now()
		WHERE module = ? AND version = ? AND held AND NOT deleted`, reason, module, version)
	return err
}

// unremoved is true of a deleted version whose zip is in our blob store, or may be: a lease that has run out is that of a download which
// may have stored the zip after everything of the version was removed, and whose process died before it could take it back.
const unremoved = `v.deleted AND (v.held OR v.fetch_leased_until <= now())`

// Unremoved returns deleted versions whose zips are still to be removed although no job is about to.
func Unremoved(tx *pop.Connection, limit int) ([]Version, error) {
	var rows []Version
	err := all(tx, &rows, "list deleted versions whose zips are not removed", `SELECT `+versionColumns+fromVersions+`
		WHERE `+unremoved+` AND NOT EXISTS (
			SELECT FROM river_job j WHERE j.kind = 'remove' AND j.state IN ('available', 'retryable', 'running', 'scheduled')
			AND j.args->>'module' = v.module AND j.args->>'version' = v.version
		) LIMIT ?`, limit)
	return rows, err
}

// MarkRemoved records that the zip of a deleted version is no longer in our blob store. While a download of it is under way that says
// nothing about what will be there.
func MarkRemoved(tx *pop.Connection, module, version string) error {
	_, err := exec(tx, fmt.Sprintf("record %s@%s as removed", module, version), `
		UPDATE versions v SET held = false, fetch_leased_until = CASE WHEN fetch_leased_until > now() THEN fetch_leased_until END
		WHERE module = ? AND version = ? AND deleted`, module, version)
	return err
}

// HoldAdd is MarkHeld for the add with the given hashes.
func HoldAdd(tx *pop.Connection, module, version, zipHash, zipSHA256, from string) (bool, error) {
	var add struct {
		Position int64 `db:"position"`
	}
	err := one(tx, &add, fmt.Sprintf("find the add of %s@%s", module, version), `
		SELECT position FROM events WHERE module = ? AND version = ? AND kind = 'add' AND zip_hash = ? AND zip_sha256 = ?`,
		module, version, zipHash, zipSHA256)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return MarkHeld(tx, module, version, add.Position, from)
}

// WakeWaiting makes everything due that waits for its next attempt: fills, and versions to fetch.
func WakeWaiting(tx *pop.Connection) error {
	if _, err := exec(tx, "make waiting fills due", `UPDATE fills SET due_at = now() WHERE process = '' AND due_at > now()`); err != nil {
		return err
	}
	_, err := exec(tx, "make waiting versions due", `
		UPDATE versions SET fetch_due_at = now()
		WHERE fetch_due_at > now() AND (fetch_leased_until IS NULL OR fetch_leased_until <= now())`)
	return err
}
