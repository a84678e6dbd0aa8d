package actions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/models"
)

// introductions is how many requests to join, and announcements of keys, this process works at a time: anybody may ask, and each asks the
// database.
const introductions = 2

// join takes the request of a deployment to become a peer. Its key cannot be known here yet: that the request is signed with the key that
// it names shows that the sender has it, and no more. Nothing is asked of the address that it names; an operator decides.
func (a *App) join(w http.ResponseWriter, r *http.Request) {
	p, err := a.acceptJoin(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	status := http.StatusOK
	if p.State == models.PeerPending {
		status = http.StatusAccepted
	}
	writeState(w, status, p.State)
}

func (a *App) acceptJoin(w http.ResponseWriter, r *http.Request) (*models.Peer, error) {
	body, err := readIntroduction(w, r)
	if err != nil {
		return nil, err
	}
	leave, err := a.introductions.Enter(r.Context())
	if err != nil {
		return nil, tooMany("too many introductions are being worked")
	}
	defer leave()
	j, err := protocol.ParseJoin(body)
	if err != nil {
		return nil, err
	}
	if _, _, _, err := signature.ParseVerifierKey(j.Key); err != nil {
		return nil, badRequest("malformed key: %.400s", err.Error())
	}
	if signature.Fingerprint(j.Key) == signature.Fingerprint(a.Deployment.Signer.VerifierKey()) {
		return nil, badRequest("the key is that of this deployment itself: a peer has its own")
	}
	verified, err := a.verifier.Verify(r, body, func(keyID string) (string, error) {
		if strings.HasPrefix(j.Key, keyID+"+") {
			return j.Key, nil
		}
		return "", signature.ErrUnknownKey
	})
	if err != nil {
		return nil, err
	}
	p, err := a.Deployment.AskToJoin(r.Context(), j, func(tx *pop.Connection) error {
		often, err := models.AskedOften(tx, verified.KeyID)
		if err == nil && often {
			err = fmt.Errorf("%s: %w", verified.KeyID, models.ErrTooManyPending)
		}
		if err != nil {
			return err
		}
		return useNonce(tx, verified)
	})
	switch {
	case errors.Is(err, models.ErrOtherKey):
		return nil, &statusError{status: http.StatusConflict, cause: err,
			message: fmt.Sprintf("%s is known here with another key: its operator has to tell the one here", j.Name)}
	case errors.Is(err, models.ErrTooManyPending):
		return nil, &statusError{status: http.StatusTooManyRequests, message: err.Error() + ": come again later", cause: err}
	case err == nil && p.State == models.PeerPending:
		a.Log.Info("a deployment asks to become a peer", "peer", p.Name, "url", p.URL, "fingerprint", signature.Fingerprint(p.Key))
	}
	return p, err
}

// announceKey takes from a peer the key that it will sign with. It counts for nothing until an operator takes it: whoever has stolen a key must
// not be able to put one of his own in its place unseen.
func (a *App) announceKey(w http.ResponseWriter, r *http.Request) {
	accepted, err := a.acceptAnnouncement(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if accepted {
		writeState(w, http.StatusOK, "accepted")
		return
	}
	writeState(w, http.StatusAccepted, "announced")
}

func (a *App) acceptAnnouncement(w http.ResponseWriter, r *http.Request) (accepted bool, err error) {
	body, err := readIntroduction(w, r)
	if err != nil {
		return false, err
	}
	leave, err := a.introductions.Enter(r.Context())
	if err != nil {
		return false, tooMany("too many introductions are being worked")
	}
	defer leave()
	if _, err := a.claimed(r); err != nil {
		return false, err
	}
	p, verified, err := a.verify(r, body)
	if err != nil {
		return false, err
	}
	k, err := protocol.ParseNewKey(body)
	if err != nil {
		return false, err
	}
	present := p.Key
	if !strings.HasPrefix(present, verified.KeyID+"+") {
		present = p.OldKey
	}
	return a.Deployment.AnnounceKey(r.Context(), p.Name, present, k, func(tx *pop.Connection) error { return useNonce(tx, verified) })
}

// readIntroduction reads a body that may come from anybody.
func readIntroduction(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, &statusError{status: http.StatusUnsupportedMediaType, message: fmt.Sprintf("content type %q: want application/json", r.Header.Get("Content-Type"))}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, protocol.MaxJoinBytes))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fmt.Errorf("a body of more than %d bytes: %w", tooLarge.Limit, protocol.ErrTooLarge)
	}
	if err != nil {
		return nil, badRequest("the body could not be read: %v", err)
	}
	return body, nil
}

func writeState(w http.ResponseWriter, status int, state string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"state": state})
}
