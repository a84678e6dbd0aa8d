package models

import (
	"time"

	"github.com/gobuffalo/pop/v6"
)

// lagKept is how long samples are kept: the plots show a day.
const lagKept = 25 * time.Hour

// SampleLag notes how far behind each peer's log this deployment is, and forgets what is older than the plots show. Whichever process comes
// first in a minute writes its samples; the others change nothing.
func SampleLag(tx *pop.Connection) error {
	_, err := exec(tx, "note how far behind the peers' logs this deployment is", `
		INSERT INTO lag_samples (time, peer, lag, lag_seconds)
		SELECT date_trunc('minute', now()), name, greatest(0, head - pull_position),
			coalesce(greatest(0, extract(epoch FROM now() - behind_since)), 0)::bigint
		FROM peers WHERE state <> 'removed' ON CONFLICT DO NOTHING`)
	if err != nil {
		return err
	}
	_, err = exec(tx, "forget old samples of the lag", `DELETE FROM lag_samples WHERE time < now() - make_interval(secs => ?)`, lagKept.Seconds())
	return err
}

// LagSample is the worst of the samples of one peer in one step of a day: steps are numbered from 0, the one that began a day ago.
type LagSample struct {
	Peer    string `db:"peer"`
	Step    int    `db:"step"`
	Lag     int64  `db:"lag"`
	Seconds int64  `db:"lag_seconds"`
}

// LagOfDay returns the samples of the last day of one peer, or of all for "", by peer and step. Steps without a sample are left out.
func LagOfDay(tx *pop.Connection, peer string, step time.Duration) ([]LagSample, error) {
	var rows []LagSample
	err := all(tx, &rows, "read the lag of the last day", `
		SELECT peer, floor(extract(epoch FROM time - (now() - interval '1 day')) / ?)::int AS step, max(lag) AS lag, max(lag_seconds) AS lag_seconds
		FROM lag_samples WHERE time > now() - interval '1 day' AND time <= now() AND (? = '' OR peer = ?) GROUP BY 1, 2 ORDER BY 1, 2`,
		step.Seconds(), peer, peer)
	return rows, err
}

// LagBefore returns the oldest sample of a peer's lag that is not older than a duration, and how long ago it was taken; ErrNotFound if there
// is none.
func LagBefore(tx *pop.Connection, peer string, age time.Duration) (lag int64, ago time.Duration, err error) {
	var row struct {
		Lag int64   `db:"lag"`
		Age float64 `db:"age"`
	}
	err = one(tx, &row, "read what the lag of "+peer+" was", `
		SELECT lag, extract(epoch FROM now() - time)::float8 AS age FROM lag_samples
		WHERE time >= now() - make_interval(secs => ?) AND time <= now() AND peer = ? ORDER BY time LIMIT 1`, age.Seconds(), peer)
	return row.Lag, time.Duration(row.Age * float64(time.Second)), err
}
