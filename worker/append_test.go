package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"olympus/internal/blob"
	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/models"
)

// newBare is a deployment that speaks to nobody and works no jobs.
func newBare(t *testing.T) *Deployment {
	t.Helper()
	url := testdb.URL(t)
	store, err := blob.Open(t.Context(), "file://"+t.TempDir(), blob.Options{})
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	queue, err := NewQueue(context.Background(), url, "test", log)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, queue.Stop()) })
	d, err := New(&Deployment{
		Options: Options{Name: "om.example.com", Role: "web", PushAttempts: 1, MaxZip: 1 << 20},
		DB:      testdb.Open(t, url), Store: store, Queue: queue, Log: log, Follower: models.NewFollower(), Process: "test",
	})
	require.NoError(t, err)
	return d
}

func deletion(module string) protocol.Event {
	return protocol.Event{
		Kind: protocol.KindDelete, Module: module, Version: "v1.0.0", Origin: "om.example.com", Time: time.Now().UTC().Truncate(time.Microsecond),
	}
}

func count(t *testing.T, d *Deployment, query string) int {
	t.Helper()
	var row struct {
		N int `db:"n"`
	}
	require.NoError(t, d.DB.RawQuery("SELECT count(*)::int AS n FROM "+query).First(&row))
	return row.N
}

// together appends from many goroutines so that all but the first come while that one commits: they are one group.
func together(t *testing.T, d *Deployment, n int, appendOne func(i int, also func(*pop.Connection) error) error) []error {
	t.Helper()
	errs := make([]error, n)
	begun, release, done := make(chan struct{}), make(chan struct{}), make(chan int, n)
	go func() {
		errs[0] = appendOne(0, func(*pop.Connection) error { close(begun); <-release; return nil })
		done <- 0
	}()
	<-begun
	for i := 1; i < n; i++ {
		go func() { errs[i] = appendOne(i, nil); done <- i }()
	}
	require.Eventually(t, func() bool {
		d.appends.mu.Lock()
		defer d.appends.mu.Unlock()
		return len(d.appends.waiting) == n-1
	}, 20*time.Second, time.Millisecond)
	close(release)
	for range n {
		<-done
	}
	return errs
}

// What is appended while a commit is under way shares the next one.
func TestAppendsShareCommits(t *testing.T) {
	t.Parallel()
	d := newBare(t)
	const n = 32
	for _, err := range together(t, d, n, func(i int, also func(*pop.Connection) error) error {
		return d.Append(true, []protocol.Event{deletion(fmt.Sprintf("example.com/m%d", i))}, also)
	}) {
		require.NoError(t, err)
	}
	require.Equal(t, n, count(t, d, "events"))
	require.Equal(t, 2, count(t, d, "(SELECT DISTINCT xmin::text FROM events) transactions"))
}

// One that fails, in what it does besides or because Postgres refuses its event, fails alone; the others are logged without a gap.
func TestAppendFailsAlone(t *testing.T) {
	t.Parallel()
	d := newBare(t)
	require.NoError(t, models.SavePeer(d.DB, "oa.example.com", "https://oa.example.com", "oa.example.com+0+x"))
	spoilt := errors.New("spoilt")
	const n, refused, failing = 16, 5, 11
	errs := together(t, d, n, func(i int, also func(*pop.Connection) error) error {
		event := deletion(fmt.Sprintf("example.com/m%d", i))
		switch i {
		case refused:
			event.Kind = "update"
		case failing:
			also = func(*pop.Connection) error { return spoilt }
		}
		return d.Append(true, []protocol.Event{event}, also)
	})
	for i, err := range errs {
		switch i {
		case refused:
			require.ErrorContains(t, err, "events_kind_check")
		case failing:
			require.ErrorIs(t, err, spoilt)
		default:
			require.NoError(t, err)
		}
	}
	events, err := models.Events(d.DB, 0, 100, 1<<20)
	require.NoError(t, err)
	require.Len(t, events, n-2)
	for i, e := range events {
		require.EqualValues(t, i+1, e.Position)
		require.NotContains(t, []string{"example.com/m5", "example.com/m11"}, e.Module)
	}
	// Every event of ours is in the range of exactly one push, and every deleted version has its job.
	require.Equal(t, n-2, count(t, d, `events e JOIN river_job j ON j.kind = 'push' AND e.position BETWEEN (j.args->>'first')::int AND (j.args->>'last')::int`))
	require.Equal(t, n-2, count(t, d, `river_job WHERE kind = 'remove'`))
}

