package models

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5"

	"olympus/internal/postgres"
)

// notifyRebuilt is sent to followers, where otherwise the head is, when the versions have been rebuilt.
const notifyRebuilt = "rebuilt"

const (
	// followCheck is how often a follower asks whether it is still told of everything, and followPatience how long it waits for the
	// answer. A connection that leads nowhere any more is as silent as a log to which nothing is appended.
	followCheck    = 5 * time.Second
	followPatience = 5 * time.Second
)

// Follower knows the head of the event log moments after any process has moved it. Postgres tells it at each commit; while
// that connection is down it does not claim to know anything.
type Follower struct {
	mu         sync.Mutex
	head       int64
	connected  bool
	generation int64
	changed    chan struct{} // closed and replaced at each change
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

// Known is Head with the generation, which counts what may have changed the versions although the head stands where it stood, or above:
// that somebody has rebuilt them from the log (see RebuildVersions), and that the follower has connected anew, maybe to a database that
// has taken over for another and lacks the last events of that one. What is remembered from an earlier generation may be wrong.
func (f *Follower) Known() (head, generation int64, connected bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head, f.generation, f.connected
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
	conn, err := postgres.Connect(ctx, url, postgres.Serving)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), followPatience)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	// Listen first, read second: a commit in between is then heard of, not missed.
	if err := bounded(ctx, func(ctx context.Context) error {
		_, err := conn.Exec(ctx, "LISTEN olympus_events")
		return err
	}); err != nil {
		return err
	}
	head, err := askHead(ctx, conn)
	if err != nil {
		return err
	}
	f.anew() // before it is connected: nobody may take the head of this connection for one of the last
	f.set(head, true)
	for {
		if err := f.listen(ctx, conn, time.Now().Add(followCheck)); err != nil {
			return err
		}
		known, _ := f.Head()
		if head, err = askHead(ctx, conn); err != nil {
			return err
		}
		if head < known {
			return fmt.Errorf("the log ends at %d, and had ended at %d", head, known)
		}
		f.set(head, true)
	}
}

// listen takes notifications until a time.
func (f *Follower) listen(ctx context.Context, conn *pgx.Conn, until time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(ctx)
		switch {
		case n != nil: // even if the time is over as well
		case errors.Is(ctx.Err(), context.DeadlineExceeded) && !conn.IsClosed():
			return nil
		default:
			return err
		}
		if n.Payload == notifyRebuilt {
			f.anew()
			continue
		}
		head, err := strconv.ParseInt(n.Payload, 10, 64)
		if err != nil {
			return fmt.Errorf("notification %q: %w", n.Payload, err)
		}
		f.set(head, true)
	}
}

func (f *Follower) anew() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation++
}

func askHead(ctx context.Context, conn *pgx.Conn) (head int64, err error) {
	err = bounded(ctx, func(ctx context.Context) error {
		return conn.QueryRow(ctx, "SELECT head FROM event_log").Scan(&head)
	})
	return head, err
}

func bounded(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, followPatience)
	defer cancel()
	return f(ctx)
}
