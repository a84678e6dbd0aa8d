package actions

import (
	"context"
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

// nonceOnce records the nonce of a verified request, or refuses the request as a replay.
type nonceOnce func(ctx context.Context, v *signature.Verified) error

// authenticate returns the active peer that signed a request. body is nil for a request without one. once is called when all
// else is in order; nil leaves the nonce to the caller, who must use it in the transaction of what the request causes.
func (a *App) authenticate(r *http.Request, body []byte, once nonceOnce) (*models.Peer, error) {
	peer, verified, err := a.verify(r, body)
	if err != nil {
		return nil, err
	}
	return peer, once(r.Context(), verified)
}

// verify checks a signature against the pinned keys of the peers.
func (a *App) verify(r *http.Request, body []byte) (*models.Peer, *signature.Verified, error) {
	var peer *models.Peer
	verified, err := a.verifier.Verify(r, body, func(keyID string) (string, error) {
		found, err := models.FindPeerByKeyID(a.Deployment.DB.WithContext(r.Context()), keyID)
		if errors.Is(err, models.ErrNotFound) {
			return "", signature.ErrUnknownKey
		}
		if err != nil {
			return "", err
		}
		peer = found
		return found.Key, nil
	})
	if err != nil {
		return nil, nil, err
	}
	if peer.State != models.PeerActive {
		return nil, nil, forbidden("peer %s is %s here", peer.Name, peer.State)
	}
	return peer, verified, nil
}

func (a *App) rememberNonce(ctx context.Context, v *signature.Verified) error {
	return useNonce(a.Deployment.DB.WithContext(ctx), v)
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

// signed lets unsigned requests pass, and of signed ones only those of active peers: a signature is never just ignored.
func (a *App) signed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if isSigned(r) {
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				a.fail(w, r, badRequest("%s %s: only reading is done with a peer's signature here", r.Method, r.URL.Path))
				return
			}
			if _, err := a.authenticate(r, nil, a.rememberNonce); err != nil {
				a.fail(w, r, err)
				return
			}
		}
		next(w, r)
	}
}
