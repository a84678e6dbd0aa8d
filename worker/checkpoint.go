package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/blob"
	"olympus/internal/postgres"
	"olympus/internal/transparency"
	"olympus/models"
)

// keptCheckpoints is how many signed checkpoints a process remembers: peers that catch up ask for those of the same pages.
const keptCheckpoints = 10_000

// checkpoints are what this process has signed of the log.
type checkpoints struct {
	// signing is full while the head is being signed, so that all who want it share one signature. Who has it also has last and so on.
	signing chan struct{}
	// last is the newest checkpoint that this process knows to be kept outside the database, and end when the last event in it was
	// logged: a database that has taken over for another may have grown as long as that, with other events.
	last   *transparency.Checkpoint
	end    time.Time
	warned time.Time // when it was last told that one could not be kept
	signed *lru.Cache[epochSize, []byte]
}

type epochSize struct {
	epoch, size int64
	goSum       bool // in the form for the go command
}

func newCheckpoints() *checkpoints {
	cache, _ := lru.New[epochSize, []byte](keptCheckpoints) // fails only for sizes below 1
	return &checkpoints{signing: make(chan struct{}, 1), signed: cache}
}

// Checkpoint returns the signed checkpoint of the first events of the log, as many as size says; -1 stands for all of them.
//
// A signature cannot be taken back. So the newest is kept outside the database, in the blob store, before anybody gets to see it, and
// nothing is signed that does not extend what is kept there: a database that was restored from a backup begins a new epoch first.
func (d *Deployment) Checkpoint(ctx context.Context, size int64) ([]byte, error) {
	note, _, err := d.checkpoint(ctx, size, false)
	return note, err
}

// CheckpointUpTo is Checkpoint, but of fewer events, as many as signed says, while what would be signed cannot be kept: when the disk is
// full, say. Peers then learn of the others a little later.
func (d *Deployment) CheckpointUpTo(ctx context.Context, size int64) (note []byte, signed int64, err error) {
	last, err := d.newest(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("sign the log: %w", err)
	}
	note, c, err := d.sign(ctx, last, min(size, last.Size), false)
	if err != nil {
		return nil, 0, err
	}
	return note, c.Size, nil
}

// GoSumTree is Checkpoint of the whole log in the form that the go command wants of a checksum database.
func (d *Deployment) GoSumTree(ctx context.Context) ([]byte, error) {
	note, _, err := d.checkpoint(ctx, -1, true)
	return note, err
}

func (d *Deployment) checkpoint(ctx context.Context, size int64, goSum bool) ([]byte, *transparency.Checkpoint, error) {
	last, err := d.newest(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the log: %w", err)
	}
	if size < 0 {
		size = last.Size
	}
	if size > last.Size {
		return nil, nil, fmt.Errorf("sign the log up to %d: it ends at %d", size, last.Size)
	}
	return d.sign(ctx, last, size, goSum)
}

// sign signs the first events of a log whose newest checkpoint is kept outside.
func (d *Deployment) sign(ctx context.Context, last *transparency.Checkpoint, size int64, goSum bool) ([]byte, *transparency.Checkpoint, error) {
	c := &transparency.Checkpoint{Origin: d.Name, Size: size, Root: last.Root, Epoch: last.Epoch, After: last.After}
	if goSum {
		c.Origin = transparency.GoSumTree
	}
	key := epochSize{last.Epoch, size, goSum}
	if note, ok := d.checkpoints.signed.Get(key); ok {
		return note, c, nil
	}
	if size < last.Size {
		root, err := tlog.TreeHash(size, models.Tiles(d.db(ctx)))
		if err != nil {
			return nil, nil, fmt.Errorf("sign the log up to %d: %w", size, err)
		}
		c.Root = root
	}
	note, err := d.Signer.SignNote(c.Text())
	if err != nil {
		return nil, nil, err
	}
	d.checkpoints.signed.Add(key, note)
	return note, c, nil
}

// KeepSigned signs the head if nobody has: what is kept outside the database never falls far behind, and one that was restored from a
// backup is noticed as soon as a process starts.
func (d *Deployment) KeepSigned(ctx context.Context) error {
	_, err := d.newest(ctx)
	return err
}

