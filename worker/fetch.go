package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/riverqueue/river"

	"olympus/internal/gate"
	"olympus/internal/tracing"
	"olympus/models"
)

const (
	// downloads bounds the zips that one process fetches at a time, downloadsPerPeer those from one peer: a peer that hangs leaves
	// room for the others.
	downloads        = 12
	downloadsPerPeer = 4

	// lease is how long a version is taken for; a download extends it, and when the process dies others wait no longer than this.
	lease = 20 * time.Second

	// downloadTimeout bounds all attempts at one version together: the largest zip over a slow line.
	downloadTimeout = 15 * time.Minute

	// placeWait is how long a download waits for a place at a peer before it lets others go first. Until then it keeps one of downloads,
	// so that a long backlog of one peer is not turned over and over.
	placeWait = time.Second

	// What has failed goes first each so many times that something is taken from the backlog, and otherwise what is new.
	failedTurn = 4

	// A failed fetch is tried again after a second, then two, up to five minutes: it costs little, and a peer that comes back finds
	// its backlog taken up without an operator.
	fetchBackoff    = time.Second
	fetchBackoffMax = 5 * time.Minute
)

// fetchArgs carry nothing: the backlog is in the versions themselves.
type fetchArgs struct{}

func (fetchArgs) Kind() string { return "fetch" }

func (d *Deployment) registerFetch() error {
	return register(d.Queue, d.fetch, nil)
}

// wakeFetch queues a fetch job unless one is waiting to be started. One that is running may have looked at the backlog already, and
// does not count.
func (d *Deployment) wakeFetch(tx *pop.Connection) error {
	if d.FetchLazy {
		return nil
	}
	waiting, err := models.JobWaiting(tx, "fetch")
	if err != nil || waiting {
		return err
	}
	return d.Queue.enqueue(tx, river.InsertManyParams{Args: fetchArgs{}})
}

// fetches are the downloads of this process.
type fetches struct {
	places *places
	mu     sync.Mutex
	calls  map[moduleVersion]*fetching
}

// fetching is a download that requests of this process wait for.
type fetching struct {
	done chan struct{}
	err  error
}

type moduleVersion struct{ module, version string }

func newFetches() *fetches {
	return &fetches{places: newPlaces(downloadsPerPeer), calls: make(map[moduleVersion]*fetching)}
}

// fetch works through the backlog until nothing is due. It is safe to run twice, also at once: each run takes other versions, and
// what a dead run had taken comes back when its lease ends.
func (d *Deployment) fetch(ctx context.Context, _ *river.Job[fetchArgs]) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	free := make(chan struct{}, downloads)
	for n := 1; ctx.Err() == nil && d.Queue.stopping.Err() == nil; n++ {
		free <- struct{}{} // a place for one download, at least
		<-free
		due, err := models.TakeDue(d.db(ctx), downloads-len(free), lease, n%failedTurn == 0)
		if err != nil {
			return err
		}
		if len(due) == 0 {
			if len(free) == 0 {
				return nil
			}
			// Downloads are under way: when one ends, what became due meanwhile gets its place.
			select {
			case <-ctx.Done():
			case free <- struct{}{}:
				<-free
			case <-time.After(time.Second):
			}
			continue
		}
		for _, v := range due {
			free <- struct{}{}
			wg.Go(func() {
				defer func() { <-free }()
				d.fetchTaken(ctx, v)
			})
		}
	}
	return ctx.Err()
}

// fetchTaken fetches a version that was taken from the backlog, and gives it back if that fails.
func (d *Deployment) fetchTaken(ctx context.Context, v models.Due) (err error) {
	ctx, end := d.Tracer.Start(d.Tracer.Continue(ctx, v.Trace), "fetch", tracing.Module(v.Module), tracing.Version(v.Version))
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	var leasing sync.WaitGroup
	defer leasing.Wait()
	defer cancel()
	leasing.Go(func() { d.keepLease(ctx, v.Module, v.Version) })
	err = d.fetchVersion(ctx, v.Module, v.Version)
	if err == nil {
		return nil
	}
	if errors.Is(err, errNothingToFetch) {
		// The version is held or deleted by now, and then this changes nothing. Or it serves another add since we chose: that is next.
		d.record(ctx, func(tx *pop.Connection) error {
			return models.MarkFetchFailed(tx, v.Module, v.Version, "another add of the version came to be served meanwhile", 0)
		})
		return nil
	}
	if errors.Is(err, errNoPlace) {
		d.record(ctx, func(tx *pop.Connection) error { return models.GiveBack(tx, v.Module, v.Version) })
		return err
	}
	retryIn := backoff(v.Attempts, fetchBackoff, fetchBackoffMax)
	d.record(ctx, func(tx *pop.Connection) error {
		return models.MarkFetchFailed(tx, v.Module, v.Version, err.Error(), retryIn)
	})
	d.Log.WarnContext(ctx, "could not fetch a zip", "module", v.Module, "version", v.Version, "attempt", v.Attempts, "retry_in", retryIn, "error", err)
	return err
}

func (d *Deployment) keepLease(ctx context.Context, module, version string) {
	ticks := time.NewTicker(lease / 3)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if err := models.ExtendLease(d.db(ctx), module, version, lease); err != nil && ctx.Err() == nil {
				d.Log.Warn("could not extend a lease", "module", module, "version", version, "error", err)
			}
		}
	}
}

// FetchNow makes the zip of a remote version held, or says why it cannot be. However many requests and processes want it, one
// downloads it; the others wait for that.
func (d *Deployment) FetchNow(ctx context.Context, module, version string) error {
	gate.EndTurn(ctx)
	leave, err := d.waits.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return d.fetchNow(ctx, module, version)
}

// fetchNow is FetchNow for what does not keep a request waiting by itself.
func (d *Deployment) fetchNow(ctx context.Context, module, version string) error {
	key := moduleVersion{module, version}
	d.fetches.mu.Lock()
	call, ok := d.fetches.calls[key]
	if !ok {
		call = &fetching{done: make(chan struct{})}
		// Not in the request's context: others may be waiting, and what is downloaded is kept.
		parent := tracing.Parent(ctx)
		began := d.Queue.beside(func(ctx context.Context) {
			call.err = d.fetchOrWait(d.Tracer.Continue(ctx, parent), module, version)
			d.fetches.mu.Lock()
			delete(d.fetches.calls, key)
			d.fetches.mu.Unlock()
			close(call.done)
		})
		if !began {
			d.fetches.mu.Unlock()
			return ErrStopping
		}
		d.fetches.calls[key] = call
	}
	d.fetches.mu.Unlock()
	select {
	case <-call.done:
		return call.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the zip of %s@%s: %w", module, version, ctx.Err())
	}
}

// fetchOrWait takes the version and fetches it, or waits while somebody else has it.
func (d *Deployment) fetchOrWait(ctx context.Context, module, version string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		v, err := models.FindVersion(d.db(ctx), module, version)
		if err != nil {
			return err
		}
		if v.Held || !v.Known() {
			return nil
		}
		taken, err := models.TakeVersion(d.db(ctx), module, version, lease)
		if err != nil {
			return err
		}
		if taken {
			err := d.fetchTaken(ctx, models.Due{Module: module, Version: version, Attempts: v.FetchAttempts + 1})
			if !errors.Is(err, errNoPlace) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
}
