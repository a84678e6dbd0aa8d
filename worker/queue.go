package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gobuffalo/buffalo/worker"
	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"olympus/internal/pgxtx"
	"olympus/internal/postgres"
	"olympus/internal/tracing"
)

// Queue is Buffalo's worker.Worker over River: a durable queue of jobs in the same Postgres as everything else. Jobs are queued
// inside the transaction that causes them, are worked by any process that has the worker role, and outlive all of them.
type Queue struct {
	client  *river.Client[pgx.Tx]
	workers *river.Workers
	names   map[string]bool // that have a handler
	pool    *pgxpool.Pool
	started bool
	// stopping ends when Stop is called: what only waits may end at once.
	stopping context.Context
	stop     context.CancelFunc

	waited, took *prometheus.HistogramVec // by kind of job
	tracer       *tracing.Tracer          // nil: jobs are not traced

	// background is what requests have begun and goes on without them: see beside.
	background sync.WaitGroup

	mu sync.Mutex
	// work are the jobs that this process is at, and those that have ended of late, with the time: until River has recorded the end,
	// and it tries for some seconds, they still count as running.
	work map[int64]time.Time
}

var _ worker.Worker = (*Queue)(nil)

// workersPerKind bounds how many jobs of a kind one process works at a time. A queue of its own for each kind keeps one that waits
// for a slow peer from holding up the others.
var workersPerKind = map[string]int{
	"push":    24, // at most pushesPerPeer for one
	"receive": 8,
	"pull":    64, // one per peer; nearly all of the time it waits for news
	"fetch":   1,  // works through the backlog with many downloads at a time
	"fill":    4,
	"remove":  2,
	"scrub":   1,
	"default": 4,
}

// jobPoll is how often each queue is looked at for jobs of which no notification came: those that are tried again, above all. What is
// not in pollOf is looked at so often.
const jobPoll = 5 * time.Second

var pollOf = map[string]time.Duration{
	"push": time.Second, // that is when a first retry is due, by default
}

// maxAttempts is for jobs that must not be given up: what was acknowledged is done in the end.
const maxAttempts = math.MaxInt16

// NewQueue connects a queue to the database. process is recorded with each job that this process works.
func NewQueue(ctx context.Context, databaseURL, process string, log *slog.Logger) (*Queue, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	config.MaxConns = 10
	// A connection that every poll uses need not be asked whether it lives before each: should it not, the poll fails, and the next gets another.
	config.ShouldPing = func(_ context.Context, c pgxpool.ShouldPingParams) bool { return c.IdleDuration > 2*jobPoll }
	postgres.Queueing.Apply(config.ConnConfig)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	queues := make(map[string]river.QueueConfig, len(workersPerKind))
	for kind, n := range workersPerKind {
		queues[kind] = river.QueueConfig{MaxWorkers: n, FetchPollInterval: pollOf[kind]}
	}
	workers := river.NewWorkers()
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		ID:                          process,
		Logger:                      log,
		Queues:                      queues,
		Workers:                     workers,
		SkipUnknownJobCheck:         true,
		FetchCooldown:               5 * time.Millisecond,
		FetchPollInterval:           jobPoll,
		MaxAttempts:                 maxAttempts,
		RetryPolicy:                 retryPolicy{},
		CompletedJobRetentionPeriod: time.Hour,
		// Jobs bound themselves, and what a dead process leaves is taken up through its missing heartbeat (see tick.go), long
		// before River's own rescue, which looks at the clock only and would run a long download twice.
		JobTimeout:           -1,
		RescueStuckJobsAfter: 24 * time.Hour,
		SoftStopTimeout:      8 * time.Second,
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	q := &Queue{client: client, workers: workers, names: make(map[string]bool), pool: pool, work: make(map[int64]time.Time)}
	q.waited, q.took = newJobMetrics()
	q.stopping, q.stop = context.WithCancel(context.Background())
	return q, nil
}

// Start begins to work jobs. They go on when ctx ends, so that requests can still be served while a server drains: Stop ends them.
func (q *Queue) Start(context.Context) error {
	if err := q.client.Start(q.stopping); err != nil {
		return fmt.Errorf("start the queue: %w", err)
	}
	q.started = true
	return nil
}

// Stop lets running jobs end, for a bounded time, and returns when none is left. What runs beside them is cut short.
func (q *Queue) Stop() error {
	q.mu.Lock()
	q.stop()
	q.mu.Unlock()
	if q.started {
		<-q.client.Stopped()
	}
	q.background.Wait()
	q.pool.Close()
	return nil
}

