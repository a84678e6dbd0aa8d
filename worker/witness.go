package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/peer"
	"olympus/internal/signature"
	"olympus/internal/transparency"
	"olympus/models"
)

// witnessTimeout bounds how long the first signature of a process waits for what peers remember.
const witnessTimeout = 3 * time.Second

// compareEvery is how often what was verified of a peer's log is compared with what other peers have verified of it.
const compareEvery = 10 * time.Minute

// witnesses are the peers that this process has asked what they remember of our log, whose word counts where the blob store was restored
// from a backup together with the database, or lost; and when others were last asked what they were shown of a peer's log.
type witnesses struct {
	mu       sync.Mutex
	asked    map[string]bool
	compared map[string]time.Time
}

func newWitnesses() *witnesses {
	return &witnesses{asked: make(map[string]bool), compared: make(map[string]time.Time)}
}

// compareNow reports, once in a while, that a peer's log is to be compared.
func (w *witnesses) compareNow(peer string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.compared[peer]) < compareEvery {
		return false
	}
	w.compared[peer] = time.Now()
	return true
}

// compare asks the other peers what they have verified of a peer's log. A deployment that shows one history to one and another to the
// other is found out by whoever asks first: both have its signature. A peer that cannot be asked is asked the next time.
func (d *Deployment) compare(ctx context.Context, l *peerLog) error {
	if l.verified == nil || !d.witnesses.compareNow(l.peer.Name) {
		return nil
	}
	others, err := models.ActivePeers(d.db(ctx))
	if err != nil {
		return err
	}
	for i := range others {
		if others[i].Name == l.peer.Name {
			continue
		}
		note, err := d.askWitness(ctx, &others[i], l.peer.Name)
		if err != nil {
			continue // it knows nothing, or cannot be asked
		}
		c, err := openCheckpoint(l.peer, note)
		if err != nil {
			continue // not the peer's word: of another key, or made up
		}
		if err := l.agrees(ctx, d.Peers, c, note); err != nil {
			return fmt.Errorf("what %s was shown: %w", others[i].Name, err)
		}
	}
	return nil
}

// askWitness asks a peer for the newest checkpoint that it has verified of a log, unless it did not answer of late.
func (d *Deployment) askWitness(ctx context.Context, p *models.Peer, log string) (string, error) {
	leave, err := d.circuits.peers.Enter(p.Name)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, witnessTimeout)
	defer cancel()
	note, err := d.Peers.Witness(ctx, target(p), log)
	leave(outcomeOf(err), err)
	return note, err
}

// agrees compares a checkpoint that the peer has signed for somebody else with what it has proved to us.
func (l *peerLog) agrees(ctx context.Context, peers *peer.Client, c *transparency.Checkpoint, note string) error {
	if c.Epoch != l.verified.Epoch || c.Size == 0 {
		return nil // of another epoch: there the log may be another
	}
	smaller, larger := c, l.verified
	if c.Size > l.verified.Size {
		smaller, larger = l.verified, c
	}
	root := larger.Root
	if smaller.Size < larger.Size {
		// If the peer cannot show that the smaller tree is the beginning of the larger one, that is a failure; only that it is not is evidence.
		tiles := tlog.TileHashReader(tlog.Tree{N: larger.Size, Hash: larger.Root}, &tileReader{peers.Tiles(ctx, target(l.peer))})
		var err error
		if root, err = tlog.TreeHash(smaller.Size, tiles); err != nil {
			return fmt.Errorf("compare %d events with %d: %w", smaller.Size, larger.Size, err)
		}
	}
	if root == smaller.Root {
		return nil
	}
	return &forkError{l.peer.Checkpoint, note, fmt.Sprintf("%d events and %d of epoch %d that do not continue each other", l.verified.Size, c.Size, c.Epoch)}
}

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
	note, err := d.askWitness(ctx, p, d.Name)
	if err != nil && !errors.Is(err, peer.ErrNotFound) {
		return err
	}
	d.witnesses.mu.Lock()
	d.witnesses.asked[p.Name] = true
	d.witnesses.mu.Unlock()
	if err != nil {
		return nil // it remembers nothing
	}
	text, err := signature.OpenNote([]byte(note), d.Signer.VerifierKeys()...)
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
