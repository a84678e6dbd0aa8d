package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gobuffalo/pop/v6"
	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/peer"
	"olympus/internal/signature"
	"olympus/internal/transparency"
	"olympus/models"
)

// peerLog is what is known of a peer's log while it is being pulled: what has been verified, and the edge of the tree at the place that
// the pull has come to. Mostly the two are at the same size; not after the pull pointer was set back.
type peerLog struct {
	peer     *models.Peer
	verified *transparency.Checkpoint // nil: nothing yet
	edge     *transparency.Edge       // nil: to be read from the peer's tiles
}

// errNewEpoch: the peer has begun a new epoch of its log, and said so under its signature. Its log is taken from the start.
var errNewEpoch = errors.New("the peer has begun a new epoch of its log")

// forkError says that a peer has signed two things about its log that cannot both be true.
type forkError struct {
	before, after string // the notes
	what          string
}

func (e *forkError) Error() string {
	return "the peer has signed two histories of its log: " + e.what
}

func newPeerLog(p *models.Peer) (*peerLog, error) {
	l := &peerLog{peer: p}
	if p.Checkpoint != "" {
		verified, err := rememberedCheckpoint(p)
		if err != nil {
			return nil, err
		}
		l.verified = verified
	}
	switch {
	case p.PullPosition == 0:
		l.edge = &transparency.Edge{}
	case l.verified != nil && p.VerifiedSize == p.PullPosition:
		edge, err := transparency.ParseEdge(p.VerifiedSize, p.Edge)
		if err != nil {
			return nil, err
		}
		l.edge = edge
	}
	return l, nil
}

// openCheckpoint checks the signature of a note of a peer about its own log, and reads it.
func openCheckpoint(p *models.Peer, note string) (*transparency.Checkpoint, error) {
	text, err := signature.OpenNote([]byte(note), p.Keys()...)
	if err != nil {
		return nil, err
	}
	return transparency.ParseCheckpoint(text, p.Name)
}

// rememberedCheckpoint reads what was verified of the log of a peer. Its signature was checked then; the key may have been changed since.
func rememberedCheckpoint(p *models.Peer) (*transparency.Checkpoint, error) {
	return parseSigned(p.Checkpoint, p.Name)
}

// parseSigned reads the checkpoint in a signed note without looking at the signatures.
func parseSigned(note, origin string) (*transparency.Checkpoint, error) {
	text, _, _ := strings.Cut(note, "\n\n")
	return transparency.ParseCheckpoint(text+"\n", origin)
}

// proof is what a page proves, to be kept once its events are recorded.
type proof struct {
	checkpoint *transparency.Checkpoint // nil: the peer has never signed its log, and nothing is proved
	note       string
	edge       *transparency.Edge
}

// prove hashes the events of a page onto the edge of the tree over those before, and compares the root with the one that the page's
// checkpoint signs: then the page is a true piece of the log that was signed, with nothing left out, changed or moved, and a continuation
// of what was verified before. It costs a hash for each event, and no request, unless the pull pointer was set back.
func (l *peerLog) prove(ctx context.Context, peers *peer.Client, got page) (*proof, error) {
	if got.Checkpoint == "" {
		if l.verified != nil {
			return nil, errors.New("the page carries no checkpoint, and earlier ones did")
		}
		return &proof{}, nil
	}
	c, err := openCheckpoint(l.peer, got.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("checkpoint of the page: %w", err)
	}
	if c.Size != got.Next {
		return nil, fmt.Errorf("the checkpoint of the page is about %d events, the page ends at %d", c.Size, got.Next)
	}
	verified := l.verified
	if verified != nil && c.Epoch != verified.Epoch {
		if c.Epoch < verified.Epoch {
			return nil, fmt.Errorf("the checkpoint of the page is of epoch %d, which ended before epoch %d began", c.Epoch, verified.Epoch)
		}
		if got.after > 0 {
			return nil, errNewEpoch
		}
		verified = nil
	}
	// Whatever is read from the peer's tiles is checked against the larger of the two trees that it has signed.
	tree := tlog.Tree{N: c.Size, Hash: c.Root}
	if verified != nil && verified.Size > c.Size {
		tree = tlog.Tree{N: verified.Size, Hash: verified.Root}
	}
	tiles := tlog.TileHashReader(tree, &tileReader{peers.Tiles(ctx, target(l.peer))})
	edge := l.edge
	if edge == nil || edge.Size() != got.after {
		if edge, err = transparency.ReadEdge(got.after, tiles); err != nil {
			return nil, err
		}
	}
	edge = edge.Clone()
	for i := range got.Events {
		edge.Append(transparency.Leaf(&got.Events[i].Event))
	}
	if edge.Root() != c.Root {
		return nil, l.mismatch(ctx, peers, c, got.Checkpoint,
			fmt.Sprintf("events %d to %d are not those of the tree of %d events that it has signed", got.after+1, got.Next, c.Size))
	}
	if verified != nil && verified.Size != got.after {
		// The page does not begin where verifying ended: the two trees are compared.
		smaller, want := verified.Size, verified.Root
		if c.Size < smaller {
			smaller, want = c.Size, c.Root
		}
		root, err := tlog.TreeHash(smaller, tiles)
		if err != nil {
			return nil, err
		}
		if root != want {
			return nil, l.mismatch(ctx, peers, c, got.Checkpoint, fmt.Sprintf("the tree of %d events does not continue that of %d", c.Size, verified.Size))
		}
	}
	return &proof{c, got.Checkpoint, edge}, nil
}

