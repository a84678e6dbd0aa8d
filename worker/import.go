package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"olympus/internal/circuit"
	"olympus/internal/modzip"
	"olympus/internal/protocol"
	"olympus/internal/source"
	"olympus/internal/upstream"
	"olympus/models"
)

const (
	// importers is how many versions are imported at a time, importBatch how many the log is asked about in one go.
	importers   = 8
	importBatch = 500

	// A server that is left out because it did not answer is waited for this often, and this long, before the import ends.
	importPatience = 8
	importPause    = 2 * time.Second

	// claimTimeout bounds the claim of one version, which waits for nothing but Postgres.
	claimTimeout = 10 * time.Second
)

// Outcome is what became of a version in an import.
type Outcome string

// The outcomes.
const (
	OutcomeImported Outcome = "imported" // a new event tells of it
	OutcomeHeld     Outcome = "held"     // the log knew it, and its zip is here now
	OutcomePresent  Outcome = "present"  // the log knew it, and nothing was to do
	OutcomeDeleted  Outcome = "deleted"  // a tombstone bars it
	OutcomeConflict Outcome = "conflict" // the log knows it with another hash: it is left alone
	OutcomeFailed   Outcome = "failed"   // it cannot be imported from this source
)

// ImportedVersion is one version of a source, or what was found in its place.
type ImportedVersion struct {
	Name    string // module@version, or the name of what is no version
	Outcome Outcome
	Bytes   int64 // of its zip, if that was read
	Err     error // of what is in conflict or failed
}

// errOtherSum: the zip is not what the list of versions says.
var errOtherSum = errors.New("its zip is not the one that the list names")

// Import imports every version of a source, several at a time, and calls report for each, not concurrently. What the log knows already is
// passed over without reading it, unless check is set. It ends early if the fault is not that of a version: the database, the blob store, a
// server that does not answer, or ctx. All that was reported is durable, and it can be run again at any time.
//
// Nobody else may import or fill in this process: claims tell processes apart.
func (d *Deployment) Import(ctx context.Context, src source.Source, check bool, report func(ImportedVersion)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(importers)
	i := &importing{Deployment: d, src: src, check: check, tell: report, group: group, underway: make(map[moduleVersion]bool)}
	walked := src.Walk(ctx,
		func(v source.Version) error {
			if i.batch = append(i.batch, v); len(i.batch) == importBatch {
				return i.sort(ctx)
			}
			return ctx.Err()
		},
		func(bad *source.Error) {
			i.report(ImportedVersion{Name: fmt.Sprintf("%.300q", bad.Name), Outcome: OutcomeFailed, Err: bad.Err})
		})
	if walked == nil {
		walked = i.sort(ctx)
	}
	if err := group.Wait(); err != nil {
		return err // else Walk may only tell that it was ended for it
	}
	return walked
}

// importing is one run of Import.
type importing struct {
	*Deployment
	src   source.Source
	check bool
	group *errgroup.Group
	batch []source.Version

	mu       sync.Mutex
	tell     func(ImportedVersion)
	underway map[moduleVersion]bool
}

func (i *importing) report(v ImportedVersion) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tell(v)
}

// begin is false while the same version is under way: a list may name it twice.
func (i *importing) begin(v *source.Version) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := moduleVersion{v.Module, v.Version}
	if i.underway[key] {
		return false
	}
	i.underway[key] = true
	return true
}

func (i *importing) end(v *source.Version) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.underway, moduleVersion{v.Module, v.Version})
}

