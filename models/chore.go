package models

import (
	"time"

	"github.com/gobuffalo/pop/v6"
)

// TakeChore reports whether something that is done once per interval is due, and takes it: of several processes one gets it, and the next
// time is an interval from now. Whoever fails at it says so with ReturnChore.
func TakeChore(tx *pop.Connection, name string, interval time.Duration) (bool, error) {
	n, err := exec(tx, "look whether it is time to "+name, `
		INSERT INTO chores AS c (name, due_at) VALUES (?, now() + make_interval(secs => ?))
		ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at WHERE c.due_at <= now()`, name, interval.Seconds())
	return n == 1, err
}

// ReturnChore makes a chore due again after a while.
func ReturnChore(tx *pop.Connection, name string, again time.Duration) error {
	_, err := exec(tx, "put off to "+name, `UPDATE chores SET due_at = now() + make_interval(secs => ?) WHERE name = ?`, again.Seconds(), name)
	return err
}

// LeaveChore leaves something to be done once, as soon as somebody can.
func LeaveChore(tx *pop.Connection, name string) error {
	_, err := exec(tx, "leave it to others to "+name, `INSERT INTO chores (name, due_at) VALUES (?, now()) ON CONFLICT DO NOTHING`, name)
	return err
}

// FinishChore reports whether something was left to be done. Whoever is told so has done it when the transaction commits: no other is told.
func FinishChore(tx *pop.Connection, name string) (bool, error) {
	n, err := exec(tx, "look whether it was left to "+name, `DELETE FROM chores WHERE name = ?`, name)
	return n == 1, err
}
