package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5"

	"olympus/internal/protocol"
	"olympus/models"
)

// benchPull takes a long log from a peer into an empty deployment, beside a raw COPY of the same rows into the same table.
func benchPull(ctx context.Context, l *lab) ([]row, error) {
	// Neither looks for zips that are nowhere: that is not what is measured.
	om, err := l.olympus(ctx, "om.example.com", "OLYMPUS_FETCH=lazy")
	if err != nil {
		return nil, err
	}
	defer l.stop(om)
	oa, err := l.olympus(ctx, "oa.example.com", "OLYMPUS_FETCH=lazy")
	if err != nil {
		return nil, err
	}
	defer l.stop(oa)
	if err := seed(om.database, l.events); err != nil {
		return nil, err
	}
	if err := introduce(ctx, oa, om); err != nil {
		return nil, err
	}

	watch := newWatch(ctx, oa, l.events)
	go watch.run()
	start := time.Now()
	if err := enqueuePull(ctx, oa, "om.example.com"); err != nil {
		return nil, err
	}
	if err := watch.wait(ctx); err != nil {
		return nil, fmt.Errorf("%w: %s", err, oa.output)
	}
	took := time.Since(start)
	peak, err := oa.memory("VmHWM")
	if err != nil {
		return nil, err
	}
	raw, err := copyRate(ctx, oa.database, l.events)
	if err != nil {
		return nil, err
	}
	rate := float64(l.events) / took.Seconds()
	first, last := watch.rates()
	return []row{
		{fmt.Sprintf("pull of %d events", l.events), fmt.Sprintf("%.0f/s", rate), fmt.Sprintf("COPY %.0f/s", raw), fmt.Sprintf("%.2f", rate/raw), "at least 0.25", rate/raw >= 0.25},
		{"the same, last tenth beside the first", fmt.Sprintf("%.0f/s", last), fmt.Sprintf("%.0f/s", first), fmt.Sprintf("%.2f", last/first), "at least 0.90", last/first >= 0.9},
		{"the same, memory at most", fmt.Sprintf("%d MiB", peak>>20), "", "", "under 256 MiB", peak < 256<<20},
	}, nil
}

// seed appends events to the log of a deployment.
func seed(database string, n int) error {
	db, err := pop.NewConnection(&pop.ConnectionDetails{URL: database, Pool: 2, IdlePool: 2})
	if err != nil {
		return err
	}
	if err := db.Open(); err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	const batch = 5000
	for first := 0; first < n; first += batch {
		events := make([]protocol.Event, min(batch, n-first))
		for i := range events {
			events[i] = event(first + i)
		}
		if err := db.Transaction(func(tx *pop.Connection) error { _, err := models.Merge(tx, events); return err }); err != nil {
			return err
		}
	}
	return nil
}

// introduce makes each deployment a peer of the first.
func introduce(ctx context.Context, a *process, others ...*process) error {
	for _, o := range others {
		var who struct{ Key string }
		body, err := fetch(o.url + "/peer")
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, &who); err != nil {
			return err
		}
		if _, err := a.task(ctx, "peers:add", o.url, who.Key); err != nil {
			return err
		}
	}
	return nil
}

// enqueuePull makes the server process itself pull, as a tick does: at once.
func enqueuePull(ctx context.Context, p *process, peer string) error {
	conn, err := pgx.Connect(ctx, p.database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	args, err := json.Marshal(map[string]string{"peer": peer})
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `INSERT INTO river_job (kind, queue, args, max_attempts, state) VALUES ('pull', 'pull', $1, 3, 'available')`, string(args))
	if err == nil {
		_, err = conn.Exec(ctx, `SELECT pg_notify(current_schema() || '.river_insert', '{"queue": "pull"}')`)
	}
	return err
}

// watch notes when the head of a deployment's log passes each tenth of the way.
type watch struct {
	ctx    context.Context
	p      *process
	events int
	done   chan struct{}
	err    error
	times  []time.Time
}

func newWatch(ctx context.Context, p *process, events int) *watch {
	return &watch{ctx: ctx, p: p, events: events, done: make(chan struct{})}
}

func (w *watch) run() {
	defer close(w.done)
	conn, err := pgx.Connect(w.ctx, w.p.database)
	if err != nil {
		w.err = err
		return
	}
	defer func() { _ = conn.Close(w.ctx) }()
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Minute)
	defer cancel()
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	for tenth := 0; tenth <= 10; {
		var head int
		if err := conn.QueryRow(ctx, "SELECT head FROM event_log").Scan(&head); err != nil {
			w.err = err
			return
		}
		for tenth <= 10 && head >= max(1, w.events*tenth/10) {
			w.times = append(w.times, time.Now())
			tenth++
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			w.err = ctx.Err()
			return
		}
	}
}

func (w *watch) wait(ctx context.Context) error {
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rates returns events a second over the first and over the last tenth.
func (w *watch) rates() (first, last float64) {
	tenth := float64(w.events) / 10
	return tenth / w.times[1].Sub(w.times[0]).Seconds(), tenth / w.times[10].Sub(w.times[9]).Seconds()
}

// copyRate copies the rows of the event log into an empty table with the same columns, indexes and checks, in batches of a page, and
// returns rows a second.
func copyRate(ctx context.Context, database string, n int) (float64, error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "CREATE TABLE bench_copy (LIKE events INCLUDING ALL)"); err != nil {
		return 0, err
	}
	columns := strings.Split("position,zip_size,time,logged_at,kind,module,version,origin,zip_hash,zip_sha256,mod_hash,info,mod,reason", ",")
	const batch = 5000
	var took time.Duration
	for first := 0; first < n; first += batch {
		rows := make([][]any, min(batch, n-first))
		for i := range rows {
			e := event(first + i)
			at := e.Time
			rows[i] = []any{
				int64(first + i + 1), e.ZipSize, e.Time, at, string(e.Kind), e.Module, e.Version, e.Origin,
				e.ZipHash, e.ZipSHA256, e.ModHash, e.Info, e.Mod, e.Reason,
			}
		}
		start := time.Now()
		if _, err := conn.CopyFrom(ctx, pgx.Identifier{"bench_copy"}, columns, pgx.CopyFromRows(rows)); err != nil {
			return 0, err
		}
		took += time.Since(start)
	}
	return float64(n) / took.Seconds(), nil
}