// sort asks the log about a batch. What needs no look at the source is reported, and the rest is begun.
func (i *importing) sort(ctx context.Context) error {
	batch := i.batch
	i.batch = nil
	modules, versions := make([]string, len(batch)), make([]string, len(batch))
	for n := range batch {
		modules[n], versions[n] = batch[n].Module, batch[n].Version
	}
	standings, err := models.Standings(i.db(ctx), modules, versions)
	if err != nil {
		return err
	}
	settled := make(map[int]bool, len(standings))
	for _, s := range standings {
		if s.Deleted || s.Held && !i.check {
			settled[s.Index] = true
			i.report(standing(&batch[s.Index], s.Deleted, s.ZipHash))
		}
	}
	for n := range batch {
		v := &batch[n]
		if settled[n] || !i.begin(v) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		i.group.Go(func() error {
			defer i.end(v)
			return i.one(ctx, v)
		})
	}
	return ctx.Err()
}

// standing is the outcome of a version that is deleted or held, by the log alone.
func standing(v *source.Version, deleted bool, zipHash string) ImportedVersion {
	switch {
	case deleted:
		return ImportedVersion{Name: v.String(), Outcome: OutcomeDeleted}
	case v.Sum != "" && v.Sum != zipHash:
		return conflicting(v, zipHash, v.Sum)
	}
	return ImportedVersion{Name: v.String(), Outcome: OutcomePresent}
}

func conflicting(v *source.Version, logged, found string) ImportedVersion {
	return ImportedVersion{Name: v.String(), Outcome: OutcomeConflict, Err: fmt.Errorf("the log has %s, the source %s", logged, found)}
}

// one imports a version and reports it. The error is one that ends the import.
func (i *importing) one(ctx context.Context, v *source.Version) error {
	for tries := 1; ; tries++ {
		bounded, cancel := context.WithTimeout(ctx, fillTimeout)
		done, err := i.version(bounded, v)
		tooSlow := bounded.Err() != nil
		cancel()
		switch {
		case err == nil:
			i.report(done)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		_, leftOut := errors.AsType[*circuit.OpenError](err)
		switch {
		case leftOut && tries < importPatience:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(importPause):
			}
		case !leftOut && (isOfVersion(err) || tooSlow):
			done.Name, done.Outcome, done.Err = v.String(), OutcomeFailed, err
			i.report(done)
			return nil
		default:
			return fmt.Errorf("import %s: %w", v, err)
		}
	}
}

// isOfVersion is true for errors that say something of one version and nothing of the next.
func isOfVersion(err error) bool {
	if errors.Is(err, modzip.ErrInvalid) || errors.Is(err, errOtherSum) {
		return true
	}
	_, unusable := errors.AsType[*source.Error](err)
	_, unknown := errors.AsType[*upstream.NotFoundError](err)
	_, failed := errors.AsType[*upstream.FailedError](err)
	_, differs := errors.AsType[*upstream.ChecksumError](err)
	_, malformed := errors.AsType[*protocol.MalformedError](err)
	return unusable || unknown || failed || differs || malformed
}

// version imports a version that is not held, or is to be checked.
func (i *importing) version(ctx context.Context, v *source.Version) (ImportedVersion, error) {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		known, err := models.FindVersion(i.db(ctx), v.Module, v.Version)
		if err == nil && (known.Deleted || known.Known()) {
			return i.known(ctx, v, known)
		}
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return ImportedVersion{}, err
		}
		if err := ctx.Err(); err != nil {
			return ImportedVersion{}, err
		}
		claim, claimed, err := i.claim(ctx, v)
		if err != nil {
			return ImportedVersion{}, err
		}
		if claimed {
			return i.unknown(ctx, v, claim)
		}
		// Somebody asked for it, and may have been answered its .info: the fill that is under way must be what gets into the log.
		select {
		case <-ctx.Done():
			return ImportedVersion{}, ctx.Err()
		case <-poll.C:
		}
	}
}

// claim claims the fill of a version. It is not cut off by the end of ctx: whether it had taken effect would not be known, and the claim
// kept until this process is gone.
func (i *importing) claim(ctx context.Context, v *source.Version) (*models.Fill, bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTimeout)
	defer cancel()
	return models.ClaimFill(i.db(ctx), v.Module, v.Version, i.Process, patience)
}
