package actions

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"olympus/internal/gate"
	"olympus/internal/peer"
	"olympus/internal/signature"
	"olympus/models"
)

const (
	// greetings is how many peers this process looks whether it can reach them, at a time; greetingTimeout how long that may take.
	greetings       = 4
	greetingTimeout = 5 * time.Second
)

// greet tells a peer whether it is known here, and reached. Only the configured address is asked; who is no peer learns just that.
func (a *App) greet(w http.ResponseWriter, r *http.Request) {
	g := peer.Greeting{Name: a.Deployment.Name, You: readerOf(r.Context())}
	if g.You != "" {
		leave, err := a.greetings.Enter(r.Context())
		if err != nil {
			a.fail(w, r, tooMany("too many greetings are being answered"))
			return
		}
		defer leave()
		if err := a.reaches(r.Context(), g.You); err != nil {
			g.Fault = told(err)
		}
	}
	if g.You == "" && isSigned(r) {
		// The signature of a stranger has not been looked at. That somebody is pending is no secret.
		if keyID, err := signature.ClaimedKeyID(r.Header); err == nil {
			if g.Pending, err = models.IsPending(a.Deployment.DB.WithContext(r.Context()), keyID); err != nil {
				a.fail(w, r, err)
				return
			}
		}
	}
	g.Time = time.Now().UTC()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(g)
}

// reaches makes sure that a peer answers at its address, with its own key.
func (a *App) reaches(ctx context.Context, name string) error {
	p, err := models.FindPeer(a.Deployment.DB.WithContext(ctx), name)
	if err != nil {
		return err
	}
	gate.EndTurn(ctx)
	ctx, cancel := context.WithTimeout(ctx, greetingTimeout)
	defer cancel()
	d, err := a.Deployment.Peers.Describe(ctx, p.URL)
	if err != nil {
		return err
	}
	if d.Name != p.Name || d.Key != p.Key && d.Key != p.OldKey {
		return fmt.Errorf("%s answers as %s with the key %s", p.URL, d.Name, d.Key)
	}
	return nil
}
