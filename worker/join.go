package worker

import (
	"context"
	"fmt"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/models"
)

// AskToJoin records that a deployment asks to become a peer, and returns what it is here now; anybody may ask, so the URL is kept and nobody
// goes there. The caller has made sure that the request is signed with the key; fresh is run in the same transaction if something is
// recorded, to see to it that the request is no replay.
func (d *Deployment) AskToJoin(ctx context.Context, j protocol.Join, fresh func(tx *pop.Connection) error) (*models.Peer, error) {
	url, err := d.checkPeer(j.Name, j.URL, j.Key)
	if err != nil {
		return nil, err
	}
	var p *models.Peer
	err = d.transaction(ctx, func(tx *pop.Connection) (err error) {
		if p, err = models.AskToJoin(tx, j.Name, url, j.Key); err != nil || p.State != models.PeerPending {
			return err
		}
		return fresh(tx)
	})
	return p, err
}

// ApprovePeer makes a pending peer an active one. The key is the one that the operator has compared: the request's must be the same. It
// returns models.ErrNotFound when there is no such pending peer.
func (d *Deployment) ApprovePeer(ctx context.Context, actor, name, key string) error {
	return d.transaction(ctx, func(tx *pop.Connection) error {
		p, err := models.FindPeer(tx, name)
		if err == nil && p.State != models.PeerPending {
			err = fmt.Errorf("peer %s is %s, not pending: %w", name, p.State, models.ErrNotFound)
		}
		if err != nil {
			return err
		}
		if p.Key != key {
			return fmt.Errorf("%w key of peer %s: it asks with the key %s (%s), not %.500s", ErrInvalid, name, p.Key, signature.Fingerprint(p.Key), key)
		}
		if err := models.SavePeer(tx, name, p.URL, key); err != nil {
			return err
		}
		return models.Audit(tx, actor, "approve peer", name, p.URL+" "+key)
	})
}

// errPending is the error for what cannot be done with a peer that waits for approval.
func errPending(name string) error {
	return fmt.Errorf("%w state of peer %s: it is pending; approve it, or remove it", ErrInvalid, name)
}

// AnnounceKey keeps the key that a peer says it will sign with, for the operator to take. It reports whether that has happened: then nothing
// changes. present is the key that the announcement is signed with; an old one, which counts for a while longer, announces nothing new. fresh is
// run in the same transaction, to see to it that the announcement is no replay.
func (d *Deployment) AnnounceKey(ctx context.Context, name, present string, k protocol.NewKey, fresh func(tx *pop.Connection) error) (accepted bool, err error) {
	if err := checkKey(name, k.Key); err != nil {
		return false, err
	}
	if err := signature.CheckNewKey(present, k.Key, k.Proof); err != nil {
		return false, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	err = d.transaction(ctx, func(tx *pop.Connection) error {
		if err := fresh(tx); err != nil {
			return err
		}
		p, err := models.FindPeer(tx, name)
		if err != nil {
			return err
		}
		accepted = p.Key == k.Key
		switch {
		case accepted || p.AnnouncedKey == k.Key:
			return nil
		case p.Key != present:
			return fmt.Errorf("%w key of peer %s: the present one is %s here, and only that announces another", ErrInvalid, name, p.Key)
		}
		return models.AnnounceKey(tx, name, k.Key)
	})
	return accepted, err
}
