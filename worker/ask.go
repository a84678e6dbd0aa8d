package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/tracing"
	"olympus/models"
)

// askTimeout bounds how long a miss waits for what peers know: a client is waiting, and upstream comes next.
const askTimeout = 2 * time.Second

// askPeers asks every active peer for a version and merges what they know, as if it had been pulled: origins stay as they are, nothing
// is pushed, no pull pointer moves. It reports whether the version is known or deleted now. A peer never fills in turn.
func (d *Deployment) askPeers(ctx context.Context, path, version string) (known bool, err error) {
	peers, err := models.ActivePeers(d.db(ctx))
	if err != nil || len(peers) == 0 {
		return false, err
	}
	traced, end := d.Tracer.Start(ctx, "ask peers")
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(traced, askTimeout)
	defer cancel()
	var (
		mu     sync.Mutex
		wg     sync.WaitGroup
		events []protocol.Event
		from   []models.Arrival
	)
	for _, p := range peers {
		leave, err := d.circuits.peers.Enter(p.Name)
		if err != nil {
			continue // each miss would wait for its time-out
		}
		wg.Go(func() {
			ctx, end := d.Tracer.Start(ctx, "ask peer", tracing.Peer(p.Name))
			logged, _, err := d.Peers.Module(ctx, target(&p), path, version)
			leave(outcomeOf(err), err)
			if errors.Is(err, peer.ErrNotFound) {
				end(nil) // an answer like another
			} else {
				end(err)
			}
			if err != nil {
				if !errors.Is(err, peer.ErrNotFound) {
					d.Log.InfoContext(ctx, "a peer could not be asked for a version", "peer", p.Name, "module", path, "version", version, "error", err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range logged {
				events = append(events, logged[i].Event)
				from = append(from, models.Arrival{Way: models.ByQuestion, Peer: p.Name})
			}
		})
	}
	wg.Wait()
	if len(events) == 0 {
		return false, nil
	}
	if err := d.take(traced, events, from); err != nil {
		return false, err
	}
	for _, e := range events {
		if e.Kind != protocol.KindDeprecate {
			return true, nil
		}
	}
	return false, nil
}
