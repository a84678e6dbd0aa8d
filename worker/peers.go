package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gobuffalo/pop/v6"
	"golang.org/x/mod/module"

	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/models"
)

// ErrInvalid is in the chain of the errors for what an administrator asked and cannot be: it has to be asked differently.
var ErrInvalid = errors.New("invalid")

// AddPeer makes another deployment a peer, or changes the URL and key of one. The key is pinned: no push and no request without its
// signature is taken for this peer's. Under a new key a peer's log is taken from the start. Adding what is there already changes
// nothing. actor says by which way the administrator came, for the audit trail.
func (d *Deployment) AddPeer(ctx context.Context, actor, name, url, key string) error {
	url, err := d.checkPeer(name, url, key)
	if err != nil {
		return err
	}
	return d.transaction(ctx, func(tx *pop.Connection) error {
		before, err := models.FindPeer(tx, name)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return err
		}
		if err == nil && before.State != models.PeerRemoved && before.State != models.PeerPending && before.URL == url && before.Key == key {
			return nil
		}
		if err := models.SavePeer(tx, name, url, key); err != nil {
			return err
		}
		return models.Audit(tx, actor, "add peer", name, url+" "+key)
	})
}

// checkPeer checks what is to be kept of a peer and returns its URL in normal form.
func (d *Deployment) checkPeer(name, url, key string) (string, error) {
	if err := protocol.ValidateName(name); err != nil {
		return "", fmt.Errorf("%w peer: %w", ErrInvalid, err)
	}
	url, err := signature.BaseURL(url)
	if err != nil {
		return "", fmt.Errorf("%w url of peer %s: %w", ErrInvalid, name, err)
	}
	if err := checkKey(name, key); err != nil {
		return "", err
	}
	if name == d.Name {
		return "", fmt.Errorf("%w peer: %s is this deployment itself", ErrInvalid, name)
	}
	return url, nil
}

// checkKey makes sure that a key can be that of the peer.
func checkKey(name, key string) error {
	keyName, _, _, err := signature.ParseVerifierKey(key)
	if err != nil {
		return fmt.Errorf("%w key of peer %s: %w", ErrInvalid, name, err)
	}
	if keyName != name {
		return fmt.Errorf("%w key of peer %s: it is the key of %s", ErrInvalid, name, keyName)
	}
	return nil
}

// ChangePeerKey gives a peer the key that it is about to sign with, for the same log. The key before counts for the overlap longer, 0 refuses
// it from now on. It returns models.ErrNotFound when there is no such peer.
func (d *Deployment) ChangePeerKey(ctx context.Context, actor, name, key string, overlap time.Duration) error {
	return d.transaction(ctx, func(tx *pop.Connection) error {
		before, err := models.FindPeer(tx, name)
		if err != nil {
			return err
		}
		if before.State == models.PeerPending {
			return errPending(name)
		}
		if _, err := d.checkPeer(name, before.URL, key); err != nil {
			return err
		}
		if err := models.ChangePeerKey(tx, name, key, overlap); err != nil {
			return err
		}
		return models.Audit(tx, actor, "change key", name, fmt.Sprintf("%s; the one before counts for %s", key, overlap))
	})
}

// SetPeerState pauses (models.PeerPaused), resumes (models.PeerActive) or removes (models.PeerRemoved) a peer. It returns
// models.ErrNotFound when there is none of that name.
func (d *Deployment) SetPeerState(ctx context.Context, actor, name, state string) error {
	var action string
	switch state {
	case models.PeerPaused:
		action = "pause peer"
	case models.PeerActive:
		action = "resume peer"
	case models.PeerRemoved:
		action = "remove peer"
	default:
		return fmt.Errorf("%w state %q of peer %s", ErrInvalid, state, name)
	}
	return d.transaction(ctx, func(tx *pop.Connection) error {
		before, err := models.FindPeer(tx, name)
		if err != nil {
			return err
		}
		set := models.SetPeerState
		switch {
		case before.State == models.PeerQuarantined && state != models.PeerRemoved:
			return fmt.Errorf("%w state of peer %s: it is quarantined; accept its new history, or remove it", ErrInvalid, name)
		case before.State == models.PeerPending && state != models.PeerRemoved:
			return errPending(name)
		case before.State == models.PeerPending:
			set = func(tx *pop.Connection, name, _ string) error { return models.RefuseToJoin(tx, name) }
		}
		if err := set(tx, name, state); err != nil {
			return err
		}
		if before.State == state {
			return nil // asked again: nothing to tell of
		}
		return models.Audit(tx, actor, action, name, "")
	})
}

// AcceptPeer ends the quarantine of a peer: its new history is taken from the start. It returns models.ErrNotFound when there is no such
// peer, or it is not quarantined.
func (d *Deployment) AcceptPeer(ctx context.Context, actor, name string) error {
	return d.transaction(ctx, func(tx *pop.Connection) error {
		p, err := models.FindPeer(tx, name)
		if err != nil {
			return err
		}
		if err := models.AcceptPeer(tx, name); err != nil {
			return err
		}
		// The evidence goes with the quarantine; what was accepted stays on record.
		return models.Audit(tx, actor, "accept peer", name, p.EvidenceBefore+"\n"+p.EvidenceAfter)
	})
}

// Prefetch makes a version held before a client asks for it. query is a version, or what upstream resolves to one: "latest", a branch,
// a commit. It returns the version and waits until its zip is held.
func (d *Deployment) Prefetch(ctx context.Context, path, query string) (version string, err error) {
	if err := module.CheckPath(path); err != nil || len(path) > protocol.MaxPathBytes {
		if err == nil {
			err = fmt.Errorf("longer than %d bytes", protocol.MaxPathBytes)
		}
		return "", fmt.Errorf("%w module: %w", ErrInvalid, err)
	}
	if _, err := module.EscapeVersion(query); err != nil || len(query) > protocol.MaxVersionBytes {
		return "", fmt.Errorf("%w version %.100q: neither a version nor a version query", ErrInvalid, query)
	}
	version = query
	if module.Check(path, version) != nil || module.CanonicalVersion(version) != version {
		if _, version, err = d.Query(ctx, path, query); err != nil {
			return "", fmt.Errorf("resolve %s@%s: %w", path, query, err)
		}
	}
	// Somebody wants it now: that it was unknown a moment ago does not count.
	d.ForgetUnknown(path, version)
	// A version that is known is not filled but fetched, and a deleted one is refused.
	if err := d.Fill(path, version).Wait(ctx); err != nil {
		return version, fmt.Errorf("prefetch %s@%s: %w", path, version, err)
	}
	return version, nil
}
