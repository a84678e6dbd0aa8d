package worker

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/circuit"
	"olympus/internal/peer"
	"olympus/models"
)

// zipFailures is how many zips in a row a peer must send wrong, cut off or not at all before it is left out as a source of any: a few
// modules that are broken at a peer must not keep the others from being fetched there.
const zipFailures = 20

// circuits say which peers are left out of what others wait for (questions before a miss goes upstream, downloads, witnesses) because
// they did not answer several times in a row. Pulls and pushes are jobs of their own, with their own retries: they are sent in any case,
// and what becomes of them is heeded here.
type circuits struct {
	peers *circuit.Set // that answer at all
	zips  *circuit.Set // whose zips are good

	mu     sync.Mutex
	silent map[string]bool // by peer and kind of job: the last one failed
}

func newCircuits(d *Deployment) *circuits {
	opened := func(what string) func(string, error) {
		return func(name string, err error) {
			d.Log.Warn("a peer is left out for the moment", "peer", name, "of", what, "error", err)
			message := "left out of " + what + ", after several failures in a row: " + err.Error()
			d.record(context.Background(), func(tx *pop.Connection) error { return models.RecordPeerError(tx, name, message) })
		}
	}
	return &circuits{
		peers:  circuit.NewSet(circuit.Options{Opened: opened("what others wait for")}),
		zips:   circuit.NewSet(circuit.Options{Opened: opened("downloads"), Failures: zipFailures}),
		silent: make(map[string]bool),
	}
}

// Circuits tell of every peer and upstream that this process has asked whether it is left out at the moment.
type Circuits struct{ Peers, Upstreams map[string]bool }

// Circuits returns the circuits of this process, for people.
func (d *Deployment) Circuits() Circuits {
	all := Circuits{Peers: d.circuits.peers.All(), Upstreams: d.Upstream.Circuits()}
	for name, open := range d.circuits.zips.All() {
		all.Peers[name] = all.Peers[name] || open
	}
	return all
}

// enterForZip enters both circuits of a peer. leave is called with whether the peer answered, and whether what it sent was good.
func (c *circuits) enterForZip(name string) (leave func(answered, good circuit.Outcome, err error), err error) {
	leaveZips, err := c.zips.Enter(name)
	if err != nil {
		return nil, err
	}
	leavePeers, err := c.peers.Enter(name)
	if err != nil {
		leaveZips(circuit.Neither, nil)
		return nil, err
	}
	return func(answered, good circuit.Outcome, err error) {
		leavePeers(answered, err)
		leaveZips(good, err)
	}, nil
}

// heard heeds how a job that is sent in any case went. Only one that succeeds after others of its kind have failed shows that the peer is
// back: a peer may well answer pulls all the time, and let every question hang.
func (c *circuits) heard(kind, name string, err error) {
	failed := outcomeOf(err) == circuit.Failed
	if err != nil && !failed {
		return
	}
	key := kind + " " + name
	c.mu.Lock()
	back := c.silent[key] && !failed
	c.silent[key] = failed
	c.mu.Unlock()
	if back {
		c.peers.Close(name)
	}
	if failed {
		if leave, open := c.peers.Enter(name); open == nil {
			leave(circuit.Failed, err)
		}
	}
}

// outcomeOf tells whether a peer has answered, going by the error of a request to it: also that it does not have something, or refuses.
func outcomeOf(err error) circuit.Outcome {
	var status *peer.StatusError
	var shortened *peer.ShortenedError
	switch {
	case err == nil, errors.Is(err, peer.ErrNotFound), errors.Is(err, peer.ErrOtherBytes), errors.As(err, &shortened):
		return circuit.Answered
	case errors.Is(err, context.Canceled), errors.Is(err, ErrStopping):
		return circuit.Neither
	case errors.As(err, &status) && status.Status < http.StatusInternalServerError:
		return circuit.Answered
	}
	return circuit.Failed
}
