package models

import (
	"github.com/gobuffalo/pop/v6"
)

// Stir is what pages are watched by: each text changes whenever what it stands for does.
type Stir struct {
	Peers string `db:"peers"` // state, progress and errors of the peers
	Jobs  string `db:"jobs"`  // jobs that were queued, taken or have ended
}

// mostWaiting bounds how many waiting jobs are counted to notice a change: of a longer queue the ends tell enough.
const mostWaiting = 1000

// Stirred returns the present Stir, in one query that looks into indexes only, whatever the number of jobs.
func Stirred(tx *pop.Connection) (Stir, error) {
	var s Stir
	ended := func(state string) string {
		return `(SELECT max(finalized_at) FROM river_job WHERE state = '` + state + `' AND finalized_at IS NOT NULL)`
	}
	waiting := func(state string) string {
		return `(SELECT count(*) FROM (SELECT FROM river_job WHERE state = '` + state + `' LIMIT ?) waiting)`
	}
	err := one(tx, &s, "look whether anything has changed", `
		SELECT coalesce((SELECT md5(string_agg(concat_ws(' ', name, url, state, pull_position, head, epoch, verified_size,
				last_pull_at, last_push_sent_at, last_push_received_at, last_error_at, md5(last_error)), ',' ORDER BY name))
			FROM peers WHERE state <> 'removed'), '') AS peers,
			concat_ws(' ', (SELECT max(id) FROM river_job), `+ended("completed")+`, `+ended("discarded")+`, `+ended("cancelled")+`, `+
		waiting("available")+`, `+waiting("running")+`, `+waiting("retryable")+`, `+waiting("scheduled")+`) AS jobs`,
		mostWaiting, mostWaiting, mostWaiting, mostWaiting)
	return s, err
}
