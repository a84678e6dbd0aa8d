package models

import (
	"fmt"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/protocol"
)

// eventColumns are all columns of an event, in the order in which merge writes them.
const eventColumns = `position, kind, module, version, origin, time, zip_hash, zip_sha256, zip_size, mod_hash, info, mod, reason`

// Head returns the position of the last event, 0 for an empty log.
func Head(tx *pop.Connection) (int64, error) {
	var row struct {
		Head int64 `db:"head"`
	}
	err := one(tx, &row, "read the head of the event log", "SELECT head FROM event_log")
	return row.Head, err
}

// locked is the end of the log while a transaction keeps it still.
type locked struct {
	Head     int64     `db:"head"`
	TreeSize int64     `db:"tree_size"`
	Now      time.Time `db:"now"`  // the time of the transaction, by the clock of the database
	Next     time.Time `db:"next"` // the earliest time at which the next event may be logged: now, but after the last one
}

// lockHead keeps the end of the log still until the transaction ends: no other transaction can append meanwhile. Postgres ends it when it
// has heard nothing of this process for a while: one that stands still, or whose machine has gone, must not stop all the others.
func lockHead(tx *pop.Connection) (locked, error) {
	var l locked
	err := one(tx, &l, "lock the event log", `
		SELECT head, tree_size, now() AS now, greatest(clock_timestamp(), logged_at + interval '1 microsecond') AS next
		FROM event_log, set_config('idle_in_transaction_session_timeout', '15s', true) FOR UPDATE OF event_log`)
	return l, err
}

// Events returns the events after a position, in order: at most limit, and about maxBytes of text, but one at least where
// there is one, so that a reader always gets on.
func Events(tx *pop.Connection, after int64, limit int, maxBytes int64) ([]protocol.Logged, error) {
	var events []protocol.Logged
	err := all(tx, &events, fmt.Sprintf("read events after %d", after), `
		SELECT `+eventColumns+` FROM (
			SELECT `+eventColumns+`,
				sum(400 + octet_length(module) + octet_length(info) + octet_length(mod)) OVER (ORDER BY position) AS bytes
			FROM events WHERE position > ? ORDER BY position LIMIT ?
		) page
		WHERE bytes <= ? OR position = ?
		ORDER BY position`, after, limit, maxBytes, after+1)
	return events, err
}

// LeafEvents returns the events after a position, in order, at most limit, as their leaves in the tree need them: without .mod, of which
// the hash says enough.
func LeafEvents(tx *pop.Connection, after int64, limit int) ([]protocol.Logged, error) {
	var events []protocol.Logged
	err := all(tx, &events, fmt.Sprintf("read the leaves after %d", after), `
		SELECT position, kind, module, version, origin, time, zip_hash, zip_sha256, zip_size, mod_hash, info, '' AS mod, reason
		FROM events WHERE position > ? ORDER BY position LIMIT ?`, after, limit)
	return events, err
}

// EventsOf returns every event of one version, in the order of the log.
func EventsOf(tx *pop.Connection, module, version string) ([]protocol.Logged, error) {
	var events []protocol.Logged
	err := all(tx, &events, fmt.Sprintf("read the events of %s@%s", module, version), `
		SELECT `+eventColumns+` FROM events WHERE module = ? AND version = ? ORDER BY position`, module, version)
	return events, err
}

// LoggedAt returns when the event at a position was logged here.
func LoggedAt(tx *pop.Connection, position int64) (time.Time, error) {
	var row struct {
		At time.Time `db:"logged_at"`
	}
	err := one(tx, &row, fmt.Sprintf("look when event %d was logged", position), `SELECT logged_at FROM events WHERE position = ?`, position)
	return row.At, err
}

// OwnEvents returns the events of a range of positions (both ends included) that this deployment originated.
func OwnEvents(tx *pop.Connection, origin string, first, last int64) ([]protocol.Logged, error) {
	var events []protocol.Logged
	err := all(tx, &events, fmt.Sprintf("read own events %d to %d", first, last), `
		SELECT `+eventColumns+` FROM events WHERE position BETWEEN ? AND ? AND origin = ? ORDER BY position`, first, last, origin)
	return events, err
}

