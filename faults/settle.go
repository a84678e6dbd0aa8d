package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"olympus/internal/protocol"
)

// settleWithin is how long the deployments may take, once they are left alone, until all of them hold everything.
const settleWithin = 4 * time.Minute

// settle waits until the deployments have nothing left to do, and then judges what they have come to.
func (s *suite) settle(ctx context.Context) error {
	began := time.Now()
	var undone []string
	for {
		var err error
		if undone, err = s.undone(ctx); err != nil {
			return err
		}
		if len(undone) == 0 || time.Since(began) > settleWithin {
			break
		}
		if !pause(ctx, 250*time.Millisecond) {
			return ctx.Err()
		}
	}
	s.settled = time.Since(began)
	for _, what := range undone {
		s.oracle.violate("not settled after %s: %s", settleWithin, what)
	}
	logs := make(map[string][]protocol.Logged)
	for _, d := range s.deployments {
		log, err := d.readLog(ctx)
		if err != nil {
			return err
		}
		logs[d.label] = log
		s.events[d.label] = len(log)
	}
	s.oracle.judgeLogs(logs)
	for _, d := range s.deployments {
		if err := s.inspect(ctx, d); err != nil {
			return err
		}
	}
	return s.readEverything(ctx)
}

// complaint is a question to a database that must have no answer.
type complaint struct{ what, query string }

// unfinished is what a deployment at rest has none of.
var unfinished = []complaint{
	{"is not held", `SELECT module || '@' || version || ': ' || fetch_error FROM versions
		WHERE add_position IS NOT NULL AND NOT deleted AND NOT held`},
	{"is deleted and held", `SELECT module || '@' || version FROM versions WHERE deleted AND held`},
	{"is being filled", `SELECT module || '@' || version || ' by ' || process || ': ' || error FROM fills`},
	// What comes back at intervals is not stuck unless it is old.
	{"is a job that waits or runs", `SELECT kind || ' ' || state || ' ' || args::text || coalesce(': ' || errors[array_upper(errors, 1)]::text, '')
		FROM river_job WHERE state NOT IN ('completed', 'cancelled', 'discarded')
		AND (kind NOT IN ('pull', 'fetch', 'reconcile', 'scrub', 'collect') OR scheduled_at < now() - interval '1 minute')`},
}

// wrong is what a deployment never has.
var wrong = []complaint{
	{"is a conflict", `SELECT module || '@' || version FROM versions WHERE conflict`},
	{"failed to be fetched", `SELECT module || '@' || version || ': ' || fetch_error FROM versions WHERE fetch_error <> '' AND NOT held AND NOT deleted`},
	{"is a peer that is not active", `SELECT name || ' ' || state || ' ' || last_error FROM peers WHERE state <> 'active'`},
	// Pushes may be: pulling repairs that. A fill is queued anew for each attempt.
	{"is a job that was given up", `SELECT kind || ' ' || args::text || ': ' || errors[array_upper(errors, 1)]::text FROM river_job
		WHERE state = 'discarded' AND kind NOT IN ('push', 'fill')`},
	{"is a change without an audit entry", `SELECT kind || ' ' || module || '@' || version FROM events e WHERE kind <> 'add' AND origin = $1
		AND NOT EXISTS (SELECT FROM audit a WHERE a.action = e.kind AND a.subject = e.module || '@' || e.version)`},
}

const shownComplaints = 5

