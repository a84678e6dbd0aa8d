package models

import (
	"errors"
	"fmt"

	"github.com/gobuffalo/pop/v6"
)

const (
	// maxPending is how many deployments may wait for approval at a time: anybody may ask.
	maxPending = 100
	// pendingFor is how long a request waits for the operator, in days.
	pendingFor = 30
	// maxAsked is how many requests of one key are taken within the time for which their nonces are kept.
	maxAsked = 20
)

var (
	// ErrOtherKey says that a deployment's name is here already, with another key.
	ErrOtherKey = errors.New("is known here with another key")
	// ErrTooManyPending says that so many wait for approval, or one has asked so often, that no further request is taken for now.
	ErrTooManyPending = errors.New("too many requests to become a peer")
)

const pendingColumns = `name, url, key, asked_at, 'pending' AS state`

// PendingPeers returns the deployments that have asked to become peers and wait for the operator, by name.
func PendingPeers(tx *pop.Connection) ([]Peer, error) {
	var pending []Peer
	err := all(tx, &pending, "list pending peers", `SELECT `+pendingColumns+` FROM join_requests j
		WHERE NOT EXISTS (SELECT FROM peers p WHERE p.name = j.name AND p.state <> 'removed') ORDER BY name`)
	return pending, err
}

// findPending returns the pending peer of a name, or ErrNotFound.
func findPending(tx *pop.Connection, name string) (*Peer, error) {
	var p Peer
	if err := one(tx, &p, "read pending peer "+name, `SELECT `+pendingColumns+` FROM join_requests WHERE name = ?`, name); err != nil {
		return nil, err
	}
	return &p, nil
}

// IsPending reports whether the deployment with a key waits for approval; keyID is "name+hash", the first two parts of a verifier key.
func IsPending(tx *pop.Connection, keyID string) (bool, error) {
	var is struct {
		Pending bool `db:"pending"`
	}
	err := one(tx, &is, "look whether "+keyID+" is pending", `
		SELECT EXISTS (SELECT FROM join_requests j WHERE name = split_part(?, '+', 1) AND split_part(key, '+', 2) = split_part(?, '+', 2)
			AND NOT EXISTS (SELECT FROM peers p WHERE p.name = j.name AND p.state <> 'removed')) AS pending`, keyID, keyID)
	return is.Pending, err
}

// AskToJoin records that a deployment asks to become a peer, and returns it as it is here now: pending, or what it had become before, and
// then nothing has changed. Who is pending may ask again from another URL. It belongs into a transaction with the nonce of the request; the
// error is ErrOtherKey or ErrTooManyPending if the request is refused.
func AskToJoin(tx *pop.Connection, name, url, key string) (*Peer, error) {
	// One at a time, so that all together keep to the bound.
	if _, err := exec(tx, "lock the requests to join", `LOCK TABLE join_requests IN SHARE ROW EXCLUSIVE MODE`); err != nil {
		return nil, err
	}
	p, err := FindPeer(tx, name)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && p.State == PeerRemoved:
		n, err := exec(tx, "record that "+name+" asks to join", `
			INSERT INTO join_requests (name, url, key) SELECT ?, ?, ? WHERE (SELECT count(*) FROM join_requests) < ?`, name, url, key, maxPending)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, fmt.Errorf("%w: %d wait for the operator", ErrTooManyPending, maxPending)
		}
	case err != nil:
		return nil, err
	case p.Key != key && p.OldKey != key:
		return nil, fmt.Errorf("%s %w", name, ErrOtherKey)
	case p.State != PeerPending:
		return p, nil
	default:
		if _, err := exec(tx, "record that "+name+" asks to join again", `
			UPDATE join_requests SET url = ?, asked_at = now() WHERE name = ?`, url, name); err != nil {
			return nil, err
		}
	}
	return findPending(tx, name)
}

// AskedOften reports whether so many nonces of a key are kept that a stranger who has it must wait until they are forgotten: each request
// leaves one.
func AskedOften(tx *pop.Connection, keyID string) (bool, error) {
	var often struct {
		Often bool `db:"often"`
	}
	err := one(tx, &often, "count the nonces of "+keyID, `SELECT count(*) >= ? AS often FROM nonces WHERE key_id = ?`, maxAsked, keyID)
	return often.Often, err
}

// RefuseToJoin forgets the request of a deployment; ErrNotFound when there is none.
func RefuseToJoin(tx *pop.Connection, name string) error {
	n, err := exec(tx, "forget the request of "+name, `DELETE FROM join_requests WHERE name = ?`, name)
	if err == nil && n == 0 {
		err = fmt.Errorf("pending peer %s: %w", name, ErrNotFound)
	}
	return err
}

// ForgetPending removes requests that no operator has answered in time.
func ForgetPending(tx *pop.Connection) error {
	_, err := exec(tx, "forget old requests to join", `DELETE FROM join_requests WHERE asked_at < now() - make_interval(days => ?)`, pendingFor)
	return err
}

// AnnounceKey keeps the key that a peer says it will sign with, the newest only. The operator decides whether it is taken: see ChangePeerKey.
func AnnounceKey(tx *pop.Connection, name, key string) error {
	_, err := exec(tx, "keep the key that "+name+" announces", `UPDATE peers SET announced_key = ? WHERE name = ? AND state = 'active'`, key, name)
	return err
}
