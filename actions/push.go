package actions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/postgres"
	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/internal/tracing"
	"olympus/models"
)

// push takes a push notification of a peer: signature, body, one job, 202. The job and the nonce commit together before the answer, so
// what is acknowledged will be done, and a replay does nothing.
func (a *App) push(w http.ResponseWriter, r *http.Request) {
	sender, n, err := a.acceptPush(w, r)
	if err != nil {
		a.metrics.pushed(sender, statusOf(err), 0)
		a.fail(w, r, err)
		return
	}
	a.metrics.pushed(sender, http.StatusAccepted, n)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(map[string]int{"accepted": n})
}

// acceptPush returns the peer that has proved to be the sender, which may be one whose push is refused, and the number of events.
func (a *App) acceptPush(w http.ResponseWriter, r *http.Request) (sender string, n int, err error) {
	if r.ContentLength > protocol.MaxPushBytes {
		return "", 0, fmt.Errorf("a push of %d bytes: %w", r.ContentLength, protocol.ErrTooLarge)
	}
	// Whoever is no peer, or not even says to be one, is not listened to: bodies are held in memory.
	_, _, leave, err := a.turns.take(w, r)
	if err != nil {
		return "", 0, err
	}
	claimed, err := a.claimed(r)
	leave() // the body may take long
	if err != nil {
		return "", 0, err
	}
	size := r.ContentLength
	if size < 0 {
		size = protocol.MaxPushBytes
	}
	done, err := a.shares.push(claimed.Name, size)
	if err != nil {
		return "", 0, err
	}
	defer done()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, protocol.MaxPushBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return "", 0, fmt.Errorf("a push of more than %d bytes: %w", tooLarge.Limit, protocol.ErrTooLarge)
	}
	if err != nil {
		return "", 0, badRequest("the body of the push could not be read: %v", err)
	}
	if _, _, leave, err = a.turns.take(w, r); err != nil {
		return "", 0, err
	}
	defer leave()
	peer, verified, err := a.verify(r, body)
	if err != nil {
		return "", 0, err
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return peer.Name, 0, &statusError{status: http.StatusUnsupportedMediaType, message: fmt.Sprintf("content type %q: a push is application/json", r.Header.Get("Content-Type"))}
	}
	events, err := protocol.ParsePush(body)
	if err != nil {
		return peer.Name, 0, err
	}
	for i := range events {
		if events[i].Origin != peer.Name {
			return peer.Name, 0, forbidden("event %d has origin %q: %s pushes only events of its own", i, events[i].Origin, peer.Name)
		}
	}
	d := a.Deployment
	ctx, end := d.Tracer.Start(d.Tracer.FromPeer(r.Context(), r.Header), "push received", tracing.Peer(peer.Name), tracing.Events(len(events)))
	defer func() { end(err) }()
	err = postgres.Transaction(ctx, d.DB, func(tx *pop.Connection) error {
		if err := useNonce(tx, verified); err != nil {
			return err
		}
		if err := models.RecordPushReceived(tx, peer.Name); err != nil {
			return err
		}
		return d.EnqueueReceive(tx, peer.Name, events)
	})
	return peer.Name, len(events), err
}

// claimed returns the peer that a request claims to be of. Whether it is, verify says, once the body has been read.
func (a *App) claimed(r *http.Request) (*models.Peer, error) {
	keyID, err := signature.ClaimedKeyID(r.Header)
	if err != nil {
		return nil, err
	}
	peer, err := models.FindPeerByKeyID(a.Deployment.DB.WithContext(r.Context()), keyID)
	if errors.Is(err, models.ErrNotFound) {
		return nil, a.stranger(r, keyID)
	}
	return peer, err
}
