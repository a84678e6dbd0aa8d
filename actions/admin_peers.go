package actions

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gobuffalo/buffalo"

	"olympus/internal/signature"
	"olympus/models"
)

func noPeer(name string) error { return fmt.Errorf("peer %q: %w", name, models.ErrNotFound) }

// putPeer adds a peer, or changes its URL and key.
func (p *pages) putPeer(c buffalo.Context) error {
	var body struct {
		URL string `json:"url"`
		Key string `json:"key"`
	}
	if err := readBody(c, &body); err != nil {
		return err
	}
	name := c.Param("name")
	switch {
	case body.URL == "":
		return badRequest(`field "url" is missing: where the peer is reached`)
	case body.Key == "":
		return p.confirmKey(c, body.URL)
	case signature.Fingerprint(body.Key) == signature.Fingerprint(p.Deployment.Signer.VerifierKey()):
		return badRequest("the key is that of this deployment itself: a peer has its own")
	}
	status := http.StatusOK
	if _, _, err := p.findPeer(c); errors.Is(err, models.ErrNotFound) {
		status = http.StatusCreated
	} else if err != nil {
		return err
	}
	if err := p.Deployment.AddPeer(c, actorOf(c), name, body.URL, body.Key); err != nil {
		return err
	}
	return p.answerPeer(c, status)
}

// confirmKey refuses to pin a key unseen, and shows the one that the address answers with.
func (p *pages) confirmKey(c buffalo.Context, url string) error {
	described, err := p.Deployment.Peers.Describe(c, url)
	if err != nil {
		return badRequest(`field "key" is missing, and the deployment could not be asked for it: %v`, err)
	}
	return badRequest(`field "key" is missing. %s calls itself %s and has the key %s (fingerprint %s): compare it there, and send it as "key"`,
		url, described.Name, described.Key, signature.Fingerprint(described.Key))
}

// answerPeer answers with the peer as it is now.
func (p *pages) answerPeer(c buffalo.Context, status int) error {
	peer, queued, err := p.findPeer(c)
	if err != nil {
		return err
	}
	return p.json(c, status, newOnePeerJSON(peer, queued))
}

func (p *pages) setPeer(c buffalo.Context, state string) error {
	return p.Deployment.SetPeerState(c, actorOf(c), c.Param("name"), state)
}

// deletePeer removes a peer.
func (p *pages) deletePeer(c buffalo.Context) error {
	if err := p.setPeer(c, models.PeerRemoved); err != nil {
		return err
	}
	if f := formOf(c.Request().Context()); f != nil {
		return p.goOn(c, f, noticeOf(c.Request(), nil))
	}
	return c.Render(http.StatusNoContent, nil)
}

// pausePeer stops all traffic with a peer until it is resumed.
func (p *pages) pausePeer(c buffalo.Context) error {
	if err := p.setPeer(c, models.PeerPaused); err != nil {
		return err
	}
	return p.answerPeer(c, http.StatusOK)
}

// resumePeer ends a pause.
func (p *pages) resumePeer(c buffalo.Context) error {
	if err := p.setPeer(c, models.PeerActive); err != nil {
		return err
	}
	return p.answerPeer(c, http.StatusOK)
}

// acceptPeer ends the quarantine of a peer.
func (p *pages) acceptPeer(c buffalo.Context) error {
	peer, _, err := p.findPeer(c)
	if err != nil {
		return err
	}
	if peer.State != models.PeerQuarantined {
		return &statusError{status: http.StatusConflict, message: fmt.Sprintf("peer %s is %s, not quarantined", peer.Name, peer.State)}
	}
	if err := p.Deployment.AcceptPeer(c, actorOf(c), peer.Name); err != nil {
		return err
	}
	return p.answerPeer(c, http.StatusOK)
}

// approvePeer makes a pending peer an active one. The key says what the operator has seen.
func (p *pages) approvePeer(c buffalo.Context) error {
	var body struct {
		Key string `json:"key"`
	}
	if err := readBody(c, &body); err != nil {
		return err
	}
	peer, _, err := p.findPeer(c)
	switch {
	case err != nil:
		return err
	case body.Key == "":
		return badRequest(`field "key" is missing: the key of the peer, as you have compared it`)
	case peer.State != models.PeerPending:
		return &statusError{status: http.StatusConflict, message: fmt.Sprintf("peer %s is %s, not pending", peer.Name, peer.State)}
	}
	if err := p.Deployment.ApprovePeer(c, actorOf(c), peer.Name, body.Key); err != nil {
		return err
	}
	return p.answerPeer(c, http.StatusOK)
}

// keyOverlap is how long the key of a peer counts after it was changed, unless the request says otherwise.
const keyOverlap = "168h"

// rekeyPeer takes a new key of a peer.
func (p *pages) rekeyPeer(c buffalo.Context) error {
	body := struct {
		Key     string `json:"key"`
		Overlap string `json:"overlap"`
	}{Overlap: keyOverlap}
	if err := readBody(c, &body); err != nil {
		return err
	}
	overlap, err := time.ParseDuration(body.Overlap)
	if err != nil || overlap < 0 {
		return badRequest(`field "overlap" is %.40q: want a duration such as "24h", or "0s"`, body.Overlap)
	}
	peer, _, err := p.findPeer(c)
	if err != nil {
		return err
	}
	if err := p.Deployment.ChangePeerKey(c, actorOf(c), peer.Name, body.Key, overlap); err != nil {
		return err
	}
	return p.answerPeer(c, http.StatusOK)
}

// pullPeer takes the log of a peer up to its head now, and waits for that.
func (p *pages) pullPeer(c buffalo.Context) error {
	peer, _, err := p.findPeer(c)
	if err != nil {
		return err
	}
	switch peer.State {
	case models.PeerActive:
	case models.PeerPending:
		return &statusError{status: http.StatusConflict, message: fmt.Sprintf("peer %s is pending: approve it first", peer.Name)}
	case models.PeerQuarantined:
		return &statusError{status: http.StatusConflict, message: fmt.Sprintf("peer %s is quarantined: accept its new history first", peer.Name)}
	default:
		return &statusError{status: http.StatusConflict, message: fmt.Sprintf("peer %s is %s: resume it first", peer.Name, peer.State)}
	}
	pulled, err := p.Deployment.Pull(c, peer.Name, 0)
	if err != nil {
		// Whatever it was, the reason is for the administrator to read.
		return &statusError{status: http.StatusBadGateway, message: err.Error()}
	}
	return p.json(c, http.StatusOK, map[string]int64{
		"pulled": int64(pulled.Pulled), "appended": int64(pulled.Appended), "pull_position": pulled.PullPosition,
	})
}
