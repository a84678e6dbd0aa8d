package models

import (
	"fmt"
	"strings"
	"time"

	"github.com/gobuffalo/pop/v6"
)

// JobCount is the number of jobs of one kind in one state.
type JobCount struct {
	Kind  string `db:"kind" json:"kind"`
	State string `db:"state" json:"state"`
	Count int64  `db:"count" json:"count"`
}

// CountJobs counts the jobs by kind and state.
func CountJobs(tx *pop.Connection) ([]JobCount, error) {
	counts := []JobCount{}
	err := all(tx, &counts, "count jobs", `
		SELECT kind, state::text AS state, count(*) AS count FROM river_job GROUP BY kind, state ORDER BY kind, state`)
	return counts, err
}

// OldestWaiting returns how long the longest waiting job has been due, 0 when none is.
func OldestWaiting(tx *pop.Connection) (time.Duration, error) {
	var row struct {
		Seconds float64 `db:"seconds"`
	}
	err := one(tx, &row, "look for the oldest waiting job", `
		SELECT coalesce(extract(epoch FROM now() - min(scheduled_at)), 0)::float8 AS seconds
		FROM river_job WHERE state IN ('available', 'retryable') AND scheduled_at <= now()`)
	return time.Duration(row.Seconds * float64(time.Second)), err
}

// JobWaiting reports whether a job of a kind is waiting to be taken now: a wake-up need not be queued twice.
func JobWaiting(tx *pop.Connection, kind string) (bool, error) {
	var row struct {
		Waiting bool `db:"waiting"`
	}
	err := one(tx, &row, "look for a waiting "+kind+" job", `
		SELECT EXISTS (SELECT 1 FROM river_job WHERE kind = ? AND state = 'available' AND scheduled_at <= now()) AS waiting`, kind)
	return row.Waiting, err
}

// JobUnfinished reports whether a job of a kind is waiting, running or to be tried again.
func JobUnfinished(tx *pop.Connection, kind string) (bool, error) {
	var row struct {
		Unfinished bool `db:"unfinished"`
	}
	err := one(tx, &row, "look for a "+kind+" job", `
		SELECT EXISTS (SELECT 1 FROM river_job WHERE kind = ? AND state IN ('available', 'retryable', 'running', 'scheduled')) AS unfinished`, kind)
	return row.Unfinished, err
}

// ReviveJobs makes those jobs available again that River has given up although they must be done in the end, and returns how many.
func ReviveJobs(tx *pop.Connection, kinds ...string) (int, error) {
	return exec(tx, "look for jobs that were given up", `
		UPDATE river_job SET state = 'available', finalized_at = NULL, scheduled_at = now(), attempt = 0
		WHERE state = 'discarded' AND kind = ANY (string_to_array(?, ' '))`, strings.Join(kinds, " "))
}

// QueuedPushes returns the number of pushes not yet delivered or dropped, by peer.
func QueuedPushes(tx *pop.Connection) (map[string]int64, error) {
	var rows []struct {
		Peer  string `db:"peer"`
		Count int64  `db:"count"`
	}
	err := all(tx, &rows, "count queued pushes", `
		SELECT coalesce(args->>'peer', '') AS peer, count(*) AS count FROM river_job
		WHERE kind = 'push' AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled') GROUP BY 1`)
	counts := make(map[string]int64, len(rows))
	for _, r := range rows {
		counts[r.Peer] = r.Count
	}
	return counts, err
}

// CountReceives counts the pushes of a peer that wait to be worked or are being worked, up to a limit.
func CountReceives(tx *pop.Connection, peer string, limit int) (int, error) {
	var row struct {
		Count int `db:"count"`
	}
	err := one(tx, &row, "count the waiting pushes of "+peer, `
		SELECT count(*)::int AS count FROM (
			SELECT FROM river_job
			WHERE queue = 'receive' AND state IN ('available', 'retryable', 'running') AND metadata->>'peer' = ? LIMIT ?
		) waiting`, peer, limit)
	return row.Count, err
}

// Job is one job for people to read.
type Job struct {
	ID          int64     `db:"id" json:"id"`
	Kind        string    `db:"kind" json:"kind"`
	State       string    `db:"state" json:"state"`
	Attempt     int       `db:"attempt" json:"attempt"`
	MaxAttempts int       `db:"max_attempts" json:"max_attempts"`
	CreatedAt   time.Time `db:"created_at" json:"created_at"`
	ScheduledAt time.Time `db:"scheduled_at" json:"scheduled_at"`
	Peer        string    `db:"peer" json:"peer,omitempty"`
	Module      string    `db:"module" json:"module,omitempty"`
	Version     string    `db:"version" json:"version,omitempty"`
	First       int64     `db:"first" json:"first,omitempty"` // position of the first event that it is about, and of the last
	Last        int64     `db:"last" json:"last,omitempty"`
	Error       string    `db:"error" json:"error,omitempty"`
}

// jobColumns name what a job is about, and leave the other arguments out: those of a receive job are a whole push.
const jobColumns = `id, kind, state::text AS state, attempt, max_attempts, created_at, scheduled_at,
	coalesce(args->>'peer', '') AS peer, coalesce(args->>'module', '') AS module, coalesce(args->>'version', '') AS version,
	CASE WHEN jsonb_typeof(args->'first') = 'number' THEN (args->>'first')::bigint ELSE 0 END AS first,
	CASE WHEN jsonb_typeof(args->'last') = 'number' THEN (args->>'last')::bigint ELSE 0 END AS last,
	coalesce(errors[array_upper(errors, 1)]->>'error', '') AS error`

// LatestJobs returns the newest jobs before an id (0: from the newest), newest first.
func LatestJobs(tx *pop.Connection, before int64, limit int) ([]Job, error) {
	jobs := []Job{}
	err := all(tx, &jobs, "list jobs", `
		SELECT `+jobColumns+` FROM river_job WHERE ?::bigint = 0 OR id < ? ORDER BY id DESC LIMIT ?`, before, before, limit)
	return jobs, err
}

// NewerJobs returns the jobs next after an id, newest first.
func NewerJobs(tx *pop.Connection, after int64, limit int) ([]Job, error) {
	jobs := []Job{}
	err := all(tx, &jobs, fmt.Sprintf("list jobs after %d", after), `
		SELECT * FROM (SELECT `+jobColumns+` FROM river_job WHERE id > ? ORDER BY id LIMIT ?) newer ORDER BY id DESC`, after, limit)
	return jobs, err
}
