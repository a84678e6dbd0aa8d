package models

import "github.com/gobuffalo/pop/v6"

// WorkDue reports whether any peer's pull is due, and whether any version is due for fetch: in one query, which an idle deployment
// runs each time that it looks at the clock.
func WorkDue(tx *pop.Connection) (pull, fetch bool, err error) {
	var due struct {
		Pull  bool `db:"pull"`
		Fetch bool `db:"fetch"`
	}
	err = one(tx, &due, "look for what is due", `
		SELECT EXISTS (SELECT FROM peers WHERE state = 'active' AND pull_due_at <= now()) AS pull,
			coalesce(least(
				(SELECT min(fetch_due_at) FROM versions WHERE least(fetch_attempts, 1) = 0),
				(SELECT min(fetch_due_at) FROM versions WHERE least(fetch_attempts, 1) = 1)
			) <= now(), false) AS fetch`)
	return due.Pull, due.Fetch, err
}
