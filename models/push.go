package models

import (
	"time"

	"github.com/gobuffalo/pop/v6"
)

// maxCounted bounds how many pushes of a peer are counted: completed ones are kept for an hour, and there can be very many.
const maxCounted = 10_000

// PushCounts are the pushes to one peer of which the queue still knows.
type PushCounts struct {
	Sent    int64 `db:"sent"`
	Queued  int64 `db:"queued"`   // not tried yet, or being sent
	Failed  int64 `db:"failed"`   // to be tried again
	GivenUp int64 `db:"given_up"` // pulling brings what they told of
	More    bool  `db:"more"`     // these are of the first maxCounted that were found
}

// CountPushes counts the pushes to a peer.
func CountPushes(tx *pop.Connection, peer string) (*PushCounts, error) {
	var c PushCounts
	err := one(tx, &c, "count the pushes to "+peer, `
		SELECT count(*) FILTER (WHERE state = 'completed') AS sent,
			count(*) FILTER (WHERE state IN ('available', 'pending', 'running', 'scheduled')) AS queued,
			count(*) FILTER (WHERE state = 'retryable') AS failed,
			count(*) FILTER (WHERE state IN ('discarded', 'cancelled')) AS given_up, count(*) >= ? AS more
		FROM (SELECT state FROM river_job WHERE kind = 'push' AND args @> jsonb_build_object('peer', ?::text) LIMIT ?) pushes`,
		maxCounted, peer, maxCounted)
	return &c, err
}

// FailedPush is a push that has failed at least once, with its last error.
type FailedPush struct {
	ID      int64     `db:"id"`
	State   string    `db:"state"`
	Attempt int       `db:"attempt"`
	At      time.Time `db:"at"`
	Error   string    `db:"error"`
}

// FailedPushes returns the newest pushes to a peer that have failed, newest first.
func FailedPushes(tx *pop.Connection, peer string, limit int) ([]FailedPush, error) {
	var rows []FailedPush
	err := all(tx, &rows, "list failed pushes to "+peer, `
		SELECT id, state::text AS state, attempt,
			coalesce((errors[array_upper(errors, 1)]->>'at')::timestamptz, finalized_at, attempted_at, created_at) AS at,
			coalesce(errors[array_upper(errors, 1)]->>'error', '') AS error
		FROM river_job
		WHERE kind = 'push' AND state IN ('retryable', 'discarded', 'cancelled') AND args @> jsonb_build_object('peer', ?::text) AND errors IS NOT NULL
		ORDER BY id DESC LIMIT ?`, peer, limit)
	return rows, err
}

// LostPushes are the pushes to one peer that were given up since the last one that it took.
type LostPushes struct {
	Peer  string    `db:"peer"`
	Count int64     `db:"count"`
	At    time.Time `db:"at"` // when the last one was given up
	Error string    `db:"error"`
}

// PushesGivenUp returns the active peers to which a push was given up after the last one that they took.
func PushesGivenUp(tx *pop.Connection) ([]LostPushes, error) {
	var rows []LostPushes
	err := all(tx, &rows, "look for pushes that were given up", `
		SELECT p.name AS peer, count(*) AS count, max(j.finalized_at) AS at, (array_agg(j.error ORDER BY j.finalized_at DESC))[1] AS error
		FROM (
			SELECT args->>'peer' AS peer, finalized_at, coalesce(errors[array_upper(errors, 1)]->>'error', '') AS error FROM river_job
			WHERE kind = 'push' AND state = 'discarded' AND finalized_at IS NOT NULL ORDER BY finalized_at DESC LIMIT ?
		) j JOIN peers p ON p.name = j.peer AND p.state = 'active' AND j.finalized_at > coalesce(p.last_push_sent_at, '-infinity')
		GROUP BY p.name ORDER BY p.name`, maxCounted)
	return rows, err
}
