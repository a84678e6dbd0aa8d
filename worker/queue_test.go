package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	buffalo "github.com/gobuffalo/buffalo/worker"
	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
	"olympus/worker"
)

func newQueue(t *testing.T) (*worker.Queue, *pop.Connection) {
	t.Helper()
	url := testdb.URL(t)
	queue, err := worker.NewQueue(context.Background(), url, "test", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, queue.Stop()) })
	return queue, testdb.Open(t, url)
}

// The queue does what Buffalo expects of a worker.
func TestQueueIsBuffalosWorker(t *testing.T) {
	t.Parallel()
	queue, db := newQueue(t)
	var w buffalo.Worker = queue
	got := make(chan buffalo.Args, 10)
	require.NoError(t, w.Register("greet", func(args buffalo.Args) error { got <- args; return nil }))
	require.Error(t, w.Register("greet", func(buffalo.Args) error { return nil }))
	var tries atomic.Int32
	require.NoError(t, w.Register("again", func(buffalo.Args) error {
		if tries.Add(1) == 1 {
			return errors.New("not yet")
		}
		return nil
	}))

	// What is queued before the start, or by a process that never starts, is worked by whoever does.
	require.NoError(t, w.Perform(buffalo.Job{Handler: "greet", Args: buffalo.Args{"name": "x", "n": 7}}))
	require.NoError(t, w.PerformAt(buffalo.Job{Handler: "greet", Args: buffalo.Args{"name": "long ago"}}, time.Now().Add(-time.Hour)))
	soon := time.Now()
	require.NoError(t, w.PerformIn(buffalo.Job{Handler: "greet", Args: buffalo.Args{"name": "soon"}}, 100*time.Millisecond))
	require.NoError(t, w.PerformIn(buffalo.Job{Handler: "greet", Args: buffalo.Args{"name": "tomorrow"}}, 24*time.Hour))
	require.NoError(t, w.PerformAt(buffalo.Job{Handler: "greet", Args: buffalo.Args{"name": "in a year"}}, time.Now().Add(365*24*time.Hour)))
	require.NoError(t, w.Perform(buffalo.Job{Handler: "again", Queue: "default"}))
	require.NoError(t, w.Start(t.Context()))

	names := make(map[string]bool)
	for len(names) < 3 {
		select {
		case args := <-got:
			name := args["name"].(string)
			names[name] = true
			if name == "x" {
				require.Equal(t, 7.0, args["n"], "numbers are those of JSON")
			}
			if name == "soon" {
				require.GreaterOrEqual(t, time.Since(soon), 100*time.Millisecond)
			}
		case <-time.After(20 * time.Second):
			require.Fail(t, "not worked", "only %v", names)
		}
	}
	require.Equal(t, map[string]bool{"x": true, "long ago": true, "soon": true}, names)
	require.Eventually(t, func() bool { return tries.Load() == 2 }, 20*time.Second, 10*time.Millisecond, "a failed job is tried again")

	var jobs []struct {
		Handler string  `db:"kind"`
		Queue   string  `db:"queue"`
		Days    float64 `db:"days"`
	}
	require.NoError(t, db.RawQuery(`SELECT kind, queue, (extract(epoch FROM scheduled_at - now()) / 86400)::float8 AS days
		FROM river_job WHERE state = 'scheduled' ORDER BY scheduled_at`).All(&jobs))
	require.Len(t, jobs, 2)
	for i, days := range []float64{1, 365} {
		require.Equal(t, "greet", jobs[i].Handler)
		require.Equal(t, "default", jobs[i].Queue)
		require.InDelta(t, days, jobs[i].Days, 0.01)
	}
}

// A deployment's own kinds of job cannot be registered over.
func TestQueueNamesAreTaken(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	for _, kind := range []string{"push", "receive", "pull", "fetch", "fill", "remove"} {
		require.ErrorContains(t, l.Queue.Register(kind, func(buffalo.Args) error { return nil }), kind)
	}
	_, err := worker.New(l.Deployment)
	require.ErrorContains(t, err, "already registered")
}

// Stop waits for a job that is at work.
func TestQueueStops(t *testing.T) {
	t.Parallel()
	queue, _ := newQueue(t)
	begun, release := make(chan struct{}), make(chan struct{})
	var ended atomic.Bool
	require.NoError(t, queue.Register("slow", func(buffalo.Args) error { close(begun); <-release; ended.Store(true); return nil }))
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, queue.Start(ctx))
	require.NoError(t, queue.Perform(buffalo.Job{Handler: "slow"}))
	<-begun
	cancel() // a server that drains cancels this first, and must not cut off its jobs
	stopped := make(chan bool)
	go func() { _ = queue.Stop(); stopped <- ended.Load() }()
	close(release)
	require.True(t, <-stopped)
}