// A transaction that is rolled back leaves neither event nor job, and the next event takes the position it would have had.
func TestAppendRolledBackLeavesNothing(t *testing.T) {
	t.Parallel()
	d := newBare(t)
	require.NoError(t, models.SavePeer(d.DB, "oa.example.com", "https://oa.example.com", "oa.example.com+0+x"))
	broken := errors.New("broken")
	err := d.Append(true, []protocol.Event{deletion("example.com/lost")}, func(tx *pop.Connection) error {
		if err := d.EnqueueReceive(tx, "oa.example.com", []protocol.Event{deletion("example.com/lost")}); err != nil {
			return err
		}
		return broken
	})
	require.ErrorIs(t, err, broken)
	err = d.DB.Transaction(func(tx *pop.Connection) error {
		if _, err := d.merge(tx, []protocol.Event{deletion("example.com/lost")}, true); err != nil {
			return err
		}
		if err := d.Queue.enqueue(tx, river.InsertManyParams{Args: fetchArgs{}}); err != nil {
			return err
		}
		return broken
	})
	require.ErrorIs(t, err, broken)
	require.Zero(t, count(t, d, "events"))
	require.Zero(t, count(t, d, "versions"))
	require.Zero(t, count(t, d, "river_job"))

	require.NoError(t, d.Append(true, []protocol.Event{deletion("example.com/m")}, nil))
	require.Equal(t, 1, count(t, d, "events WHERE position = 1"))
	require.Equal(t, 1, count(t, d, "river_job WHERE kind = 'push'"))
	// What is in the log already is no news to anybody.
	require.NoError(t, d.Append(true, []protocol.Event{deletion("example.com/m")}, nil))
	require.Equal(t, 1, count(t, d, "river_job WHERE kind = 'push'"))
	// Nor is what others tell of pushed on.
	require.NoError(t, d.Append(false, []protocol.Event{deletion("example.com/heard")}, nil))
	require.Equal(t, 1, count(t, d, "river_job WHERE kind = 'push'"))
}

// A client that goes away while its job is being queued ends the transaction. Nothing else may use the connection at that moment: the
// race detector tells.
func TestEnqueueWhileTheContextEnds(t *testing.T) {
	t.Parallel()
	d := newBare(t)
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+i)*time.Millisecond)
		err := d.transaction(ctx, func(tx *pop.Connection) error {
			for {
				if err := d.EnqueueReceive(tx, "oa.example.com", []protocol.Event{deletion("example.com/m")}); err != nil {
					return err
				}
			}
		})
		cancel()
		require.Error(t, err)
	}
	require.Zero(t, count(t, d, "river_job"))
}

// A group is bounded, so that a flood does not hold the head for long.
func TestAppendGroupsAreBounded(t *testing.T) {
	t.Parallel()
	q := newAppender(nil)
	for range 5 {
		q.waiting = append(q.waiting, &appendition{events: make([]protocol.Event, maxGroup/2)})
	}
	q.waiting = append(q.waiting, &appendition{events: make([]protocol.Event, 2*maxGroup)})
	for _, want := range []int{2, 2, 1, 1} {
		require.Len(t, q.next(), want)
	}
	q.running = true
	require.Nil(t, q.next())
	require.False(t, q.running)
}
