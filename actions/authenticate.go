package actions

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/signature"
	"olympus/models"
)

// nonceMargin is how long after its expiry a signature may still be accepted, by a clock that is behind.
const nonceMargin = 2 * time.Minute

// isSigned reports whether a request carries a signature that claims to be a deployment's. One under another label is somebody else's
// business, of a proxy on the way perhaps.
func isSigned(r *http.Request) bool {
	for _, input := range r.Header["Signature-Input"] {
		if strings.Contains(input, "olympus") {
			return true
		}
	}
	return false
}

// reader returns the peer that signed a request to read something, nil for a request that is unsigned or signed by a deployment
// that is no peer here: reading needs no credentials. What a peer signed must be in order, though, and is taken only once.
func (a *App) reader(r *http.Request) (*models.Peer, error) {
	if !isSigned(r) {
		return nil, nil
	}
	peer, verified, err := a.verify(r, nil)
	if _, ok := errors.AsType[noPeerError](err); ok {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return peer, useNonce(a.Deployment.DB.WithContext(r.Context()), verified)
}

// noPeerError says that a request is signed with a key that no peer here has.
type noPeerError struct{ error }

func (e noPeerError) Unwrap() error { return e.error }

// verify checks a signature against the pinned keys of the peers.
func (a *App) verify(r *http.Request, body []byte) (*models.Peer, *signature.Verified, error) {
	var peer *models.Peer
	unknown := false
	verified, err := a.verifier.Verify(r, body, func(keyID string) (string, error) {
		found, err := models.FindPeerByKeyID(a.Deployment.DB.WithContext(r.Context()), keyID)
		if errors.Is(err, models.ErrNotFound) {
			unknown = true
			return "", signature.ErrUnknownKey
		}
		if err != nil {
			return "", err
		}
		peer = found
		for _, key := range found.Keys() {
			if strings.HasPrefix(key, keyID+"+") {
				return key, nil
			}
		}
		return "", signature.ErrUnknownKey
	})
	if unknown {
		return nil, nil, noPeerError{err}
	}
	if err != nil {
		return nil, nil, err
	}
	if peer.State == models.PeerRemoved {
		// One that has asked to join again is a stranger until it is approved.
		pending, err := models.IsPending(a.Deployment.DB.WithContext(r.Context()), verified.KeyID)
		if err != nil {
			return nil, nil, err
		}
		if pending {
			return nil, nil, noPeerError{pendingHere(peer.Name)}
		}
	}
	// A quarantined peer may read on: what it lost, and what it is remembered to have signed, is what it needs to put itself right.
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if peer.State != models.PeerActive && !(reads && peer.State == models.PeerQuarantined) {
		return nil, nil, forbidden("peer %s is %s here", peer.Name, peer.State)
	}
	return peer, verified, nil
}

// stranger is the error for what only a peer may do, under a key that no peer has: a pending peer is told what it waits for.
func (a *App) stranger(r *http.Request, keyID string) error {
	pending, err := models.IsPending(a.Deployment.DB.WithContext(r.Context()), keyID)
	switch {
	case err != nil:
		return err
	case pending:
		name, _, _ := strings.Cut(keyID, "+")
		return pendingHere(name)
	}
	return unauthorized("unknown key %q", keyID)
}

func pendingHere(name string) error {
	return forbidden("peer %s is pending here: the operator has not approved it yet", name)
}

func useNonce(tx *pop.Connection, v *signature.Verified) error {
	fresh, err := models.UseNonce(tx, v.KeyID, v.Nonce, v.Expires.Add(nonceMargin))
	if err != nil {
		return err
	}
	if !fresh {
		return unauthorized("nonce %q of %s was used before: a request is signed anew each time it is sent", v.Nonce, v.KeyID)
	}
	return nil
}

// read lets pass whoever may read: see reader.
func (a *App) read(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			peer, err := a.reader(r)
			if err != nil {
				a.fail(w, r, err)
				return
			}
			if peer != nil {
				r = withReader(r, peer.Name)
			}
		}
		next(w, r)
	}
}
