package models

import (
	"math"
	"time"

	"github.com/gobuffalo/pop/v6"
)

// Audited is one change that an administrator made.
type Audited struct {
	ID      int64     `db:"id" json:"id"`
	Time    time.Time `db:"time" json:"time"`
	Actor   string    `db:"actor" json:"actor"`
	Action  string    `db:"action" json:"action"`
	Subject string    `db:"subject" json:"subject"`
	Detail  string    `db:"detail" json:"detail,omitempty"`
}

// Audit records an administrator's change; it belongs into the transaction that makes the change. actor says by which way it
// came ("http", "task").
func Audit(tx *pop.Connection, actor, action, subject, detail string) error {
	_, err := exec(tx, "record a change in the audit trail",
		`INSERT INTO audit (actor, action, subject, detail) VALUES (?, ?, ?, ?)`, actor, action, subject, detail)
	return err
}

// AuditOf returns the changes of one subject, oldest first, at most limit.
func AuditOf(tx *pop.Connection, subject string, limit int) ([]Audited, error) {
	var trail []Audited
	err := all(tx, &trail, "read the audit trail of "+subject,
		`SELECT id, time, actor, action, subject, detail FROM audit WHERE subject = ? ORDER BY id LIMIT ?`, subject, limit)
	return trail, err
}

// AuditTrail returns the newest changes before one, newest first; before 0 the newest of all.
func AuditTrail(tx *pop.Connection, before int64, limit int) ([]Audited, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	trail := []Audited{}
	err := all(tx, &trail, "read the audit trail",
		`SELECT id, time, actor, action, subject, detail FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?`, before, limit)
	return trail, err
}
