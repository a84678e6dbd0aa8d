package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"olympus/internal/pgxtx"
	"olympus/models"
)

// JobStateError says that a job is in a state in which nothing is to be done about it.
type JobStateError struct {
	ID    int64
	State string
}

func (e *JobStateError) Error() string { return fmt.Sprintf("job %d is %s", e.ID, e.State) }

// RetryJob has a job tried at once that waits for its next attempt or was given up. It returns models.ErrNotFound, or a *JobStateError if
// the job runs or is done.
func (d *Deployment) RetryJob(ctx context.Context, actor string, id int64) error {
	return d.changeJob(ctx, actor, "retry", id, "", func(tx pgx.Tx, state rivertype.JobState) error {
		if state == rivertype.JobStateRunning || state == rivertype.JobStateCompleted {
			return &JobStateError{id, string(state)}
		}
		_, err := d.Queue.client.JobRetryTx(ctx, tx, id)
		return err
	})
}

// DiscardJob gives a job up for a reason, one that runs as soon as it notices. It returns models.ErrNotFound, or a *JobStateError if the job
// has ended.
func (d *Deployment) DiscardJob(ctx context.Context, actor string, id int64, reason string) error {
	return d.changeJob(ctx, actor, "discard", id, reason, func(tx pgx.Tx, state rivertype.JobState) error {
		if state == rivertype.JobStateCompleted || state == rivertype.JobStateCancelled || state == rivertype.JobStateDiscarded {
			return &JobStateError{id, string(state)}
		}
		_, err := d.Queue.client.JobCancelTx(ctx, tx, id)
		return err
	})
}

func (d *Deployment) changeJob(ctx context.Context, actor, what string, id int64, reason string, change func(pgx.Tx, rivertype.JobState) error) error {
	return d.transaction(ctx, func(tx *pop.Connection) error {
		var kind string
		err := pgxtx.Do(ctx, tx, func(conn pgx.Tx) error {
			job, err := d.Queue.client.JobGetTx(ctx, conn, id)
			if err != nil {
				return err
			}
			kind = job.Kind
			return change(conn, job.State)
		})
		if errors.Is(err, river.ErrNotFound) {
			err = models.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("%s job %d: %w", what, id, err)
		}
		return models.Audit(tx, actor, what+" job", kind+" "+strconv.FormatInt(id, 10), reason)
	})
}
