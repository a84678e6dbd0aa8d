package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"olympus/internal/protocol"
)

// fact is what makes two events the same event.
type fact struct {
	kind protocol.Kind
	release
	zipHash string
}

func (f fact) String() string { return fmt.Sprintf("%s of %s (%s)", f.kind, f.release, f.zipHash) }

// readLog reads the whole log of a deployment from its database.
func (d *deployment) readLog(ctx context.Context) ([]protocol.Logged, error) {
	rows, err := d.db.Query(ctx, `SELECT position, kind, module, version, origin, zip_hash, zip_sha256, zip_size, info, mod FROM events ORDER BY position`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e protocol.Logged, err error) {
		err = row.Scan(&e.Position, &e.Kind, &e.Module, &e.Version, &e.Origin, &e.ZipHash, &e.ZipSHA256, &e.ZipSize, &e.Info, &e.Mod)
		return e, err
	})
}

// judgeLogs compares the logs of all deployments, by label, with each other and with what was done.
func (o *oracle) judgeLogs(logs map[string][]protocol.Logged) {
	o.mu.Lock()
	defer o.mu.Unlock()
	origins := make(map[fact]map[string]string) // deployment to origin
	for d, log := range logs {
		for i := range log {
			e := &log[i]
			if e.Position != int64(i+1) {
				o.violation("the log of %s has position %d where %d should be", d, e.Position, i+1)
			}
			f := fact{e.Kind, release{e.Module, e.Version}, e.ZipHash}
			if origins[f] == nil {
				origins[f] = make(map[string]string)
			}
			if _, twice := origins[f][d]; twice {
				o.violation("the log of %s holds the %s twice", d, f)
			}
			origins[f][d] = strings.TrimSuffix(e.Origin, nameOf(""))
			o.judgeEvent(d, e)
		}
	}
	deployments := slices.Sorted(maps.Keys(logs))
	for f, in := range origins {
		o.judgeFact(f, in, deployments)
	}
	known := make(map[fact]map[string]string, len(origins)) // whatever the hash
	for f, in := range origins {
		known[fact{kind: f.kind, release: f.release}] = in
	}
	for _, rec := range o.releases {
		for _, d := range deployments {
			o.judgePromises(rec, d, known)
		}
	}
}

// judgeEvent compares one event with the files of its release.
func (o *oracle) judgeEvent(d string, e *protocol.Logged) {
	rec := o.of(release{e.Module, e.Version})
	if e.Kind != protocol.KindAdd {
		return
	}
	switch {
	case !rec.exists:
		o.violation("the log of %s has an add of %s at position %d, which nobody has", d, rec.release, e.Position)
	case e.ZipSHA256 != rec.files.zipSHA256 || e.ZipSize != int64(rec.files.zipSize) || e.Info != rec.files.info || e.Mod != rec.files.mod:
		o.violation("the log of %s has an add of %s at position %d with wrong files: zip %s, .info %q, .mod %q", d, rec.release, e.Position, e.ZipSHA256, e.Info, e.Mod)
	}
}

// judgeFact judges who has an event. Its origin may differ between logs only if several deployments made it before they heard of
// each other.
func (o *oracle) judgeFact(f fact, in map[string]string, deployments []string) {
	for _, d := range deployments {
		if _, ok := in[d]; !ok {
			o.violation("the log of %s lacks the %s, which %s has", d, f, strings.Join(slices.Sorted(maps.Keys(in)), " and "))
		}
	}
	rec := o.of(f.release)
	could := rec.asked
	if f.kind != protocol.KindAdd {
		could = rec.change(f.kind).asked
	}
	for d, origin := range in {
		if !could[origin] {
			o.violation("the log of %s has the %s with origin %s, which was never asked for it", d, f, origin)
		}
	}
}

// judgePromises looks in one log for what was acknowledged about a release.
func (o *oracle) judgePromises(rec *record, d string, known map[fact]map[string]string) {
	has := func(kind protocol.Kind) bool {
		_, ok := known[fact{kind: kind, release: rec.release}][d]
		return ok
	}
	for _, kind := range []protocol.Kind{protocol.KindDelete, protocol.KindDeprecate} {
		if acknowledged := rec.change(kind).acknowledged; len(acknowledged) > 0 && !has(kind) {
			o.violation("the log of %s lacks the %s of %s, acknowledged by %v", d, kind, rec.release, slices.Sorted(maps.Keys(acknowledged)))
		}
	}
	// What is deleted while it is being filled need not be added any more.
	if len(rec.served) > 0 && !rec.deletes.wanted() && !has(protocol.KindAdd) {
		o.violation("the log of %s lacks the add of %s, served by %v", d, rec.release, slices.Sorted(maps.Keys(rec.served)))
	}
}
