package models

import (
	"errors"
	"fmt"
	"time"

	"github.com/gobuffalo/pop/v6"
)

// States of a peer.
const (
	PeerActive  = "active"
	PeerPaused  = "paused"
	PeerRemoved = "removed"
	// PeerQuarantined: it has signed two histories of its log. Nothing is pulled from it until an operator accepts the new one.
	PeerQuarantined = "quarantined"
	// PeerPending: it has asked to become a peer, and no operator has approved yet. It is in none of the queries for peers: see AskToJoin.
	PeerPending = "pending"
)

// Peer is another deployment that this one pushes to and pulls from.
type Peer struct {
	Name         string `db:"name"`
	URL          string `db:"url"`
	Key          string `db:"key"`           // verifier key, pinned when the peer was added
	OldKey       string `db:"old_key"`       // the one before it, while it counts; else empty
	AnnouncedKey string `db:"announced_key"` // the one that it says comes next, until the operator has taken it; else empty
	State        string `db:"state"`
	PullPosition int64  `db:"pull_position"` // the pull pointer
	Head         int64  `db:"head"`          // of its log, as last seen

	// BehindSince is since when Lag is not 0, nil while it is.
	BehindSince *time.Time `db:"behind_since"`

	Epoch        int64  `db:"epoch"`         // of its log, as last verified; 0: nothing has been
	VerifiedSize int64  `db:"verified_size"` // events of that epoch that Checkpoint vouches for
	Edge         []byte `db:"edge"`          // right edge of the tree over them
	Checkpoint   string `db:"checkpoint"`    // the signed note of that tree

	// Of a quarantined peer: two notes, both signed by it, that cannot both be true.
	EvidenceBefore string `db:"evidence_before"`
	EvidenceAfter  string `db:"evidence_after"`

	LastPullAt         *time.Time `db:"last_pull_at"`
	LastPushSentAt     *time.Time `db:"last_push_sent_at"`
	LastPushReceivedAt *time.Time `db:"last_push_received_at"`
	LastError          string     `db:"last_error"`
	LastErrorAt        *time.Time `db:"last_error_at"`

	AskedAt *time.Time `db:"asked_at"` // of a pending one: when it asked to become a peer
}

// Keys are the verifier keys that count for this peer, the present one first.
func (p *Peer) Keys() []string {
	if p.OldKey == "" {
		return []string{p.Key}
	}
	return []string{p.Key, p.OldKey}
}

// Evidence are the two notes against a quarantined peer; none for others.
func (p *Peer) Evidence() []string {
	if p.State != PeerQuarantined {
		return nil
	}
	return []string{p.EvidenceBefore, p.EvidenceAfter}
}

// Lag is the number of events of the peer's log that are known to exist and have not been taken.
func (p *Peer) Lag() int64 { return max(0, p.Head-p.PullPosition) }

// LagTime is how long Lag has not been 0; 0 while it is.
func (p *Peer) LagTime(now time.Time) time.Duration {
	if p.BehindSince == nil || p.Lag() == 0 {
		return 0
	}
	return max(0, now.Sub(*p.BehindSince))
}

// countingOldKey is the old key of a row while it counts, else empty.
const countingOldKey = `CASE WHEN old_key_until > now() THEN old_key ELSE '' END`

const peerColumns = `name, url, key, ` + countingOldKey + ` AS old_key,
	CASE WHEN announced_key = key THEN '' ELSE announced_key END AS announced_key, state, pull_position, head, behind_since, epoch, verified_size, edge, checkpoint,
	evidence_before, evidence_after, last_pull_at, last_push_sent_at, last_push_received_at, last_error, last_error_at`

// Peers returns the peers that are not removed, by name, and after them the pending ones.
func Peers(tx *pop.Connection) ([]Peer, error) {
	var peers []Peer
	if err := all(tx, &peers, "list peers", `SELECT `+peerColumns+` FROM peers WHERE state <> 'removed' ORDER BY name`); err != nil {
		return nil, err
	}
	pending, err := PendingPeers(tx)
	return append(peers, pending...), err
}

// ActivePeers returns the peers to speak to, by name.
func ActivePeers(tx *pop.Connection) ([]Peer, error) {
	var peers []Peer
	err := all(tx, &peers, "list active peers", `SELECT `+peerColumns+` FROM peers WHERE state = 'active' ORDER BY name`)
	return peers, err
}

