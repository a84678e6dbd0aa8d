package models

import "github.com/gobuffalo/pop/v6"

// Rebuilt is what rebuilding the versions found and did.
type Rebuilt struct {
	Head     int64 // events that the versions were rebuilt from
	Unpinned int   // rows that were pinned to something else than an add of theirs
	Written  int   // rows that were missing or said something else than the log
	Removed  int   // rows that no event speaks of
}

// RebuildVersions makes every row of versions again what follows from the log. It belongs into a transaction of its own: it locks the
// head, so that the log stands still meanwhile, and reads all of it. What a row knows beside the log stays: the add that it is pinned to,
// whether its zip is held, and the state of its fetch. Rows that are right are not written, so a second run changes nothing.
func RebuildVersions(tx *pop.Connection) (*Rebuilt, error) {
	end, err := lockHead(tx)
	if err != nil {
		return nil, err
	}
	r := &Rebuilt{Head: end.Head}
	r.Removed, err = exec(tx, "remove versions that the log does not know", `
		DELETE FROM versions v WHERE NOT EXISTS (SELECT FROM events e WHERE e.module = v.module AND e.version = v.version)`)
	if err != nil {
		return nil, err
	}
	// A zip held under such a pin is found again by its hash, if it is one of the version's.
	r.Unpinned, err = exec(tx, "unpin versions from what is not theirs", `
		UPDATE versions v SET pinned = false, held = false, add_position = NULL, fetch_due_at = NULL WHERE `+mispinned)
	if err != nil {
		return nil, err
	}
	// Into a table of its own first: a statement that writes to the versions it is reading has the planner join with a table that grows
	// while it is being joined, which for a million versions that are all missing takes hours.
	_, err = exec(tx, "compare the versions with the event log", `
		CREATE TEMPORARY TABLE rebuilt ON COMMIT DROP AS
		WITH s AS (`+stateOfLog+`)
		SELECT s.* FROM s LEFT JOIN versions v USING (module, version)
		WHERE v.module IS NULL OR `+deviates+` OR `+idle)
	if err != nil {
		return nil, err
	}
	r.Written, err = exec(tx, "rebuild versions", `WITH state AS (SELECT * FROM rebuilt)`+applyState)
	if err != nil {
		return nil, err
	}
	_, err = exec(tx, "tell of the rebuilt versions", `SELECT pg_notify('olympus_events', ?)`, notifyRebuilt)
	return r, err
}