// ask returns up to some answers, and how many there are.
func (c complaint) ask(ctx context.Context, d *deployment) ([]string, error) {
	var args []any
	if strings.Contains(c.query, "$1") {
		args = append(args, d.name)
	}
	rows, err := d.db.Query(ctx, c.query, args...)
	if err != nil {
		return nil, fmt.Errorf("ask what of %s %s: %w", d.label, c.what, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("ask what of %s %s: %w", d.label, c.what, err)
	}
	lines := make([]string, 0, shownComplaints)
	for i, line := range found {
		if i == shownComplaints {
			lines = append(lines, fmt.Sprintf("%s: and %d more of what %s", d.label, len(found)-i, c.what))
			break
		}
		lines = append(lines, fmt.Sprintf("%s: %s %s", d.label, line, c.what))
	}
	return lines, nil
}

// undone is what the deployments still have to do.
func (s *suite) undone(ctx context.Context) (undone []string, err error) {
	for _, d := range s.deployments {
		for _, other := range s.deployments {
			if d == other {
				continue
			}
			head, err := other.head(ctx)
			if err != nil {
				return nil, err
			}
			at, err := d.pointer(ctx, other)
			if err != nil {
				return nil, err
			}
			if at != head {
				undone = append(undone, fmt.Sprintf("%s has taken %d of the %d events of %s", d.label, at, head, other.label))
			}
		}
		for _, c := range unfinished {
			lines, err := c.ask(ctx, d)
			if err != nil {
				return nil, err
			}
			undone = append(undone, lines...)
		}
	}
	return undone, nil
}

// inspect looks into one deployment at rest.
func (s *suite) inspect(ctx context.Context, d *deployment) error {
	for _, c := range wrong {
		lines, err := c.ask(ctx, d)
		if err != nil {
			return err
		}
		for _, line := range lines {
			s.oracle.violate("%s", line)
		}
	}
	output, err := d.task(ctx, "log:verify")
	if err != nil {
		s.oracle.violate("log:verify at %s: %v: %s", d.label, err, strings.ReplaceAll(strings.TrimSpace(output), "\n", "; "))
	}
	s.verified[d.label] = strings.TrimSpace(output)
	if err := s.judgeLeftovers(ctx, d); err != nil {
		return err
	}
	var retries int
	if err := d.db.QueryRow(ctx, "SELECT coalesce(sum(attempt - 1), 0) FROM river_job WHERE attempt > 1 AND kind NOT IN ('pull', 'fetch')").Scan(&retries); err != nil {
		return err
	}
	s.retries += retries
	for _, rec := range s.oracle.all() {
		s.judgeUpstream(d, rec)
	}
	return nil
}

// judgeLeftovers looks for files that nobody needs. Those of a killed process are collected in time; the living ones have nothing under way
// any more, and must have cleared up behind them.
func (s *suite) judgeLeftovers(ctx context.Context, d *deployment) error {
	rows, err := d.db.Query(ctx, "SELECT zip_sha256 FROM versions JOIN events ON position = add_position WHERE held")
	if err != nil {
		return err
	}
	held, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	needed := make(map[string]bool, len(held))
	for _, sha256 := range held {
		needed[sha256] = true
	}
	for _, pattern := range []string{"tmp/*", "zips/*/*"} {
		names, err := filepath.Glob(filepath.Join(d.dir, "blobs", filepath.FromSlash(pattern)))
		if err != nil {
			return err
		}
		for _, name := range names {
			sha256 := filepath.Base(filepath.Dir(name)) + strings.TrimSuffix(filepath.Base(name), ".zip")
			info, err := os.Stat(name)
			if err != nil || needed[sha256] {
				continue
			}
			s.leftovers++
			if info.ModTime().After(d.lastHurt().Add(time.Second)) {
				s.oracle.violate("%s has left behind %s of %s, when no process had been killed since %s",
					d.label, name, info.ModTime().Format(clock), d.lastHurt().Format(clock))
			}
		}
	}
	return nil
}

// underWay is how long a fill that had been begun when its version was deleted may go on asking upstream.
const underWay = 45 * time.Second

// judgeUpstream looks for what upstream should not have been asked.
func (s *suite) judgeUpstream(d *deployment, rec *record) {
	if t, ok := rec.deletes.acknowledged[d.label]; ok {
		if what := s.upstream.askedSince(d.label, rec.release, t.Add(underWay)); what != "" {
			s.oracle.violate("%s asked upstream for %s, although it had acknowledged its deletion at %s", d.label, what, t.Format(clock))
		}
	}
	if rec.module == unwanted {
		if what := s.upstream.askedSince(d.label, rec.release, time.Time{}); what != "" {
			s.oracle.violate("%s asked upstream for %s, although nobody wanted it fetched", d.label, what)
		}
	}
}

// readEverything asks every deployment for every file there is. What is live is held everywhere, what is deleted is denied everywhere.
func (s *suite) readEverything(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, rec := range s.oracle.all() {
		for _, d := range s.deployments {
			g.Go(func() error {
				s.readRelease(ctx, d, rec)
				return ctx.Err()
			})
		}
	}
	return g.Wait()
}

func (s *suite) readRelease(ctx context.Context, d *deployment, rec *record) {
	want := http.StatusNotFound
	switch {
	case len(rec.deletes.acknowledged) > 0:
		want = http.StatusForbidden
	case rec.deletes.wanted():
		want = 0 // nobody knows what became of it, but the deployments agree: their logs have been compared
	case len(rec.served) > 0:
		want = http.StatusOK
	case len(rec.asked) > 0:
		want = 0 // it may have been filled after its client had gone
	}
	at := d.addresses() // of each process: none is to remember what the others have forgotten
	if want == http.StatusOK {
		at = []string{strings.TrimPrefix(d.proxy.server.URL, "http://")}
	}
	for _, address := range at {
		for _, ext := range fileKinds {
			a := s.load.getFrom(ctx, d, "http://"+address, rec.release, ext, true) // from what is held
			if want != 0 && (a.err != nil || a.status != want) && ctx.Err() == nil {
				s.oracle.violate("in the end GET %s of %s at %s of %s, want %d: %s", ext, rec.release, address, d.label, want, a)
			}
		}
	}
}
