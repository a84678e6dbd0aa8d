package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/tracing"
	"olympus/models"
)

// pullArgs name the peer whose log is taken.
type pullArgs struct {
	Peer string `json:"peer" river:"unique"`
}

func (pullArgs) Kind() string { return "pull" }

// longestWait bounds how long a pull waits at the peer for news; it is also the longest that a peer agrees to.
const longestWait = 30 * time.Second

// pageTimeout bounds how long one page may take from its first byte to its last.
const pageTimeout = 5 * time.Minute

// stillPulling are the states in which a pull job of a peer stands for a next one.
var stillPulling = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled,
}

func (d *Deployment) registerPull() error {
	return register(d.Queue, d.pull, nil)
}

// enqueuePulls queues a pull of each peer that has none under way.
func (d *Deployment) enqueuePulls(tx *pop.Connection, peers []string) error {
	jobs := make([]river.InsertManyParams, len(peers))
	for i, name := range peers {
		jobs[i] = river.InsertManyParams{
			Args:       pullArgs{Peer: name},
			InsertOpts: &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: stillPulling}},
		}
	}
	return d.Queue.enqueue(tx, jobs...)
}

// pull takes the log of a peer from the pull pointer to its head, and then waits there for news until the next tick is due. It is
// safe to run twice, also at once: of two pulls only one can move the pointer over a page, and the other goes on from there. A
// failure is recorded with the peer; the next tick tries again.
func (d *Deployment) pull(ctx context.Context, job *river.Job[pullArgs]) error {
	wait := d.PullInterval
	if wait > longestWait {
		wait = 0 // a tick that rare is wished for: no news in between
	}
	if _, err := d.Pull(ctx, job.Args.Peer, wait); err != nil {
		if ctx.Err() != nil {
			return err // this process stops: another takes the job
		}
		return river.JobCancel(err)
	}
	return nil
}

// Pulled is what a pull brought.
type Pulled struct {
	Pulled       int   // events on the pages taken
	Appended     int   // of them new to our log
	PullPosition int64 // the pull pointer afterwards
}

// Pull takes the log of an active peer from the pull pointer to its head, page by page; while wait lasts it stays there for news.
// Errors are recorded with the peer.
func (d *Deployment) Pull(ctx context.Context, name string, wait time.Duration) (Pulled, error) {
	var result Pulled
	until := time.Now().Add(wait)
	for {
		err := d.pullFromPointer(ctx, name, until, &result)
		if errors.Is(err, errPointerMoved) || errors.Is(err, errNewEpoch) {
			continue // another pull of this peer took a page first, or its log begins anew: go on from where the pointer is now
		}
		// A name that is no peer's has no end of others.
		_, inactive := errors.AsType[inactiveError](err)
		pulled := !inactive && !errors.Is(err, models.ErrNotFound)
		if pulled {
			d.metrics.pulls.WithLabelValues(name, resultOf(err)).Inc()
		}
		if err != nil {
			err = fmt.Errorf("pull from %s: %w", name, err)
			if pulled && ctx.Err() == nil {
				d.record(ctx, func(tx *pop.Connection) error { return models.RecordPeerError(tx, name, err.Error()) })
			}
		}
		return result, err
	}
}

// inactiveError: nothing is pulled from a peer in this state, which is no fault of it.
type inactiveError string

func (state inactiveError) Error() string { return "the peer is " + string(state) }

func (d *Deployment) pullFromPointer(ctx context.Context, name string, until time.Time, result *Pulled) error {
	p, err := models.FindPeer(d.db(ctx), name)
	if err != nil {
		return err
	}
	result.PullPosition = p.PullPosition
	if p.State != models.PeerActive {
		return inactiveError(p.State)
	}
	if err := d.heedWitness(ctx, p); err != nil && ctx.Err() == nil {
		d.Log.Info("a peer could not be asked what it remembers of our log", "peer", p.Name, "error", err)
	}
	log, err := newPeerLog(p)
	if err != nil {
		return err
	}
	if err := d.compare(ctx, log); err != nil {
		if fork, ok := errors.AsType[*forkError](err); ok {
			d.quarantine(ctx, p, fork)
			return err
		}
		d.Log.Warn("what other peers were shown of a log could not be compared", "peer", p.Name, "error", err)
	}
	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	progress, begun := progressOf(ctx), false
	for page := range d.pages(bounded, p, until) {
		err := page.err
		if err == nil {
			if !begun {
				progress.Begin("events of "+p.Name, page.Head-page.after)
				begun = true
			}
			if err = d.takePage(bounded, log, page, result); err != nil && ctx.Err() == nil {
				d.record(ctx, func(tx *pop.Connection) error { return models.RecordPeerHead(tx, p, page.after, page.Head) })
			}
			progress.Add(int64(len(page.Events)), 0)
		} else if shortened, ok := errors.AsType[*peer.ShortenedError](err); ok {
			err = log.shortened(bounded, d.Peers, shortened)
		}
		if fork, ok := errors.AsType[*forkError](err); ok {
			d.quarantine(ctx, p, fork)
		}
		if errors.Is(err, errNewEpoch) {
			if failed := d.startAgain(ctx, p); failed != nil {
				return failed
			}
		}
		if err != nil {
			return err
		}
	}
	return bounded.Err()
}

