package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/models"
)

const (
	// heartbeat is how often a process says that it lives; patience is how long it may be silent before it counts as dead and what it
	// had in hand is taken up by others. Both together bound how long work waits after a kill.
	heartbeat = 4 * time.Second
	patience  = 12 * time.Second

	// look is how often the clock is looked at for what is due; every look is one cheap query.
	look = time.Second

	// housekeeping is how often what has expired is removed.
	housekeeping = time.Minute

	// unknownListFor is how long it is kept that upstream does not know a module.
	unknownListFor = 10 * time.Minute

	// abandonedTemp is the age at which a staged file belongs to no download any more.
	abandonedTemp = time.Hour
)

// Announce makes this process known before it takes any work: what it took could not be told from a dead process's otherwise.
func (d *Deployment) Announce(ctx context.Context) error {
	return models.Beat(d.db(ctx), d.Process, d.Role, hostOf(d.Process))
}

// Retire takes this process off the list: what it may have left is taken up at once.
func (d *Deployment) Retire(ctx context.Context) error {
	return models.EndProcess(d.db(ctx), d.Process)
}

func hostOf(process string) string {
	for i := len(process) - 1; i >= 0; i-- {
		if process[i] == '-' {
			return process[:i]
		}
	}
	return process
}

// Tick runs until ctx ends. Every process says that it lives; those that work jobs also queue what has come due, so that it takes no
// leader: several may find the same thing due, and only one of them gets it.
func (d *Deployment) Tick(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait() // a last beat must not come after the process has retired
	every := func(interval time.Duration, what string, f func(context.Context) error) {
		wg.Go(func() { d.every(ctx, interval, what, f) })
	}
	every(heartbeat, "say that this process lives", d.beat)
	every(housekeeping, "sign the head of the log", d.KeepSigned)
	every(storageLook, "look at the blob store", d.watchStorage)
	every(heartbeat, "record what was served for the first time", d.recordServed)
	if d.Role == "web" {
		return
	}
	every(housekeeping, "remove what has expired", d.houseKeep)
	every(housekeeping, "review quarantined peers", d.ReviewQuarantined)
	every(housekeeping, "note how far behind the peers' logs this deployment is", d.sampleLag)
	every(look, "queue what is due", d.queueDue)
	if d.ScrubInterval > 0 {
		every(min(housekeeping, max(look, d.ScrubInterval/8)), "queue the reading of held zips", d.queueScrub)
	}
}

// beat says that this process lives, and then looks for what nobody is at. One after the other they need one connection, which matters to
// an idle deployment; what comes second gets little time, so that the next beat is not late.
func (d *Deployment) beat(ctx context.Context) error {
	err := models.Beat(d.db(ctx), d.Process, d.Role, hostOf(d.Process))
	if ctx.Err() == nil {
		d.noteDatabase(err)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	if err := d.letGoOfFills(ctx); err != nil {
		return fmt.Errorf("let go of fills: %w", err)
	}
	if d.Role == "web" {
		return nil
	}
	if err := d.rescue(ctx); err != nil {
		return fmt.Errorf("take up the work of dead processes: %w", err)
	}
	return nil
}

// every calls f at once and then at each interval until ctx ends. A failure is logged; the next interval tries again.
func (d *Deployment) every(ctx context.Context, interval time.Duration, what string, f func(context.Context) error) {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := f(bounded)
		cancel()
		if err != nil && ctx.Err() == nil {
			d.Log.Error("could not "+what, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// queueDue queues the pulls whose tick has come, and fetch when a version has come due.
func (d *Deployment) queueDue(ctx context.Context) error {
	pull, fetch, err := models.WorkDue(d.db(ctx))
	if err != nil {
		return err
	}
	if pull && d.PullInterval > 0 {
		err := d.transaction(ctx, func(tx *pop.Connection) error {
			peers, err := models.TakeDuePulls(tx, d.PullInterval)
			if err != nil || len(peers) == 0 {
				return err
			}
			return d.enqueuePulls(tx, peers)
		})
		if err != nil {
			return err
		}
	}
	if !fetch || d.FetchLazy {
		return nil
	}
	return d.transaction(ctx, d.wakeFetch)
}

// sampleLag is for the plots on the pages.
func (d *Deployment) sampleLag(ctx context.Context) error { return models.SampleLag(d.db(ctx)) }

// rescue takes up the jobs and fills of processes that have died, jobs of this one that have ended while the database could not be told,
// and zips of deleted versions that somebody who died may have left.
func (d *Deployment) rescue(ctx context.Context) error {
	n, err := models.RescueJobs(d.db(ctx), d.Process, d.Queue.atWork(), patience)
	if err != nil {
		return err
	}
	if n > 0 {
		d.Log.Warn("took up jobs that nobody was at", "jobs", n)
	}
	abandoned, err := models.AnyAbandonedFill(d.db(ctx), patience)
	if err != nil {
		return err
	}
	if abandoned {
		if err := d.transaction(ctx, d.enqueueFills); err != nil {
			return err
		}
	}
	return d.removeAgain(ctx)
}

// reconcileInterval is how often all versions are looked at for those that nobody would fetch.
const reconcileInterval = time.Hour

// reconcile takes up what should not have been given up. Neither should ever be needed: a job must use up a month of attempts, or a row
// must be changed by hand.
func (d *Deployment) reconcile(ctx context.Context) error {
	n, err := models.ReviveJobs(d.db(ctx), "receive", "fill", "remove", "fetch", "scrub")
	if err != nil {
		return err
	}
	if n > 0 {
		d.Log.Error("took up jobs that had run out of attempts", "jobs", n)
	}
	taken, err := models.TakeChore(d.db(ctx), "look for versions that nobody would fetch", reconcileInterval)
	if err != nil || !taken {
		return err
	}
	if n, err = models.WakeIdle(d.db(ctx)); n > 0 {
		d.Log.Error("took up remote versions that nobody would have fetched", "versions", n)
	}
	return err
}

// houseKeep removes what has expired, and takes up what was left undone: jobs that were given up, remote versions that nobody would fetch.
func (d *Deployment) houseKeep(ctx context.Context) error {
	if err := models.ForgetNonces(d.db(ctx)); err != nil {
		return err
	}
	if err := models.ForgetPending(d.db(ctx)); err != nil {
		return err
	}
	if err := models.ForgetProcesses(d.db(ctx)); err != nil {
		return err
	}
	if _, err := d.Store.CollectTemp(ctx, abandonedTemp); err != nil {
		return err
	}
	if err := models.ForgetUnknownLists(d.db(ctx), max(unknownListFor, 2*d.ListTTL)); err != nil {
		return err
	}
	if err := d.Upstream.CollectTemp(abandonedTemp); err != nil {
		return err
	}
	if err := d.collect(ctx); err != nil {
		return err
	}
	return d.reconcile(ctx)
}
