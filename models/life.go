package models

import (
	"fmt"
	"slices"
	"time"

	"github.com/gobuffalo/pop/v6"
)

// Life is what is kept of the life of a version beside its events and its state. Times are nil for what has not happened, or happened
// under a release that did not record it.
type Life struct {
	AskedAt  *time.Time `db:"asked_at"`  // the fill that brought it began
	HeldAt   *time.Time `db:"held_at"`   // its zip was last stored
	HeldFrom string     `db:"held_from"` // a peer's name, a place of upstream, an import
	ServedAt *time.Time `db:"served_at"` // a client was first given one of its files
}

// LifeOf returns the life of a version, or ErrNotFound when no event speaks of it.
func LifeOf(tx *pop.Connection, module, version string) (*Life, error) {
	var l Life
	err := one(tx, &l, fmt.Sprintf("read the life of %s@%s", module, version), `
		SELECT asked_at, held_at, held_from, served_at FROM versions WHERE module = ? AND version = ?`, module, version)
	if err != nil {
		return nil, err
	}
	return &l, nil
}

// Ways by which events of others arrive.
const (
	ByPush     = "push"
	ByPull     = "pull"
	ByQuestion = "question" // a peer was asked for the version, before a miss went upstream
)

// Arrival says how the events of a range of positions came.
type Arrival struct {
	Way  string `db:"way"`
	Peer string `db:"peer"`
}

// RecordArrival records how the events first … last came; it belongs into the transaction that appends them. What was recorded of the same
// positions by a log that has been lost, should somebody bring a part of a database back, gives way: nobody's append may fail for it.
func RecordArrival(tx *pop.Connection, first, last int64, a Arrival) error {
	_, err := exec(tx, fmt.Sprintf("record how events %d to %d came", first, last), `
		INSERT INTO arrivals (first_position, last_position, way, peer) VALUES (?, ?, ?, ?)
		ON CONFLICT (first_position) DO UPDATE SET last_position = excluded.last_position, way = excluded.way, peer = excluded.peer`,
		first, last, a.Way, a.Peer)
	return err
}

// ArrivalOf says how the event at a position came, or ErrNotFound when that is not known: it originated here, or was taken by a release
// that did not record it.
func ArrivalOf(tx *pop.Connection, position int64) (*Arrival, error) {
	var row struct {
		Arrival
		Last int64 `db:"last_position"`
	}
	err := one(tx, &row, fmt.Sprintf("look how event %d came", position), `
		SELECT way, peer, last_position FROM arrivals WHERE first_position <= ? ORDER BY first_position DESC LIMIT 1`, position)
	if err == nil && row.Last < position {
		err = fmt.Errorf("look how event %d came: %w", position, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return &row.Arrival, nil
}

// Delivery is how the push of an event to a peer ended, or, without EndedAt, how it stands.
type Delivery struct {
	Peer     string     `db:"peer"`
	EndedAt  *time.Time `db:"ended_at"`
	Attempts int        `db:"attempts"`
	Error    string     `db:"error"` // of the last attempt; empty if there was none, or it succeeded
}

// RecordDelivery records how the push of the events first … last to a peer ended: taken if message is empty, else given up.
func RecordDelivery(tx *pop.Connection, peer string, first, last int64, attempts int, message string) error {
	_, err := exec(tx, fmt.Sprintf("record the push of events %d to %d to %s", first, last, peer), `
		INSERT INTO deliveries (peer, first_position, last_position, attempts, error) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (first_position, peer) DO UPDATE SET ended_at = now(), attempts = excluded.attempts, error = excluded.error`,
		peer, first, last, attempts, message)
	return err
}

// DeliveriesOf returns the pushes of an own event, by peer: those that have ended and those that have not, at most limit of either.
func DeliveriesOf(tx *pop.Connection, position int64, limit int) ([]Delivery, error) {
	var ended, waiting []Delivery
	what := fmt.Sprintf("look for the pushes of event %d", position)
	err := all(tx, &ended, what, `
		SELECT peer, ended_at, attempts, error FROM deliveries
		WHERE first_position BETWEEN ?::bigint - 9999 AND ? AND last_position >= ? ORDER BY peer LIMIT ?`, position, position, position, limit)
	if err != nil {
		return nil, err
	}
	err = all(tx, &waiting, what, `
		SELECT coalesce(args->>'peer', '') AS peer, NULL::timestamptz AS ended_at, attempt::int AS attempts,
			coalesce(errors[array_upper(errors, 1)]->>'error', '') AS error
		FROM river_job WHERE kind = 'push' AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
			AND (args->>'first')::bigint <= ? AND (args->>'last')::bigint >= ? ORDER BY 1 LIMIT ?`, position, position, limit)
	for _, w := range waiting {
		// A job that has recorded its end may not have ended yet.
		if !slices.ContainsFunc(ended, func(e Delivery) bool { return e.Peer == w.Peer }) {
			ended = append(ended, w)
		}
	}
	return ended, err
}

// Served is a version of which a client was given a file.
type Served struct {
	Module, Version string
	At              time.Time
}

// RecordServed records when versions were first served, and returns those that it could; the others are in somebody's hands, or recorded
// already. It waits for no row: it takes many, in an order that a merge may take them in the other way round.
func RecordServed(tx *pop.Connection, versions []Served) ([]ModuleAtVersion, error) {
	modules, names, times := make([]string, len(versions)), make([]string, len(versions)), make([]time.Time, len(versions))
	for i, s := range versions {
		modules[i], names[i], times[i] = s.Module, s.Version, s.At.UTC()
	}
	var done []ModuleAtVersion
	err := all(tx, &done, "record what was served", `
		UPDATE versions v SET served_at = free.at
		FROM (
			SELECT v.module, v.version, batch.at
			FROM unnest(?::text[], ?::text[], ?::timestamptz[]) AS batch (module, version, at)
				JOIN versions v ON v.module = batch.module AND v.version = batch.version
			WHERE v.served_at IS NULL FOR UPDATE OF v SKIP LOCKED
		) free
		WHERE v.module = free.module AND v.version = free.version
		RETURNING v.module, v.version`, modules, names, times)
	return done, err
}