// FindPeer returns a peer by name, a removed or pending one too, or ErrNotFound. One that was removed and has asked again is pending.
func FindPeer(tx *pop.Connection, name string) (*Peer, error) {
	var p Peer
	err := one(tx, &p, "read peer "+name, `SELECT `+peerColumns+` FROM peers WHERE name = ?`, name)
	switch {
	case err == nil && p.State != PeerRemoved:
		return &p, nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, err
	}
	pending, pendingErr := findPending(tx, name)
	switch {
	case errors.Is(pendingErr, ErrNotFound) && err == nil:
		return &p, nil
	case errors.Is(pendingErr, ErrNotFound):
		return nil, err
	case pendingErr != nil:
		return nil, pendingErr
	}
	// What was verified of a removed one's log stays on record, whoever asks in its name.
	p.Name, p.URL, p.Key, p.OldKey, p.AnnouncedKey, p.State, p.AskedAt = pending.Name, pending.URL, pending.Key, "", "", pending.State, pending.AskedAt
	return &p, nil
}

// FindPeerByKeyID returns the peer one of whose keys has an id ("name+hash", the first two parts of a verifier key), a removed one too, or
// ErrNotFound.
func FindPeerByKeyID(tx *pop.Connection, keyID string) (*Peer, error) {
	var p Peer
	err := one(tx, &p, "find the peer with key "+keyID, `SELECT `+peerColumns+` FROM peers
		WHERE name = split_part(?, '+', 1) AND split_part(?, '+', 2) IN (split_part(key, '+', 2), split_part(`+countingOldKey+`, '+', 2))
			AND split_part(?, '+', 2) <> ''`, keyID, keyID, keyID)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// SavePeer adds a peer, or changes the URL and key of one, and makes a removed or pending one active. The pull pointer of a peer that is known under
// the same key stays; under another key it is another log, to be taken from the start and verified from nothing.
func SavePeer(tx *pop.Connection, name, url, key string) error {
	_, err := exec(tx, "save peer "+name, `
		WITH answered AS (DELETE FROM join_requests WHERE name = ?)
		INSERT INTO peers AS p (name, url, key) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET url = excluded.url, key = excluded.key,
			state = CASE WHEN p.state = 'removed' OR p.state = 'quarantined' AND p.key <> excluded.key THEN 'active' ELSE p.state END,
			pull_position = CASE WHEN p.key = excluded.key THEN p.pull_position ELSE 0 END,
			head = CASE WHEN p.key = excluded.key THEN p.head ELSE 0 END,
			epoch = CASE WHEN p.key = excluded.key THEN p.epoch ELSE 0 END,
			verified_size = CASE WHEN p.key = excluded.key THEN p.verified_size ELSE 0 END,
			edge = CASE WHEN p.key = excluded.key THEN p.edge ELSE '' END,
			checkpoint = CASE WHEN p.key = excluded.key THEN p.checkpoint ELSE '' END,
			evidence_before = CASE WHEN p.key = excluded.key THEN p.evidence_before ELSE '' END,
			evidence_after = CASE WHEN p.key = excluded.key THEN p.evidence_after ELSE '' END,
			old_key = CASE WHEN p.key = excluded.key THEN p.old_key ELSE '' END,
			announced_key = '', pull_due_at = now(), last_error = '', last_error_at = NULL`, name, name, url, key)
	return err
}

// ChangePeerKey gives a peer a new key for the same log: what was taken and verified of it stays. The old key counts for a while longer; with
// an overlap of 0 it is refused from now on, for good.
func ChangePeerKey(tx *pop.Connection, name, key string, overlap time.Duration) error {
	n, err := exec(tx, "change the key of peer "+name, `
		UPDATE peers SET key = ?, old_key_until = now() + make_interval(secs => ?),
			old_key = CASE WHEN ? = 0 THEN '' WHEN key = ? THEN `+countingOldKey+` ELSE key END, announced_key = ''
		WHERE name = ? AND state <> 'removed'`, key, overlap.Seconds(), overlap.Seconds(), key, name)
	if err == nil && n == 0 {
		err = fmt.Errorf("peer %s: %w", name, ErrNotFound)
	}
	return err
}

// SetPeerState pauses, resumes or removes a peer; ErrNotFound when there is none of that name, or it was removed. A quarantined one can only
// be removed: to go on with it, its history must be accepted (see AcceptPeer).
func SetPeerState(tx *pop.Connection, name, state string) error {
	n, err := exec(tx, fmt.Sprintf("make peer %s %s", name, state), `
		UPDATE peers SET state = ?, pull_due_at = now()
		WHERE name = ? AND state <> 'removed' AND (state <> 'quarantined' OR ? = 'removed')`, state, name, state)
	if err == nil && n == 0 {
		err = fmt.Errorf("peer %s: %w", name, ErrNotFound)
	}
	return err
}

// MovePullPointer moves the pull pointer of a peer by compare-and-set: it reports false, and changes nothing, when the pointer
// is not at from, the peer is not active, or its keys are others than those that the page was checked with. It belongs into the transaction that merges the events from+1 … to; nothing else moves a pointer forward.
func MovePullPointer(tx *pop.Connection, p *Peer, from, to, head int64) (bool, error) {
	n, err := exec(tx, fmt.Sprintf("move the pull pointer of %s from %d to %d", p.Name, from, to), `
		UPDATE peers SET pull_position = ?, head = greatest(?::bigint, ?::bigint), last_pull_at = now(), last_error = '', last_error_at = NULL
		WHERE name = ? AND pull_position = ? AND state = 'active' AND key = ? AND `+countingOldKey+` = ?`, to, head, to, p.Name, from, p.Key, p.OldKey)
	return n == 1, err
}

// RecordPeerHead notes the head that a page told of which was not taken, as long as the pull pointer is where the page begins: that the peer
// has more than we have is known, whatever is wrong with it.
func RecordPeerHead(tx *pop.Connection, p *Peer, from, head int64) error {
	_, err := exec(tx, fmt.Sprintf("record that the log of %s has %d events", p.Name, head),
		`UPDATE peers SET head = ? WHERE name = ? AND pull_position = ? AND epoch = ? AND key = ? AND head < ?`, head, p.Name, from, p.Epoch, p.Key, head)
	return err
}

// RewindPullPointer sets the pull pointer of a peer back, to take its log again from a position on.
func RewindPullPointer(tx *pop.Connection, name string, position int64) error {
	n, err := exec(tx, fmt.Sprintf("set the pull pointer of %s back to %d", name, position), `
		UPDATE peers SET pull_position = ?, pull_due_at = now() WHERE name = ? AND state <> 'removed' AND pull_position >= ?`,
		position, name, position)
	if err == nil && n == 0 {
		err = fmt.Errorf("set the pull pointer of %s back to %d: no such peer, or its pointer is not that far", name, position)
	}
	return err
}

// TakeDuePulls returns the active peers whose pull is due and makes each due again after the interval. Of several processes
// that tick at once only one gets a peer.
func TakeDuePulls(tx *pop.Connection, interval time.Duration) ([]string, error) {
	var rows []struct {
		Name string `db:"name"`
	}
	err := all(tx, &rows, "look for pulls that are due", `
		UPDATE peers p SET pull_due_at = now() + make_interval(secs => ?)
		FROM (SELECT name FROM peers WHERE state = 'active' AND pull_due_at <= now() FOR UPDATE SKIP LOCKED) due
		WHERE p.name = due.name RETURNING p.name`, interval.Seconds())
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Name
	}
	return names, err
}

