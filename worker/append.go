package worker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/postgres"
	"olympus/internal/protocol"
	"olympus/internal/tracing"
	"olympus/models"
)

// maxGroup bounds the events that share a commit, so that a flood does not hold the head of the log for long.
const maxGroup = 1000

// appendTimeout bounds one appending transaction. It is short: nothing in it waits for anything but Postgres.
const appendTimeout = 30 * time.Second

// appendition is a batch of events that somebody waits to have in the log.
type appendition struct {
	events   []protocol.Event
	arrivals []models.Arrival // how each of the events came; nil if that is not to be recorded
	own      bool             // originated here: to be pushed
	// also runs in the same transaction, after the merge.
	also func(tx *pop.Connection) error
	done chan error
	// parent is the trace that it belongs to; may be empty.
	parent string
}

// appender lets concurrent appends of one process share commits. The cost of an append is nearly all in the commit, and the
// locked head lets only one run at a time, so whatever arrives during a commit goes into the next one together.
type appender struct {
	d       *Deployment
	mu      sync.Mutex
	waiting []*appendition
	running bool
}

func newAppender(d *Deployment) *appender { return &appender{d: d} }

// Append merges events into the log, together with whatever also does in the same transaction, and returns once that is durable or
// has failed; it takes no context, for a caller that went away early would not know which. Own events are queued to be pushed to
// every active peer.
func (d *Deployment) Append(own bool, events []protocol.Event, also func(tx *pop.Connection) error) error {
	return d.append(context.Background(), own, events, also)
}

// append is Append as a part of what is traced in ctx, which bounds nothing.
func (d *Deployment) append(ctx context.Context, own bool, events []protocol.Event, also func(tx *pop.Connection) error) error {
	return d.appends.do(ctx, &appendition{events: events, own: own, also: also})
}

// take is append for events of others, each with how it came.
func (d *Deployment) take(ctx context.Context, events []protocol.Event, arrivals []models.Arrival) error {
	return d.appends.do(ctx, &appendition{events: events, arrivals: arrivals})
}

// do submits a batch and waits until it is in the log, or has failed.
func (q *appender) do(ctx context.Context, a *appendition) error {
	ctx, end := q.d.Tracer.Start(ctx, "append", tracing.Events(len(a.events)))
	a.done, a.parent = make(chan error, 1), tracing.Parent(ctx)
	q.submit(a)
	err := <-a.done
	end(err)
	return err
}

func (q *appender) submit(a *appendition) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, a)
	if !q.running {
		q.running = true
		go q.run()
	}
}

// run commits groups until nobody waits.
func (q *appender) run() {
	for {
		group := q.next()
		if group == nil {
			return
		}
		err := q.commit(group)
		if err != nil && len(group) > 1 && !models.IsUnavailable(err) {
			// One of them may have spoilt it for all: each gets a transaction of its own. If it was the database, they would all wait as
			// long again, one after the other.
			for _, a := range group {
				a.done <- q.commit([]*appendition{a})
			}
			continue
		}
		for _, a := range group {
			a.done <- err
		}
	}
}

// next takes the next group; nil, and the runner is to end, when nobody waits.
func (q *appender) next() []*appendition {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running = false
		return nil
	}
	n, events := 0, 0
	for n < len(q.waiting) && (n == 0 || events+len(q.waiting[n].events) <= maxGroup) {
		events += len(q.waiting[n].events)
		n++
	}
	group := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return group
}

func (q *appender) commit(group []*appendition) error {
	ctx, cancel := context.WithTimeout(q.d.traceOf(group), appendTimeout)
	defer cancel()
	var events []protocol.Event
	var arrivals []models.Arrival
	own, foreign := false, false
	for _, a := range group {
		events = append(events, a.events...)
		if a.arrivals != nil {
			arrivals = append(arrivals, a.arrivals...)
		} else {
			arrivals = append(arrivals, make([]models.Arrival, len(a.events))...)
		}
		own, foreign = own || a.own, foreign || !a.own
	}
	var merged *models.Merged
	err := q.d.transaction(ctx, func(tx *pop.Connection) (err error) {
		if merged, err = q.d.merge(tx, events, foreign); err != nil {
			return err
		}
		if err := recordArrivals(tx, merged, arrivals); err != nil {
			return err
		}
		for _, a := range group {
			if !a.own {
				if err := follow(tx, a.events, a.parent, true); err != nil {
					return err
				}
			}
			if a.also == nil {
				continue
			}
			if err := a.also(tx); err != nil {
				return err
			}
		}
		if own {
			return q.d.enqueuePushes(tx, merged.Appended)
		}
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("append %d events: %w: %v", len(events), postgres.ErrSlow, err)
	}
	if err == nil {
		q.d.Follower.Heard(merged.Head) // what this process answers next already counts it in
	}
	return err
}

// merge merges events and queues what follows from them: removal of the zips of deleted versions, and, where some of the events are
// foreign, downloads of new zips. The zip of an own add is there before its event.
func (d *Deployment) merge(tx *pop.Connection, events []protocol.Event, foreign bool) (*models.Merged, error) {
	merged, err := models.Merge(tx, events)
	if err != nil {
		return nil, fmt.Errorf("merge %d events: %w", len(events), err)
	}
	// Also where the add comes after the delete: a fill may have stored the zip that nobody could tell the bytes of until now.
	deleted := make([]removeArgs, len(merged.Deleted))
	for i, v := range merged.Deleted {
		deleted[i] = removeArgs{v.Module, v.Version}
	}
	if err := d.enqueueRemoves(tx, deleted); err != nil {
		return nil, err
	}
	isAdd := func(e protocol.Logged) bool { return e.Kind == protocol.KindAdd }
	if foreign && slices.ContainsFunc(merged.Appended, isAdd) {
		return merged, d.wakeFetch(tx)
	}
	return merged, nil
}
