package models

import (
	"errors"
	"strings"
	"time"

	"github.com/gobuffalo/pop/v6"
)

// UpstreamList is what upstream has said of a module.
type UpstreamList struct {
	Versions   []string   // every version it has ever listed
	Found      bool       // it has known the module at least once
	Latest     string     // its answer to latest, for modules without tagged versions
	AnsweredAt *time.Time // when it last answered at all
	Error      string     // why it did not answer when last asked
}

// FindUpstreamList returns what upstream last said of a module, or ErrNotFound when it was never asked.
func FindUpstreamList(tx *pop.Connection, module string) (*UpstreamList, error) {
	var row struct {
		Versions   string     `db:"versions"` // none has a space in it
		Found      bool       `db:"found"`
		Latest     string     `db:"latest"`
		AnsweredAt *time.Time `db:"answered_at"`
		Error      string     `db:"error"`
	}
	err := one(tx, &row, "read upstream's list of "+module, `
		SELECT array_to_string(versions, ' ') AS versions, found, latest, answered_at, error
		FROM upstream_lists WHERE module = ?`, module)
	if err != nil {
		return nil, err
	}
	return &UpstreamList{
		Versions: strings.Fields(row.Versions), Found: row.Found, Latest: row.Latest, AnsweredAt: row.AnsweredAt, Error: row.Error,
	}, nil
}

// TakeUpstreamList reports whether the calling process is the one to ask upstream for the list of a module now: nobody has within ttl, or
// whoever did has died before the answer, or was this process (which asks once at a time) and could not keep it. patience is how long a
// process may be silent and count as live.
func TakeUpstreamList(tx *pop.Connection, module, process string, ttl, patience time.Duration) (bool, error) {
	var row struct {
		Module string `db:"module"`
	}
	err := one(tx, &row, "take the list of "+module, `
		INSERT INTO upstream_lists AS l (module, asked_at, asked_by) VALUES (?, now(), ?)
		ON CONFLICT (module) DO UPDATE SET asked_at = now(), asked_by = excluded.asked_by, error = ''
			WHERE l.asked_at <= now() - make_interval(secs => ?)
				OR l.error = '' AND coalesce(l.answered_at < l.asked_at, true) AND (l.asked_by = excluded.asked_by OR NOT EXISTS (
					SELECT 1 FROM processes p WHERE p.id = l.asked_by AND p.seen_at > now() - make_interval(secs => ?)))
		RETURNING module`, module, process, ttl.Seconds(), patience.Seconds())
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// SaveUpstreamList adds an answer of upstream to what it said before: versions are never forgotten, and a module once found
// stays found.
func SaveUpstreamList(tx *pop.Connection, module string, versions []string, found bool, latest string) error {
	_, err := exec(tx, "keep upstream's list of "+module, `
		UPDATE upstream_lists l SET
			versions = ARRAY(SELECT unnest(l.versions) UNION SELECT unnest(?::text[])),
			found = l.found OR ?,
			latest = CASE WHEN ? <> '' THEN ? ELSE l.latest END,
			answered_at = now()
		WHERE module = ?`, versions, found, latest, latest, module)
	return err
}

// FailUpstreamList keeps why upstream could not be asked about a module; what it said before stays. It may be asked again after the
// delay.
func FailUpstreamList(tx *pop.Connection, module, reason string, ttl, retryIn time.Duration) error {
	_, err := exec(tx, "keep why upstream did not list "+module, `
		UPDATE upstream_lists SET error = ?, asked_at = now() - make_interval(secs => ?) WHERE module = ?`,
		reason, max(0, ttl-retryIn).Seconds(), module)
	return err
}

// ForgetUnknownLists forgets the modules that upstream has never known, once it was last asked about them so long ago: whoever asks for
// names that do not exist would fill the database with them.
func ForgetUnknownLists(tx *pop.Connection, olderThan time.Duration) error {
	_, err := exec(tx, "forget modules that upstream does not know", `
		DELETE FROM upstream_lists WHERE NOT found AND asked_at < now() - make_interval(secs => ?)`, olderThan.Seconds())
	return err
}
