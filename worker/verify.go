package worker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"olympus/internal/blob"
	"olympus/internal/modzip"
	"olympus/internal/protocol"
	"olympus/internal/transparency"
	"olympus/models"
)

const (
	// verifyPage is how many rows Verify and Replay look at in one go.
	verifyPage = 1000
	// verifyZips is how many zips are read at the same time. Reading one keeps several processors busy already; more than one at a
	// time is for stores that are far away.
	verifyZips = 4
)

// Problem is one thing that is wrong with the log, the versions or the blobs.
type Problem struct {
	Position int64  `json:"position,omitempty"` // of the event; 0 where it is about a version or the whole log
	Module   string `json:"module,omitempty"`
	Version  string `json:"version,omitempty"`
	What     string `json:"problem"`
}

// String is the problem as one line.
func (p Problem) String() string {
	where := "event log"
	switch {
	case p.Position != 0 && p.Module != "":
		where = fmt.Sprintf("position %d (%s@%s)", p.Position, p.Module, p.Version)
	case p.Position != 0:
		where = fmt.Sprintf("position %d", p.Position)
	case p.Module != "":
		where = p.Module + "@" + p.Version
	}
	return where + ": " + p.What
}

// Verified counts what Verify looked at.
type Verified struct {
	Events   int64 `json:"events"`
	Versions int64 `json:"versions"`
	Blobs    int64 `json:"blobs"`   // zips read
	Orphans  int64 `json:"orphans"` // blobs that no version holds: left by a fill that did not end, and no harm
	Problems int64 `json:"-"`       // reported
}

// Verify looks for everything that can be wrong here: gaps in the log, events that are not valid or not those of the tree, a tree that
// does not extend what was signed, versions that do not follow from the log, and zips that are missing, left over, or not the bytes that the log names. It calls report for each problem, never
// concurrently. It repairs one kind of them: a zip that is missing or damaged is recorded as lost, so that it is not served any more and
// is fetched again. It may run beside serving processes.
func (d *Deployment) Verify(ctx context.Context, report func(Problem)) (*Verified, error) {
	// A store that does not answer says nothing about any one zip.
	if err := d.Store.Check(ctx); err != nil {
		return nil, err
	}
	v := &verification{Deployment: d, report: report}
	for _, step := range []func(context.Context) error{v.order, v.events, v.tree, v.state, v.zips} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return &v.result, nil
}

// verification is one run of Verify.
type verification struct {
	*Deployment
	report func(Problem)
	result Verified
}

func (v *verification) problem(p Problem) {
	v.result.Problems++
	v.report(p)
}

// order checks that the log is gapless up to its head, and tells every event once.
func (v *verification) order(ctx context.Context) error {
	extent, err := models.LogExtent(v.db(ctx))
	if err != nil {
		return err
	}
	for after := int64(0); ; {
		found, err := models.Disorders(v.db(ctx), after, verifyPage)
		if err != nil {
			return err
		}
		for _, f := range found {
			if f.Position != f.Before+1 {
				v.problem(Problem{Position: f.Before + 1, What: missing(f.Before+1, f.Position-1)})
			}
			if f.Late {
				v.problem(Problem{Position: f.Position, What: "it was not logged after the event before it"})
			}
			after = f.Position
		}
		if len(found) < verifyPage {
			break
		}
	}
	switch {
	case extent.Last < extent.Head:
		v.problem(Problem{Position: extent.Last + 1, What: missing(extent.Last+1, extent.Head)})
	case extent.Last > extent.Head:
		v.problem(Problem{What: fmt.Sprintf("its head is %d, and its last event is at position %d", extent.Head, extent.Last)})
	}
	repeated, err := models.RepeatedEvents(v.db(ctx), verifyPage)
	for _, r := range repeated {
		v.problem(Problem{Module: r.Module, Version: r.Version, What: fmt.Sprintf("the same %s is logged at positions %s", r.Kind, r.Positions)})
	}
	return err
}

func missing(first, last int64) string {
	if first == last {
		return "no event: a gap"
	}
	return fmt.Sprintf("no event up to position %d: a gap", last)
}

// events checks every event by the rules of the wire, hash of the go.mod included, and that it is the one that the tree holds.
func (v *verification) events(ctx context.Context) error {
	extent, err := models.LogExtent(v.db(ctx))
	if err != nil {
		return err
	}
	progress := progressOf(ctx)
	progress.Begin("events", extent.Head)
	held := &leaves{read: models.Tiles(v.db(ctx)), index: -1}
	for after := int64(0); ; {
		page, err := models.Events(v.db(ctx), after, verifyPage, protocol.MaxPageBytes)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			e := &page[i]
			v.result.Events++
			if err := e.Validate(); err != nil {
				v.problem(Problem{Position: e.Position, Module: e.Module, Version: e.Version, What: err.Error()})
			}
			ok, err := held.holds(e.Position, transparency.Leaf(&e.Event))
			if err != nil {
				return err
			}
			if !ok {
				v.problem(Problem{Position: e.Position, Module: e.Module, Version: e.Version, What: "it is not the event that the tree holds"})
			}
			after = e.Position
		}
		progress.Add(int64(len(page)), 0)
	}
}