// Indexed is one line of the feed of versions.
type Indexed struct {
	Path      string    `db:"module" json:"Path"`
	Version   string    `db:"version" json:"Version"`
	Timestamp time.Time `db:"logged_at" json:"Timestamp"`
}

// Index returns the versions added here since a time, that time included, in the order in which they were logged: at most limit. A
// version is listed once, by the add that is served for it, and not at all when it is deleted.
func Index(tx *pop.Connection, since time.Time, limit int) ([]Indexed, error) {
	// logged_at grows with the position and positions have no gap: a binary search needs no index of its own.
	head, err := Head(tx)
	if err != nil {
		return nil, err
	}
	low, high := int64(1), head+1
	for low < high {
		middle := low + (high-low)/2
		var row struct {
			Before bool `db:"before"`
		}
		if err := one(tx, &row, "search the index", `SELECT logged_at < ? AS before FROM events WHERE position = ?`, since, middle); err != nil {
			return nil, err
		}
		if row.Before {
			low = middle + 1
		} else {
			high = middle
		}
	}
	lines := []Indexed{}
	err = all(tx, &lines, "read the index", `
		SELECT e.module, e.version, e.logged_at FROM events e
		JOIN versions v ON v.module = e.module AND v.version = e.version AND v.add_position = e.position AND NOT v.deleted
		WHERE e.position >= ? ORDER BY e.position LIMIT ?`, low, limit)
	return lines, err
}

// Touched is what a reader that caches answers needs to know of an event.
type Touched struct {
	Position int64  `db:"position"`
	Module   string `db:"module"`
	Version  string `db:"version"`
}

// TouchedAfter returns the modules and versions that events after a position speak of, at most limit.
func TouchedAfter(tx *pop.Connection, after int64, limit int) ([]Touched, error) {
	var rows []Touched
	err := all(tx, &rows, fmt.Sprintf("read versions touched after %d", after), `
		SELECT position, module, version FROM events WHERE position > ? ORDER BY position LIMIT ?`, after, limit)
	return rows, err
}

// EventFilter says which events to list; empty fields are any.
type EventFilter struct {
	Kind   protocol.Kind
	Origin string
	Module string // the whole path
}

// filterWindow is how many events are looked through for those of a kind or an origin, which have no index: they are for people, who can
// go on from there.
const filterWindow = 50_000

// LatestEvents returns the newest events before a position (0: from the newest) that a filter lets through, newest first, without .info
// and .mod; at most limit. It looks no further back than to the position it returns, 1 if that was all.
func LatestEvents(tx *pop.Connection, before int64, filter EventFilter, limit int) (events []protocol.Logged, back int64, err error) {
	if before <= 0 {
		head, err := Head(tx)
		if err != nil {
			return nil, 0, err
		}
		before = head + 1
	}
	back = 1
	from, where, args := `events`, ``, []any{before}
	switch {
	case filter.Module != "":
		from, args = `(SELECT * FROM events WHERE module = ? OFFSET 0) of_module`, []any{filter.Module, before} // by its index, never a scan of the log
	case filter.Kind != "" || filter.Origin != "":
		back = max(1, before-filterWindow)
		where, args = ` AND position >= ?`, append(args, back)
	}
	if filter.Kind != "" {
		where, args = where+` AND kind = ?`, append(args, string(filter.Kind))
	}
	if filter.Origin != "" {
		where, args = where+` AND origin = ?`, append(args, filter.Origin)
	}
	err = all(tx, &events, "read the latest events", `
		SELECT position, kind, module, version, origin, time, zip_hash, zip_sha256, zip_size, mod_hash, '' AS info, '' AS mod, reason
		FROM `+from+` WHERE position < ?`+where+` ORDER BY position DESC LIMIT ?`, append(args, limit)...)
	if len(events) == limit {
		back = events[limit-1].Position
	}
	return events, back, err
}

// FindEvent returns the event at a position, or ErrNotFound.
func FindEvent(tx *pop.Connection, position int64) (*protocol.Logged, error) {
	var e protocol.Logged
	err := one(tx, &e, fmt.Sprintf("read event %d", position), `SELECT `+eventColumns+` FROM events WHERE position = ?`, position)
	if err != nil {
		return nil, err
	}
	return &e, nil
}
