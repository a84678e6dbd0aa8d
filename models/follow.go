package models

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5"
)

// notifyRebuilt is sent to followers, where otherwise the head is, when the versions have been rebuilt.
const notifyRebuilt = "rebuilt"

// Follower knows the head of the event log moments after any process has moved it. Postgres tells it at each commit; while
// that connection is down it does not claim to know anything.
type Follower struct {
	mu        sync.Mutex
	head      int64
	connected bool
	rebuilt   int64
	changed   chan struct{} // closed and replaced at each change
}

// NewFollower returns a follower that knows nothing until Run connects it.
func NewFollower() *Follower {
	return &Follower{changed: make(chan struct{})}
}

// Head returns the newest head heard of, and whether the follower is connected: if not, the log may have moved on unheard.
func (f *Follower) Head() (head int64, connected bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head, f.connected
}

// Changed returns a channel that is closed at the next change of what Head returns.
func (f *Follower) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Rebuilt counts how often somebody has rebuilt the versions from the log (see RebuildVersions): what is remembered of them from
// before may be wrong although the head stands where it stood.
func (f *Follower) Rebuilt() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rebuilt
}

// Heard tells the follower of a head that this process has itself committed, sooner than Postgres does.
func (f *Follower) Heard(head int64) {
	if now, connected := f.Head(); connected && head > now {
		f.set(head, true)
	}
}

func (f *Follower) set(head int64, connected bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if head < f.head && connected {
		head = f.head
	}
	if head == f.head && connected == f.connected {
		return
	}
	f.head, f.connected = head, connected
	close(f.changed)
	f.changed = make(chan struct{})
}

// Run follows the log on a connection of its own until ctx ends, and connects again after a failure, which it reports through
// failed.
func (f *Follower) Run(ctx context.Context, db *pop.Connection, failed func(error)) {
	for ctx.Err() == nil {
		err := f.follow(ctx, db.URL())
		f.set(0, false)
		if ctx.Err() != nil {
			return
		}
		failed(fmt.Errorf("follow the event log: %w", err))
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (f *Follower) follow(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// Listen first, read second: a commit in between is then heard of, not missed.
	if _, err := conn.Exec(ctx, "LISTEN olympus_events"); err != nil {
		return err
	}
	var head int64
	if err := conn.QueryRow(ctx, "SELECT head FROM event_log").Scan(&head); err != nil {
		return err
	}
	f.set(head, true)
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if n.Payload == notifyRebuilt {
			f.mu.Lock()
			f.rebuilt++
			f.mu.Unlock()
			continue
		}
		head, err := strconv.ParseInt(n.Payload, 10, 64)
		if err != nil {
			return fmt.Errorf("notification %q: %w", n.Payload, err)
		}
		f.set(head, true)
	}
}