// newest returns the checkpoint of the whole log, which is kept outside by then.
func (d *Deployment) newest(ctx context.Context) (*transparency.Checkpoint, error) {
	// Whoever waits for one that cannot ask the database does not wait longer than if he had to ask himself.
	if err := postgres.Enter(ctx, d.checkpoints.signing); err != nil {
		return nil, err
	}
	defer func() { <-d.checkpoints.signing }()
	if d.checkpoints.last == nil { // nothing has been signed by this process yet
		if err := d.heedWitnesses(ctx); err != nil {
			return nil, err
		}
	}
	for {
		tree, err := models.ReadTree(d.db(ctx))
		if err != nil {
			return nil, err
		}
		if last := d.checkpoints.last; last != nil && last.Epoch == tree.Epoch && last.Size == tree.Size && tree.Size == tree.Head && d.checkpoints.end.Equal(tree.LoggedAt) {
			return last, nil
		}
		kept, err := d.keptOutside(ctx)
		if err != nil {
			return nil, err
		}
		if tree.Size < tree.Head { // an earlier release has appended
			if err := models.GrowTree(d.db(ctx)); err != nil {
				return nil, err
			}
		}
		// Once more, after what is kept outside was read: others append and sign meanwhile, and theirs is no log that is ahead of ours.
		if tree, err = models.ReadTree(d.db(ctx)); err != nil {
			return nil, err
		}
		if tree.Size < tree.Head {
			continue
		}
		c, err := d.checkpointOf(ctx, tree)
		if err != nil {
			return nil, err
		}
		if kept != nil {
			extends, err := d.extends(ctx, c, kept)
			if err != nil {
				return nil, err
			}
			if !extends {
				if err := d.beginEpoch(ctx, tree.Epoch, kept); err != nil {
					return nil, err
				}
				continue
			}
		}
		note, err := d.Signer.SignNote(c.Text())
		if err != nil {
			return nil, err
		}
		if kept == nil || kept.Epoch != c.Epoch || kept.Size != c.Size {
			err := d.Store.SaveCheckpoint(ctx, c.Epoch, c.Size, note)
			if errors.Is(err, blob.ErrExists) {
				continue // another process was faster, maybe with another log: look again
			}
			if err != nil {
				return d.fallBack(c, kept, err)
			}
		}
		d.checkpoints.last, d.checkpoints.end = c, tree.LoggedAt
		d.checkpoints.signed.Add(epochSize{c.Epoch, c.Size, false}, note)
		return c, nil
	}
}

// fallBack is for a store that takes no checkpoint: what has been kept before is a checkpoint of this log as well, though not of all of it.
func (d *Deployment) fallBack(c, kept *transparency.Checkpoint, err error) (*transparency.Checkpoint, error) {
	if kept == nil || kept.Epoch != c.Epoch {
		return nil, err
	}
	if time.Since(d.checkpoints.warned) > time.Minute {
		d.checkpoints.warned = time.Now()
		d.Log.Error("could not keep a checkpoint: peers are shown the log up to the last one that is kept", "kept_events", kept.Size, "events", c.Size, "error", err)
	}
	return kept, nil
}

func (d *Deployment) checkpointOf(ctx context.Context, tree *models.Tree) (*transparency.Checkpoint, error) {
	root, err := tlog.TreeHash(tree.Size, models.Tiles(d.db(ctx)))
	if err != nil {
		return nil, err
	}
	c := &transparency.Checkpoint{Origin: d.Name, Size: tree.Size, Root: root, Epoch: tree.Epoch}
	if tree.AfterSize != nil {
		c.After = &transparency.End{Size: *tree.AfterSize, Root: tlog.Hash(tree.AfterRoot)}
	}
	return c, nil
}

// keptOutside returns the checkpoint that is kept in the blob store, nil if there is none. That it is there is what counts, not who signed
// it: the key may have been changed since.
func (d *Deployment) keptOutside(ctx context.Context) (*transparency.Checkpoint, error) {
	note, err := d.Store.LastCheckpoint(ctx)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	kept, err := parseSigned(string(note), d.Name)
	if err != nil {
		return nil, fmt.Errorf("read the checkpoint in the blob store: %w", err)
	}
	return kept, nil
}

// extends reports whether the log, of which c is the checkpoint, extends what an earlier one says of it.
func (d *Deployment) extends(ctx context.Context, c, earlier *transparency.Checkpoint) (bool, error) {
	if !c.Extends(earlier) {
		return false, nil
	}
	if c.Epoch > earlier.Epoch || c.Size == earlier.Size {
		return true, nil
	}
	root, err := tlog.TreeHash(earlier.Size, models.Tiles(d.db(ctx)))
	return root == earlier.Root, err
}

// beginEpoch begins the epoch after the one in which something was signed that this log does not extend.
func (d *Deployment) beginEpoch(ctx context.Context, present int64, signed *transparency.Checkpoint) error {
	next := max(present, signed.Epoch) + 1
	begun, err := models.BeginEpoch(d.db(ctx), present, next, signed.Size, signed.Root)
	if err == nil && begun {
		d.Log.Error("THE DATABASE IS OLDER THAN WHAT THIS DEPLOYMENT HAS SIGNED, as after a restore from a backup: "+
			"a new epoch of the event log begins, and peers will bring back what they have",
			"epoch", next, "signed_epoch", signed.Epoch, "signed_events", signed.Size)
	}
	return err
}
