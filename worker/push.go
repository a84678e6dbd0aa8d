package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/tracing"
	"olympus/models"
)

const (
	// pushesPerPeer bounds the pushes that one process sends to one peer at a time. One that does not answer in time gets a single one
	// until it does: each attempt at it costs its whole patience.
	pushesPerPeer = 6

	// pushPlaceWait is how long a push waits for its turn before it makes way for other peers', for pushAside.
	pushPlaceWait = 250 * time.Millisecond
	pushAside     = 2 * time.Second

	// pushPatience is how old a push may become while others to the same peer are in its way.
	pushPatience = time.Minute
)

// pushArgs name a range of positions of our own log; what of it originated here is sent to the peer.
type pushArgs struct {
	Peer  string `json:"peer"`
	First int64  `json:"first"`
	Last  int64  `json:"last"`
}

func (pushArgs) Kind() string { return "push" }

func (d *Deployment) registerPush() error {
	return register(d.Queue, d.push, func(job *rivertype.JobRow) time.Time {
		return time.Now().Add(backoff(job.Attempt, max(d.PushBackoff, time.Millisecond), time.Hour))
	})
}

// enqueuePushes queues one push of the appended events for each active peer.
func (d *Deployment) enqueuePushes(tx *pop.Connection, appended []protocol.Logged) error {
	if len(appended) == 0 {
		return nil
	}
	peers, err := models.ActivePeers(tx)
	if err != nil {
		return err
	}
	jobs := make([]river.InsertManyParams, len(peers))
	for i, p := range peers {
		jobs[i] = river.InsertManyParams{
			Args:       pushArgs{Peer: p.Name, First: appended[0].Position, Last: appended[len(appended)-1].Position},
			InsertOpts: &river.InsertOpts{MaxAttempts: max(1, d.PushAttempts)},
		}
	}
	return d.Queue.enqueue(tx, jobs...)
}

// push tells a peer of our own new events. It is safe to run twice: the peer leaves out what it knows. When its attempts are used
// up the job is dropped, and the peer's next pull brings the events.
func (d *Deployment) push(ctx context.Context, job *river.Job[pushArgs]) error {
	tracing.About(ctx, tracing.Peer(job.Args.Peer))
	p, err := models.FindPeer(d.db(ctx), job.Args.Peer)
	giveUp := func(err error) error {
		d.recordDelivery(ctx, job.Args, job.Attempt, err)
		return river.JobCancel(err)
	}
	if errors.Is(err, models.ErrNotFound) || err == nil && p.State != models.PeerActive {
		return giveUp(fmt.Errorf("push to %s: it is no longer an active peer", job.Args.Peer))
	}
	if err != nil {
		return err
	}
	leave, again := d.pushes.enter(ctx, p.Name)
	if leave == nil {
		if time.Since(job.CreatedAt) > pushPatience {
			d.metrics.pushes.WithLabelValues(p.Name, "dropped").Inc()
			return giveUp(fmt.Errorf("push to %s: dropped, because too many wait for it", p.Name))
		}
		return river.JobSnooze(again)
	}
	events, err := models.OwnEvents(d.db(ctx), d.Name, job.Args.First, job.Args.Last)
	if err != nil {
		leave(nil)
		return err
	}
	for _, part := range pushParts(events) {
		if err = d.sendPush(ctx, p, part); err != nil {
			err = fmt.Errorf("push to %s: %w", p.Name, err)
			break
		}
	}
	leave(err)
	d.circuits.heard("push", p.Name, err)
	if err != nil {
		d.record(ctx, func(tx *pop.Connection) error { return models.RecordPeerError(tx, p.Name, err.Error()) })
		if refused, ok := errors.AsType[*peer.StatusError](err); ok && refused.Status == http.StatusForbidden {
			// We are paused there, or not approved yet: trying again soon helps nobody. When that ends the peer pulls.
			return giveUp(err)
		}
		if job.Attempt >= job.MaxAttempts {
			d.recordDelivery(ctx, job.Args, job.Attempt, err)
		}
		return err
	}
	d.record(ctx, func(tx *pop.Connection) error { return models.RecordPushSent(tx, p.Name) })
	d.recordDelivery(ctx, job.Args, job.Attempt, nil)
	return nil
}

// pushTimeout bounds one push, the largest over a slow line.
const pushTimeout = time.Minute

func (d *Deployment) sendPush(ctx context.Context, p *models.Peer, events []protocol.Event) error {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	err := d.Peers.Push(ctx, target(p), events)
	d.metrics.pushes.WithLabelValues(p.Name, resultOf(err)).Inc()
	return err
}

// pushParts cuts events into pushes that a receiver accepts. An event too large for any push is left to pulling.
func pushParts(events []protocol.Logged) [][]protocol.Event {
	var parts [][]protocol.Event
	var part []protocol.Event
	size := 0
	const envelope = 64
	for i := range events {
		e := events[i].Event
		n := len(protocol.AppendEvent(nil, &e)) + 1
		if n+envelope > protocol.MaxPushBytes {
			continue
		}
		if len(part) == protocol.MaxPushEvents || size+n+envelope > protocol.MaxPushBytes {
			parts, part, size = append(parts, part), nil, 0
		}
		part, size = append(part, e), size+n
	}
	if len(part) > 0 {
		parts = append(parts, part)
	}
	return parts
}

// target is where a peer is spoken to.
func target(p *models.Peer) peer.Target {
	return peer.Target{Name: p.Name, URL: p.URL, Key: p.Key}
}