// page is one page of a peer's log, or why there is none.
type page struct {
	after int64
	*protocol.Page
	err error
}

// pages asks for page after page until the head, then waits there for news until the given time, then closes the channel. The next
// page is asked for while one is being recorded.
func (d *Deployment) pages(ctx context.Context, p *models.Peer, until time.Time) <-chan page {
	pages := make(chan page, 1)
	go func() {
		defer close(pages)
		after, patience := p.PullPosition, time.Duration(0)
		for {
			asked := time.Now()
			got, err := d.eventLog(ctx, p, after, patience)
			if errors.Is(err, ErrStopping) {
				return
			}
			select {
			case pages <- page{after, got, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
			atHead := got.Next >= got.Head
			// A peer that answers an empty page at once does not wait for us: leave it until the next tick.
			if atHead && len(got.Events) == 0 && patience > 0 && time.Since(asked) < patience/2 {
				return
			}
			after = got.Next
			patience = 0
			if atHead {
				if patience = time.Until(until).Truncate(time.Second); patience <= 0 {
					return
				}
			}
		}
	}()
	return pages
}

// ErrStopping: this process stops and begins nothing new; a pull that only waits for news need not be waited for either.
var ErrStopping = errors.New("this process is stopping")

// eventLog asks for one page, and gives up waiting for news when the process stops.
func (d *Deployment) eventLog(ctx context.Context, p *models.Peer, after int64, patience time.Duration) (*protocol.Page, error) {
	bounded, cancelTimeout := context.WithTimeout(ctx, patience+pageTimeout)
	defer cancelTimeout()
	ctx, cancel := context.WithCancelCause(bounded)
	defer cancel(nil)
	if patience > 0 {
		defer context.AfterFunc(d.Queue.stopping, func() { cancel(ErrStopping) })()
	}
	got, err := d.Peers.EventLog(ctx, target(p), after, d.PageSize, patience)
	if err != nil && errors.Is(context.Cause(ctx), ErrStopping) {
		return nil, ErrStopping
	}
	d.circuits.heard("pull", p.Name, err)
	return got, err
}

var errPointerMoved = errors.New("the pull pointer was moved by another pull, or the peer was changed meanwhile")

// takePage records a page and moves the pull pointer over it, in one transaction, once it has proved to be a piece of the signed log.
func (d *Deployment) takePage(ctx context.Context, log *peerLog, got page, result *Pulled) (err error) {
	if len(got.Events) > 0 {
		var end func(error)
		ctx, end = d.Tracer.Start(ctx, "page", tracing.Peer(log.peer.Name), tracing.Events(len(got.Events)))
		defer func() { end(err) }()
	}
	proved, err := &proof{}, error(nil)
	if !d.Unproved {
		proved, err = log.prove(ctx, d.Peers, got)
	}
	if err != nil {
		return err
	}
	p := log.peer
	events := make([]protocol.Event, len(got.Events))
	for i := range got.Events {
		events[i] = got.Events[i].Event
	}
	appended, head := 0, int64(0)
	err = d.transaction(ctx, func(tx *pop.Connection) error {
		if len(events) > 0 {
			merged, err := d.merge(tx, events, true)
			if err != nil {
				return err
			}
			appended, head = len(merged.Appended), merged.Head
			if err := recordPage(tx, merged, p.Name); err != nil {
				return err
			}
			if err := follow(tx, events, tracing.Parent(ctx), false); err != nil {
				return err
			}
		}
		moved, err := models.MovePullPointer(tx, p, got.after, got.Next, got.Head)
		if err == nil && !moved {
			err = errPointerMoved
		}
		if err != nil || !proved.isNews(log.verified) {
			return err
		}
		return models.SaveVerified(tx, p.Name, proved.checkpoint.Epoch, proved.edge, proved.note)
	})
	if err != nil {
		return err
	}
	log.moveOn(proved)
	p.PullPosition = got.Next
	d.metrics.pulled.WithLabelValues(p.Name).Add(float64(len(events)))
	d.metrics.appended.WithLabelValues(p.Name).Add(float64(appended))
	d.Follower.Heard(head)
	result.Pulled += len(events)
	result.Appended += appended
	result.PullPosition = got.Next
	return nil
}
