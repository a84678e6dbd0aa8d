package worker

import (
	"context"

	"github.com/gobuffalo/pop/v6"
	"github.com/riverqueue/river"

	"olympus/models"
)

// fillAbandoned finishes a fill whose process died after .info and .mod had been recorded: they may have been answered, so the version
// must come into the log. It is safe to run twice: only one process at a time can claim a fill.
func (d *Deployment) fillAbandoned(ctx context.Context, job *river.Job[fillArgs]) error {
	return d.Fill(job.Args.Module, job.Args.Version).Wait(ctx)
}

// enqueueFills queues the fills that nobody is at.
func (d *Deployment) enqueueFills(tx *pop.Connection) error {
	abandoned, err := models.AbandonedFills(tx, patience, 100)
	if err != nil {
		return err
	}
	var jobs []river.InsertManyParams
	for _, f := range abandoned {
		if !f.Recorded() {
			// Nobody was answered anything: whoever still wants it asks again.
			if err := models.EndFill(tx, f.Module, f.Version); err != nil {
				return err
			}
			continue
		}
		jobs = append(jobs, river.InsertManyParams{
			Args:       fillArgs{f.Module, f.Version},
			InsertOpts: &river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: stillPulling}},
		})
	}
	return d.Queue.enqueue(tx, jobs...)
}

// letGoOfFills gives up what this process has claimed and is not at any more: when the fill ended the database could not be told.
func (d *Deployment) letGoOfFills(ctx context.Context) error {
	d.fills.mu.Lock()
	begun := d.fills.begun
	d.fills.mu.Unlock()
	if !begun {
		return nil
	}
	claimed, err := models.ClaimedFills(d.db(ctx), d.Process)
	if err != nil {
		return err
	}
	for i := range claimed {
		f := &claimed[i]
		// Looked at after the claims were read: one that was not there yet by then is none of them.
		if d.fills.isAt(f.Module, f.Version) {
			continue
		}
		if err := models.AbandonFill(d.db(ctx), f); err != nil {
			return err
		}
	}
	return nil
}