// beside runs f beside the jobs. Its context ends when Stop is called, and Stop waits for it, so that it never meets a closed database.
// Once that has happened, beside reports false and f does not run.
func (q *Queue) beside(f func(ctx context.Context)) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopping.Err() != nil {
		return false
	}
	q.background.Go(func() { f(q.stopping) })
	return true
}

// Register makes a handler work the jobs of a name. It must come before Start. Numbers in the arguments of a job are float64, as
// in any JSON.
func (q *Queue) Register(name string, h worker.Handler) error {
	if q.names[name] {
		return fmt.Errorf("a handler named %q is already registered", name)
	}
	q.names[name] = true
	river.AddWorkerArgs(q.workers, namedArgs{name: name}, &handler[namedArgs]{
		queue: q,
		work:  func(_ context.Context, job *river.Job[namedArgs]) error { return h(job.Args.args) },
	})
	return nil
}

// Perform queues a job to be worked as soon as possible.
func (q *Queue) Perform(job worker.Job) error { return q.PerformAt(job, time.Time{}) }

// PerformIn queues a job to be worked after a while.
func (q *Queue) PerformIn(job worker.Job, d time.Duration) error {
	return q.PerformAt(job, time.Now().Add(d))
}

// PerformAt queues a job to be worked at a time.
func (q *Queue) PerformAt(job worker.Job, t time.Time) error {
	opts := &river.InsertOpts{Queue: job.Queue, ScheduledAt: t}
	if opts.Queue == "" {
		opts.Queue = queueOf(job.Handler)
	}
	if _, err := q.client.Insert(context.Background(), namedArgs{name: job.Handler, args: job.Args}, opts); err != nil {
		return fmt.Errorf("queue a %s job: %w", job.Handler, err)
	}
	return nil
}

// enqueue queues jobs inside a transaction: they exist if and only if it commits.
func (q *Queue) enqueue(tx *pop.Connection, jobs ...river.InsertManyParams) error {
	if len(jobs) == 0 {
		return nil
	}
	for i := range jobs {
		opts := river.InsertOpts{}
		if jobs[i].InsertOpts != nil {
			opts = *jobs[i].InsertOpts
		}
		opts.Queue = queueOf(jobs[i].Args.Kind())
		opts.Metadata = withTrace(tx.Context(), jobs[i].Args.Kind(), opts.Metadata)
		jobs[i].InsertOpts = &opts
	}
	err := pgxtx.Do(tx.Context(), tx, func(conn pgx.Tx) error {
		_, err := q.client.InsertManyTx(tx.Context(), conn, jobs)
		return err
	})
	if err != nil {
		return fmt.Errorf("queue a %s job: %w", jobs[0].Args.Kind(), err)
	}
	return nil
}

func queueOf(kind string) string {
	if _, ok := workersPerKind[kind]; ok {
		return kind
	}
	return "default"
}

// register makes a function with typed arguments work the jobs of a kind. Such jobs may also be queued through Perform, with the
// kind as the handler's name and the same arguments as a map.
func register[A river.JobArgs](q *Queue, work func(context.Context, *river.Job[A]) error, nextRetry func(*rivertype.JobRow) time.Time) error {
	var args A
	if q.names[args.Kind()] {
		return fmt.Errorf("a handler named %q is already registered", args.Kind())
	}
	q.names[args.Kind()] = true
	return river.AddWorkerSafely(q.workers, &handler[A]{queue: q, work: work, nextRetry: nextRetry})
}

func (q *Queue) begin(job int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.work[job] = time.Time{}
}

func (q *Queue) end(job int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.work[job] = time.Now()
}

// atWork returns the jobs that this process is at, or was until a moment ago.
func (q *Queue) atWork() []int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	jobs := make([]int64, 0, len(q.work))
	for job, ended := range q.work {
		if !ended.IsZero() && time.Since(ended) > patience {
			delete(q.work, job)
			continue
		}
		jobs = append(jobs, job)
	}
	return jobs
}

// namedArgs are the arguments of a job that is known by a handler's name only.
type namedArgs struct {
	name string
	args worker.Args
}

func (a namedArgs) Kind() string                  { return a.name }
func (a namedArgs) MarshalJSON() ([]byte, error)  { return json.Marshal(a.args) }
func (a *namedArgs) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &a.args) }

// retryPolicy waits twice as long after each failure, from a second to a minute, with jitter.
type retryPolicy struct{}

func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(backoff(job.Attempt, time.Second, time.Minute))
}

// backoff is the delay after a number of failed attempts (from 1): first, doubled each time up to most, less up to a quarter.
func backoff(attempts int, first, most time.Duration) time.Duration {
	d := most
	if shift := max(0, attempts-1); shift < 32 && first<<shift > 0 && first<<shift < most {
		d = first << shift
	}
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}
