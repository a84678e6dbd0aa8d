// Package worker does the work of a deployment: it fills misses, pushes news to peers, receives their pushes, pulls their logs,
// fetches zips and removes those of deleted versions.
//
// Work that must survive the process is a job on a durable queue in Postgres (see Queue), one file per kind: push, receive,
// pull, fetch, fill, remove, scrub. A job may run twice, also at the same time in two processes, and each says why that is harmless. What
// requests wait for (a fill, a fetch, a pull on demand) is the same code, called directly by actions and grifts.
//
// Transactions are opened here; SQL is in models. No transaction is held across the network or the blob store.
package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/blob"
	"olympus/internal/gate"
	"olympus/internal/peer"
	"olympus/internal/postgres"
	"olympus/internal/signature"
	"olympus/internal/tracing"
	"olympus/internal/upstream"
	"olympus/models"
)

// Options are the settings of a deployment that its work depends on.
type Options struct {
	Name         string        // the deployment's name: origin of its own events
	Role         string        // all, web or worker
	PullInterval time.Duration // the tick; 0: pulls only on demand
	PushAttempts int
	PushBackoff  time.Duration // before the second attempt of a push; doubles, with jitter
	PageSize     int           // events per page asked for
	MaxZip       int64         // bytes
	FetchLazy    bool          // leave remote zips where they are until a client asks
	ListTTL      time.Duration // how long upstream's list of a module is fresh

	// ScrubInterval is how long a held zip may go without being read again whole; 0: for ever.
	ScrubInterval time.Duration

	// Unproved takes pages of peers without proving them. It is for measuring what proving costs; no setting leads here.
	Unproved bool
}

// Deployment is one Olympus with all that its work needs. main builds it; its exported fields do not change afterwards.
type Deployment struct {
	Options
	DB       *pop.Connection
	Store    *blob.Store
	Upstream *upstream.Upstream
	Peers    *peer.Client
	Signer   *signature.Signer
	Queue    *Queue
	Log      *slog.Logger
	Follower *models.Follower
	Tracer   *tracing.Tracer // nil: nothing is traced

	// Process identifies this process to the others of the deployment.
	Process string

	metrics *metrics
	appends *appender
	fills   *fills
	fetches *fetches
	pushes  *pushes

	circuits    *circuits
	checkpoints *checkpoints
	witnesses   *witnesses
	lists       *lists
	queries     *gate.Gate
	checksums   *gate.Gate
	waits       *gate.Gate // requests of this process that wait
	served      *served
	storage     *alarm
	database    *alarm
}

// New completes a deployment: it gives the process its identity and registers every kind of job with the queue.
func New(d *Deployment) (*Deployment, error) {
	d.appends = newAppender(d)
	d.fills = newFills()
	d.fetches = newFetches()
	d.pushes = newPushes()
	d.circuits = newCircuits(d)
	d.checkpoints = newCheckpoints()
	d.witnesses = newWitnesses()
	d.lists = newLists()
	d.queries = gate.New(concurrentQueries, waitingQueries)
	d.checksums = gate.New(concurrentChecksums, waitingChecksums)
	d.waits = gate.New(waitingRequests, 0)
	d.storage, d.database = &alarm{}, &alarm{}
	d.served = &served{at: make(map[moduleVersion]time.Time)}
	d.metrics = newMetrics()
	d.Queue.tracer = d.Tracer
	for _, kind := range []struct {
		name     string
		register func() error
	}{
		{"push", d.registerPush},
		{"receive", d.registerReceive},
		{"pull", d.registerPull},
		{"fetch", d.registerFetch},
		{"fill", d.registerFill},
		{"remove", d.registerRemove},
		{"scrub", d.registerScrub},
	} {
		if err := kind.register(); err != nil {
			return nil, fmt.Errorf("register the %s job: %w", kind.name, err)
		}
	}
	return d, nil
}

// NewProcess returns a name for this process that no other has: the host's name helps a reader, the random part makes it unique.
func NewProcess() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	b := make([]byte, 6)
	_, _ = rand.Read(b)
	return host + "-" + hex.EncodeToString(b)
}

// db returns the connection for queries bounded by ctx.
func (d *Deployment) db(ctx context.Context) *pop.Connection { return d.DB.WithContext(ctx) }

// transaction runs f in one transaction bounded by ctx.
func (d *Deployment) transaction(ctx context.Context, f func(tx *pop.Connection) error) error {
	return postgres.Transaction(ctx, d.DB, f)
}

// record runs a statement that only notes something for people; that it failed is logged, and does not fail the work it tells of.
func (d *Deployment) record(ctx context.Context, f func(tx *pop.Connection) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := f(d.db(ctx)); err != nil {
		d.Log.Error("could not record", "error", err)
	}
}
