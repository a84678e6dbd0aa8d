package models

import (
	"fmt"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/transparency"
)

// SaveVerified keeps what has been verified of a peer's log. It belongs into the transaction that moves the pull pointer over the events
// that were verified.
func SaveVerified(tx *pop.Connection, name string, epoch int64, edge *transparency.Edge, note string) error {
	_, err := exec(tx, fmt.Sprintf("keep what is verified of the log of %s", name), `
		UPDATE peers SET epoch = ?, verified_size = ?, edge = ?, checkpoint = ? WHERE name = ?`,
		epoch, edge.Size(), edge.Bytes(), note, name)
	return err
}

// Quarantine stops pulling from an active peer and keeps the evidence: two notes of its that cannot both be true.
func Quarantine(tx *pop.Connection, name, before, after string) error {
	_, err := exec(tx, "quarantine peer "+name, `
		UPDATE peers SET state = 'quarantined', evidence_before = ?, evidence_after = ? WHERE name = ? AND state = 'active'`, before, after, name)
	return err
}

// AcceptPeer makes a quarantined peer active again under its new history, which is taken from the start; ErrNotFound when the peer is
// not quarantined.
func AcceptPeer(tx *pop.Connection, name string) error {
	n, err := exec(tx, "accept the history of peer "+name, `
		UPDATE peers SET state = 'active', pull_position = 0, head = 0, pull_due_at = now(), epoch = 0, verified_size = 0, edge = '',
			checkpoint = '', evidence_before = '', evidence_after = '', last_error = '', last_error_at = NULL
		WHERE name = ? AND state = 'quarantined'`, name)
	if err == nil && n == 0 {
		err = fmt.Errorf("peer %s is not quarantined: %w", name, ErrNotFound)
	}
	return err
}
