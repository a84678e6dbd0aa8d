package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/gobuffalo/pop/v6"
	"github.com/riverqueue/river"

	"olympus/internal/protocol"
	"olympus/models"
)

// removeArgs name a deleted version.
type removeArgs struct {
	Module  string `json:"module"`
	Version string `json:"version"`
}

func (removeArgs) Kind() string { return "remove" }

func (d *Deployment) registerRemove() error {
	return register(d.Queue, d.remove, nil)
}

// enqueueRemoves queues the removal of the zips of deleted versions.
func (d *Deployment) enqueueRemoves(tx *pop.Connection, deleted []removeArgs) error {
	jobs := make([]river.InsertManyParams, len(deleted))
	for i := range deleted {
		jobs[i] = river.InsertManyParams{Args: deleted[i]}
	}
	return d.Queue.enqueue(tx, jobs...)
}

// removeAgain queues the removal of zips that are, or may be, in the blob store although their versions are deleted.
func (d *Deployment) removeAgain(ctx context.Context) error {
	left, err := models.Unremoved(d.db(ctx), maxRemoveAgain)
	if err != nil || len(left) == 0 {
		return err
	}
	deleted := make([]removeArgs, len(left))
	for i := range left {
		deleted[i] = removeArgs{left[i].Module, left[i].Version}
	}
	return d.transaction(ctx, func(tx *pop.Connection) error { return d.enqueueRemoves(tx, deleted) })
}

// maxRemoveAgain bounds the removals that are queued again at a time.
const maxRemoveAgain = 100

// remove takes the zip of a deleted version out of the blob store, and those that were stored and never recorded as held because their
// process died. It is safe to run twice: removing what is gone is no error, and a tombstone is for ever. The row says held until the blob
// is really gone; what a download that is under way stores yet, that takes back itself, or else removeAgain finds its lease.
func (d *Deployment) remove(ctx context.Context, job *river.Job[removeArgs]) error {
	module, version := job.Args.Module, job.Args.Version
	v, err := models.FindVersion(d.db(ctx), module, version)
	if errors.Is(err, models.ErrNotFound) || err == nil && !v.Deleted {
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.transaction(ctx, func(tx *pop.Connection) error { return models.EndFill(tx, module, version) }); err != nil {
		return err
	}
	events, err := models.EventsOf(d.db(ctx), module, version)
	if err != nil {
		return err
	}
	for i := range events {
		if events[i].Kind != protocol.KindAdd {
			continue
		}
		if err := d.Store.Delete(ctx, events[i].ZipSHA256); err != nil {
			return fmt.Errorf("remove the zip of %s@%s: %w", module, version, err)
		}
	}
	return models.MarkRemoved(d.db(ctx), module, version)
}