// state checks that the versions are what the log says.
func (v *verification) state(ctx context.Context) error {
	path, version := "", ""
	for {
		page, err := models.Deviations(v.db(ctx), path, version, verifyPage)
		if err != nil {
			return err
		}
		for i := range page {
			path, version = page[i].Module, page[i].Version
			v.problem(Problem{Module: path, Version: version, What: page[i].String()})
		}
		if len(page) < verifyPage {
			return nil
		}
	}
}

// zips checks every zip that a version holds, and that deleted versions have none.
func (v *verification) zips(ctx context.Context) error {
	// Listed first: what is stored from now on is no orphan.
	listed := int64(0)
	if err := v.Store.List(ctx, "", func(blob.Entry) error { listed++; return nil }); err != nil {
		return err
	}
	var read, known atomic.Int64
	err := v.eachVersion(ctx, func(ctx context.Context, adds []models.Holding) (what string, err error) {
		for i := range adds {
			h := &adds[i]
			switch {
			case h.Position == 0 || !h.Deleted && !(h.Held && h.Served):
				continue
			case h.Deleted:
				what, err = v.verifyDeleted(ctx, h, &known)
			default:
				read.Add(1)
				what, err = v.verifyHeld(ctx, h, &known)
			}
			if what != "" || err != nil {
				return what, err
			}
		}
		return "", nil
	})
	v.result.Blobs = read.Load()
	v.result.Orphans = max(0, listed-known.Load())
	return err
}

// eachVersion calls check for every version, several at a time, and reports what it finds wrong, in order.
func (v *verification) eachVersion(ctx context.Context, check func(context.Context, []models.Holding) (string, error)) error {
	return v.eachPage(ctx, func(versions [][]models.Holding) error {
		v.result.Versions += int64(len(versions))
		wrong := make([]string, len(versions))
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(verifyZips)
		for i, adds := range versions {
			g.Go(func() (err error) {
				wrong[i], err = check(ctx, adds)
				return err
			})
		}
		err := g.Wait()
		for i, what := range wrong {
			if what != "" {
				v.problem(Problem{Module: versions[i][0].Module, Version: versions[i][0].Version, What: what})
			}
		}
		return err
	})
}

// verifyDeleted makes sure that the zip of a deleted version is gone. One whose row still says held is about to be removed.
func (v *verification) verifyDeleted(ctx context.Context, h *models.Holding, known *atomic.Int64) (string, error) {
	_, _, err := v.Store.Stat(ctx, h.ZipSHA256)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	}
	known.Add(1)
	if h.Held && h.Served {
		return "", nil
	}
	return fmt.Sprintf("it is deleted, and its zip %s is still in the blob store", h.ZipSHA256), nil
}

// verifyHeld reads the zip of a version and gives it up if it is not what the log says.
func (v *verification) verifyHeld(ctx context.Context, h *models.Holding, known *atomic.Int64) (string, error) {
	fault := v.checkZip(ctx, h)
	progressOf(ctx).Add(0, h.ZipSize)
	if !errors.Is(fault, blob.ErrNotFound) {
		known.Add(1)
	}
	if fault == nil {
		return "", nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	// It may have been deleted or lost since the page was read.
	now, err := models.FindVersion(v.db(ctx), h.Module, h.Version)
	if err != nil {
		return "", err
	}
	if !now.Held || now.Deleted || now.AddPosition != h.Position {
		return "", nil
	}
	what := fmt.Sprintf("its zip %s cannot be read: %v", h.ZipSHA256, fault)
	switch {
	case errors.Is(fault, blob.ErrNotFound):
		what = fmt.Sprintf("its zip %s is missing in the blob store", h.ZipSHA256)
	case errors.Is(fault, modzip.ErrInvalid):
		what = fmt.Sprintf("its zip %s is damaged: %v", h.ZipSHA256, innermost(fault))
	default:
		return what, nil // perhaps tomorrow
	}
	if err := v.lose(ctx, h, what); err != nil {
		return "", err
	}
	return what + " (recorded as lost, to be fetched again)", nil
}

// innermost is the part of a zip's fault that does not repeat which version it is.
func innermost(fault error) error {
	var mismatch *modzip.MismatchError
	if errors.As(fault, &mismatch) {
		return mismatch
	}
	return fault
}