// RecordPeerError keeps what last went wrong with a peer.
func RecordPeerError(tx *pop.Connection, name, message string) error {
	_, err := exec(tx, "record an error of peer "+name,
		`UPDATE peers SET last_error = ?, last_error_at = now() WHERE name = ?`, message, name)
	return err
}

// RecordPushSent notes that a peer has acknowledged a push.
func RecordPushSent(tx *pop.Connection, name string) error {
	_, err := exec(tx, "record a push to "+name, `UPDATE peers SET last_push_sent_at = now() WHERE name = ?`, name)
	return err
}

// RecordPushReceived notes that a push of a peer was acknowledged.
func RecordPushReceived(tx *pop.Connection, name string) error {
	_, err := exec(tx, "record a push from "+name, `UPDATE peers SET last_push_received_at = now() WHERE name = ?`, name)
	return err
}

// UseNonce records a nonce until it expires and reports whether it was new. Within one transaction with what the request
// causes, a replay can cause nothing.
func UseNonce(tx *pop.Connection, keyID, nonce string, expires time.Time) (bool, error) {
	n, err := exec(tx, "record a nonce of "+keyID, `
		INSERT INTO nonces (key_id, nonce, expires_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, keyID, nonce, expires.UTC())
	return n == 1, err
}

// ForgetNonces removes the nonces whose signatures would be refused as expired anyway.
func ForgetNonces(tx *pop.Connection) error {
	_, err := exec(tx, "forget expired nonces", `DELETE FROM nonces WHERE expires_at < now()`)
	return err
}