// mismatch finds out whether what does not fit is the peer's word against its own, which is evidence, or just a bad page. For evidence it
// takes two checkpoints of one size and epoch.
func (l *peerLog) mismatch(ctx context.Context, peers *peer.Client, c *transparency.Checkpoint, note, what string) error {
	if l.verified == nil || l.verified.Epoch != c.Epoch || l.verified.Size == 0 {
		return errors.New(what)
	}
	if c.Size != l.verified.Size {
		again, err := peers.EventLog(ctx, target(l.peer), l.verified.Size-1, 1, 0)
		if err != nil {
			return fmt.Errorf("%s; and asked for what was verified: %w", what, err)
		}
		note = again.Checkpoint
		if c, err = openCheckpoint(l.peer, note); err != nil {
			return fmt.Errorf("%s; and asked for what was verified: %w", what, err)
		}
	}
	if c.Epoch != l.verified.Epoch || c.Size != l.verified.Size || c.Root == l.verified.Root {
		return errors.New(what)
	}
	return &forkError{l.peer.Checkpoint, note, fmt.Sprintf("%d events of epoch %d with two roots", c.Size, c.Epoch)}
}

// shortened is called when the peer says that its log ends before the pull pointer. Either it has begun a new epoch, or it has signed a
// log that it does not have any more; without a signature it is just an error.
func (l *peerLog) shortened(ctx context.Context, peers *peer.Client, cause error) error {
	if l.verified == nil {
		return cause
	}
	note, err := peers.Checkpoint(ctx, target(l.peer))
	if err != nil {
		return fmt.Errorf("%w; and asked for its checkpoint: %w", cause, err)
	}
	c, err := openCheckpoint(l.peer, note)
	if err != nil {
		return fmt.Errorf("%w; and asked for its checkpoint: %w", cause, err)
	}
	switch {
	case c.Epoch > l.verified.Epoch:
		return errNewEpoch
	case c.Epoch == l.verified.Epoch && c.Size < l.verified.Size:
		return &forkError{l.peer.Checkpoint, note, fmt.Sprintf("%d events, and later %d, of epoch %d", l.verified.Size, c.Size, c.Epoch)}
	}
	return cause
}

// moveOn takes over what a page has proved, once it is recorded.
func (l *peerLog) moveOn(p *proof) {
	if p.checkpoint == nil {
		return
	}
	l.edge = p.edge
	if p.isNews(l.verified) {
		l.verified = p.checkpoint
		l.peer.Checkpoint = p.note
	}
}

// isNews reports whether the proof goes beyond what was verified before. Pages that are taken again do not.
func (p *proof) isNews(verified *transparency.Checkpoint) bool {
	return p.checkpoint != nil && (verified == nil || p.checkpoint.Epoch > verified.Epoch || p.checkpoint.Size >= verified.Size)
}

// startAgain takes the log of a peer from the start: under a new epoch, everything in it may be another. What was verified of the epoch
// before is remembered until the first page of the new one, so that nobody can go back to it.
func (d *Deployment) startAgain(ctx context.Context, p *models.Peer) error {
	d.Log.Warn("a peer has begun a new epoch of its log, which is taken from the start", "peer", p.Name)
	return models.RewindPullPointer(d.db(ctx), p.Name, 0)
}

// quarantine keeps the evidence against a peer and stops pulling from it.
func (d *Deployment) quarantine(ctx context.Context, p *models.Peer, fork *forkError) {
	d.record(ctx, func(tx *pop.Connection) error { return models.Quarantine(tx, p.Name, fork.before, fork.after) })
	d.Log.Error("A PEER IS QUARANTINED: it has signed two histories of its log", "peer", p.Name, "what", fork.what)
}

// ReviewQuarantined ends the quarantine of peers that have declared a new epoch since: what they signed before is given up by their own
// word, as after a restore that they noticed late. A new epoch is all that they can say; without one an operator decides.
func (d *Deployment) ReviewQuarantined(ctx context.Context) error {
	peers, err := models.Peers(d.db(ctx))
	if err != nil {
		return err
	}
	for i := range peers {
		p := &peers[i]
		if p.State != models.PeerQuarantined {
			continue
		}
		verified, err := rememberedCheckpoint(p)
		if err != nil {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, witnessTimeout)
		note, err := d.Peers.Checkpoint(bounded, target(p))
		cancel()
		if err != nil {
			continue // the next time
		}
		if c, err := openCheckpoint(p, note); err != nil || c.Epoch <= verified.Epoch {
			continue
		}
		d.Log.Warn("a quarantined peer has declared a new epoch of its log, which is taken from the start", "peer", p.Name)
		if err := d.AcceptPeer(ctx, "new epoch", p.Name); err != nil {
			return err
		}
	}
	return nil
}

// tileReader is what golang.org/x/mod reads tiles through. Nothing is kept: whoever needs tiles needs them once.
type tileReader struct{ tiles transparency.Tiles }

func (r *tileReader) Height() int                                   { return transparency.TileHeight }
func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) { return r.tiles(tiles) }
func (r *tileReader) SaveTiles(tiles []tlog.Tile, data [][]byte)    {}
