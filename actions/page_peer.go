package actions

import (
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/gobuffalo/buffalo"
	"github.com/gobuffalo/pop/v6"

	"olympus/models"
)

const (
	// paceOver is the time over which the pace of catching up is measured.
	paceOver = 10 * time.Minute
	// shownErrors is how many failed pushes the page of a peer shows.
	shownErrors = 5
)

type onePeerView struct {
	Peer                      peerView
	PeersHref                 string
	Epoch, CatchUp, Behind    string
	Sent, Failed, GivenUp     string
	FailedClass, GivenUpClass string
	Pull, Push                string
	Plots                     []*plot
	PlotNote                  string
	Errors                    []pushErrorView
}

// pushErrorView is a push that failed, for people.
type pushErrorView struct {
	ID, State, Attempt, Error string
	At                        template.HTML
}

// showPeer shows one peer.
func (p *pages) showPeer(c buffalo.Context) error {
	peer, queued, err := p.findPeer(c)
	if errors.Is(err, models.ErrNotFound) {
		for _, action := range []string{"/pull", "/pause", "/resume", "/accept", "/approve", "/rekey"} {
			if strings.HasSuffix(c.Param("name"), action) {
				return notAllowed(c.Response(), c.Request(), http.MethodPost)
			}
		}
	}
	if err != nil {
		return err
	}
	if wantsJSON(c.Request()) {
		return p.json(c, http.StatusOK, newOnePeerJSON(peer, queued))
	}
	now := time.Now()
	view := onePeerView{Peer: p.peerView(peer, queued), PeersHref: p.link("peers"), Epoch: "none yet"}
	if peer.Epoch > 0 {
		view.Epoch = counted(peer.Epoch)
	}
	pull, push := ways(peer, queued[peer.Name], p.Deployment.PullInterval, now)
	view.Pull, view.Push = pull.Words(), push.Words()
	if peer.Lag() > 0 {
		view.Behind = "for " + roughly(peer.LagTime(now))
	}
	db := p.Deployment.DB.WithContext(c)
	if view.CatchUp, err = catchUp(db, peer); err != nil {
		return err
	}
	lags, err := models.LagOfDay(db, peer.Name, plotStep)
	if err != nil {
		return err
	}
	if view.Plots = newPlots(lags); len(view.Plots) > 0 {
		view.PlotNote = view.Plots[0].Note
	}
	if err := view.readPushes(db, peer.Name); err != nil {
		return err
	}
	upToDate(c, topicPeers)
	return p.html(c, http.StatusOK, "peer", peer.Name, view)
}

// readPushes adds what the queue knows of the pushes to a peer.
func (view *onePeerView) readPushes(db *pop.Connection, peer string) error {
	counts, err := models.CountPushes(db, peer)
	if err != nil {
		return err
	}
	view.Sent, view.Failed, view.GivenUp = counted(counts.Sent), counted(counts.Failed), counted(counts.GivenUp)
	if counts.More {
		view.Sent += " or more"
	}
	if counts.Failed > 0 {
		view.FailedClass = "warn"
	}
	if counts.GivenUp > 0 {
		view.GivenUpClass = "warn"
	}
	failed, err := models.FailedPushes(db, peer, shownErrors)
	for i := range failed {
		f := &failed[i]
		view.Errors = append(view.Errors, pushErrorView{counted(f.ID), f.State, counted(int64(f.Attempt)), oneLine(f.Error), ago(&f.At)})
	}
	return err
}

// catchUp says what it would take until all of a peer's log is taken.
func catchUp(db *pop.Connection, peer *models.Peer) (string, error) {
	if peer.Lag() == 0 {
		return "Nothing is left to take, as far as its head is known.", nil
	}
	before, age, err := models.LagBefore(db, peer.Name, paceOver)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return "", err
	}
	return catchUpIn(peer, before, age), nil
}

// catchUpIn is the same, from what the lag was some time ago; 0 if that is not known.
func catchUpIn(peer *models.Peer, before int64, age time.Duration) string {
	left := some(peer.Lag(), "event") + " left; how long that takes is unknown: "
	switch {
	case peer.State != models.PeerActive:
		return left + "the peer is " + peer.State + "."
	case age < time.Minute/2:
		return left + "there is no sample of the last minutes to compare with."
	case before <= peer.Lag():
		return left + "it was not less in the last " + roughly(age) + "."
	}
	remaining := time.Duration(float64(peer.Lag()) / float64(before-peer.Lag()) * float64(age))
	return some(peer.Lag(), "event") + " left; at the pace of the last " + roughly(age) + " about " + roughly(max(remaining, time.Second)) + "."
}

// findPeer returns the peer that a path names, and the number of queued pushes by peer. A removed one is not found.
func (p *pages) findPeer(c buffalo.Context) (*models.Peer, map[string]int64, error) {
	db := p.Deployment.DB.WithContext(c)
	name := c.Param("name")
	peer, err := models.FindPeer(db, name)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return nil, nil, err
	}
	if err != nil || peer.State == models.PeerRemoved {
		return nil, nil, noPeer(name)
	}
	queued, err := models.QueuedPushes(db)
	return peer, queued, err
}
