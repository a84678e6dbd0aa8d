package models

import (
	"time"

	"github.com/gobuffalo/pop/v6"
)

// Beat tells the others that a process lives.
func Beat(tx *pop.Connection, id, role, host string) error {
	_, err := exec(tx, "record that this process lives", `
		INSERT INTO processes (id, role, host) VALUES (?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET seen_at = now()`, id, role, host)
	return err
}

// EndProcess takes a process that stops in order off the list.
func EndProcess(tx *pop.Connection, id string) error {
	_, err := exec(tx, "record that this process ends", `DELETE FROM processes WHERE id = ?`, id)
	return err
}

// RescueJobs makes the running jobs of dead processes available again, and those of the calling process that it is not at, and returns
// how many there were. A process counts as dead when it has not been seen for the length of patience; of its own jobs, atWork names
// those that it is at, and one that was taken less long ago may be about to begin. The attempt that died stays counted.
func RescueJobs(tx *pop.Connection, process string, atWork []int64, patience time.Duration) (int, error) {
	n, err := exec(tx, "rescue the jobs that nobody is at", `
		UPDATE river_job j SET state = 'available', scheduled_at = now()
		WHERE j.state = 'running' AND (NOT EXISTS (
			SELECT 1 FROM processes p
			WHERE p.id = j.attempted_by[array_upper(j.attempted_by, 1)] AND p.seen_at > now() - make_interval(secs => ?))
		OR j.attempted_by[array_upper(j.attempted_by, 1)] = ? AND j.attempted_at < now() - make_interval(secs => ?)
			AND NOT j.id = ANY (?::bigint[]))`,
		patience.Seconds(), process, patience.Seconds(), atWork)
	return n, err
}

// ForgetProcesses removes the processes that died a day ago or earlier.
func ForgetProcesses(tx *pop.Connection) error {
	_, err := exec(tx, "forget dead processes", `DELETE FROM processes WHERE seen_at < now() - interval '1 day'`)
	return err
}

// DatabaseTime returns what the clock of the database says.
func DatabaseTime(tx *pop.Connection) (time.Time, error) {
	var row struct {
		Now time.Time `db:"now"`
	}
	err := one(tx, &row, "read the clock of the database", `SELECT clock_timestamp() AS now`)
	return row.Now, err
}
