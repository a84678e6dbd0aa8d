package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"olympus/internal/peer"
	"olympus/internal/signature"
	"olympus/internal/transparency"
	"olympus/models"
)

// witnessTimeout bounds how long the first signature of a process waits for what peers remember.
const witnessTimeout = 3 * time.Second

// witnesses are the peers that this process has asked what they remember of our log. Their word counts where the blob store was restored
// from a backup together with the database, or lost.
type witnesses struct {
	mu    sync.Mutex
	asked map[string]bool
}

func newWitnesses() *witnesses { return &witnesses{asked: make(map[string]bool)} }

// heedWitnesses asks every active peer that has not been asked by this process what it remembers of our log.
func (d *Deployment) heedWitnesses(ctx context.Context) error {
	peers, err := models.ActivePeers(d.db(ctx))
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for i := range peers {
		wg.Go(func() {
			if err := d.heedWitness(ctx, &peers[i]); err != nil {
				d.Log.Info("a peer could not be asked what it remembers of our log", "peer", peers[i].Name, "error", err)
			}
		})
	}
	wg.Wait()
	return nil
}

// heedWitness asks a peer once for the newest checkpoint that it has verified of our own log. If we have signed something that our log
// does not extend, the database was restored from a backup, and a new epoch begins. Only our own signature counts, so a peer can remind us
// of what we have said and of nothing else.
func (d *Deployment) heedWitness(ctx context.Context, p *models.Peer) error {
	d.witnesses.mu.Lock()
	asked := d.witnesses.asked[p.Name]
	d.witnesses.mu.Unlock()
	if asked {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, witnessTimeout)
	defer cancel()
	note, err := d.Peers.Witness(ctx, target(p), d.Name)
	if err != nil && !errors.Is(err, peer.ErrNotFound) {
		return err
	}
	d.witnesses.mu.Lock()
	d.witnesses.asked[p.Name] = true
	d.witnesses.mu.Unlock()
	if err != nil {
		return nil // it remembers nothing
	}
	text, err := signature.OpenNote(d.Signer.VerifierKey(), []byte(note))
	if err != nil {
		return err
	}
	signed, err := transparency.ParseCheckpoint(text, d.Name)
	if err != nil {
		return err
	}
	// After the note was read: what other processes append and sign meanwhile is no log that is ahead of ours.
	if err := models.GrowTree(d.db(ctx)); err != nil {
		return err
	}
	tree, err := models.ReadTree(d.db(ctx))
	if err != nil {
		return err
	}
	c, err := d.checkpointOf(ctx, tree)
	if err != nil {
		return err
	}
	extends, err := d.extends(ctx, c, signed)
	if err != nil || extends {
		return err
	}
	return d.beginEpoch(ctx, tree.Epoch, signed)
}
