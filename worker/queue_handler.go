package worker

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// handler works the jobs of a kind: what all kinds have in common is here.
type handler[A river.JobArgs] struct {
	river.WorkerDefaults[A]
	queue     *Queue
	work      func(context.Context, *river.Job[A]) error
	nextRetry func(*rivertype.JobRow) time.Time
}

func (h *handler[A]) Work(ctx context.Context, job *river.Job[A]) error {
	h.queue.begin(job.ID)
	defer h.queue.end(job.ID)
	defer h.queue.measure(job.JobRow)()
	ctx, end := h.queue.trace(ctx, job.JobRow)
	err := h.work(ctx, job)
	end(failureOf(err))
	return err
}

func (h *handler[A]) NextRetry(job *river.Job[A]) time.Time {
	if h.nextRetry == nil {
		return time.Time{}
	}
	return h.nextRetry(job.JobRow)
}
