package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/gobuffalo/pop/v6"
	"golang.org/x/mod/module"
	"golang.org/x/sync/errgroup"

	"olympus/internal/blob"
	"olympus/internal/modzip"
	"olympus/models"
)

// Replayed counts what Replay found and did.
type Replayed struct {
	Events   int64 `json:"events"`
	Versions int64 `json:"versions"`
	Rebuilt  int64 `json:"rebuilt"` // rows that were missing or wrong
	Removed  int64 `json:"removed"` // rows that no event speaks of
	Held     int64 `json:"held"`    // versions whose zip is in the blob store
	Found    int64 `json:"found"`   // of them, those that were not known to be
	Lost     int64 `json:"lost"`    // zips that were taken as held and are missing, cut off or damaged
	Cleared  int64 `json:"cleared"` // zips of deleted versions that were left in the blob store
}

// Replay rebuilds everything that follows from the log: the versions, and then, against the blob store, which of them are held. It ends
// with the state that a deployment with this log, these blobs and these pins has anyway, and may run beside serving processes: appends
// wait while the versions are rebuilt. A second run changes nothing.
func (d *Deployment) Replay(ctx context.Context) (*Replayed, error) {
	// Of a store that does not answer, every zip would seem lost.
	if err := d.Store.Check(ctx); err != nil {
		return nil, err
	}
	r := &Replayed{}
	err := d.transaction(ctx, func(tx *pop.Connection) error {
		rebuilt, err := models.RebuildVersions(tx)
		if err == nil {
			r.Events, r.Rebuilt, r.Removed = rebuilt.Head, int64(rebuilt.Written), int64(rebuilt.Removed)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("replay the event log: %w", err)
	}
	var held, found, lost, cleared atomic.Int64
	err = d.eachPage(ctx, func(versions [][]models.Holding) error {
		r.Versions += int64(len(versions))
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(verifyZips)
		for _, adds := range versions {
			g.Go(func() error {
				switch first := &adds[0]; {
				case first.Position == 0: // without an add there is no zip
					return nil
				case first.Deleted:
					return d.clear(ctx, adds, &cleared)
				case first.Held:
					return d.confirm(ctx, adds, &held, &lost)
				default:
					return d.find(ctx, adds, &held, &found)
				}
			})
		}
		return g.Wait()
	})
	r.Held, r.Found, r.Lost, r.Cleared = held.Load(), found.Load(), lost.Load(), cleared.Load()
	return r, err
}

// clear removes the zips that are left of a deleted version. One whose row says held has a remove job.
func (d *Deployment) clear(ctx context.Context, adds []models.Holding, cleared *atomic.Int64) error {
	for i := range adds {
		h := &adds[i]
		if h.Held && h.Served {
			continue
		}
		_, _, err := d.Store.Stat(ctx, h.ZipSHA256)
		if errors.Is(err, blob.ErrNotFound) {
			continue
		}
		if err == nil {
			err = d.Store.Delete(ctx, h.ZipSHA256)
		}
		if err != nil {
			return err
		}
		cleared.Add(1)
	}
	return nil
}

// confirm makes sure that the zip of a held version is there, whole by its size. Its bytes are Verify's business.
func (d *Deployment) confirm(ctx context.Context, adds []models.Holding, held, lost *atomic.Int64) error {
	for i := range adds {
		h := &adds[i]
		if !h.Served {
			continue
		}
		size, _, err := d.Store.Stat(ctx, h.ZipSHA256)
		switch {
		case err == nil && size == h.ZipSize:
			held.Add(1)
			return nil
		case err == nil:
			err = fmt.Errorf("its zip has %d bytes, not %d", size, h.ZipSize)
		case !errors.Is(err, blob.ErrNotFound):
			return err
		}
		lost.Add(1)
		return d.lose(ctx, h, err.Error())
	}
	return nil
}

// find takes up the zip of a remote version if it is in the blob store after all and good.
func (d *Deployment) find(ctx context.Context, adds []models.Holding, held, found *atomic.Int64) error {
	for i := range adds {
		h := &adds[i]
		if !h.Eligible {
			continue
		}
		err := d.checkZip(ctx, h)
		switch {
		case errors.Is(err, blob.ErrNotFound):
			continue
		case errors.Is(err, modzip.ErrInvalid):
			// It would be taken for the good one when that is stored.
			if err := d.Store.Delete(ctx, h.ZipSHA256); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		marked, err := models.MarkHeld(d.db(ctx), h.Module, h.Version, h.Position, fromStore)
		if err != nil {
			return err
		}
		if marked {
			held.Add(1)
			found.Add(1)
			return nil
		}
		// Deleted or pinned to another add since the page was read: the zip is not wanted any more.
		return d.Store.Delete(ctx, h.ZipSHA256)
	}
	return nil
}

// eachPage calls f with the adds of every version, version by version, in pages.
func (d *Deployment) eachPage(ctx context.Context, f func(versions [][]models.Holding) error) error {
	counts, err := models.CountVersions(d.db(ctx))
	if err != nil {
		return err
	}
	progress := progressOf(ctx)
	progress.Begin("versions", counts.All)
	path, version := "", ""
	for {
		page, err := models.Holdings(d.db(ctx), path, version, verifyPage)
		if err != nil || len(page) == 0 {
			return err
		}
		var versions [][]models.Holding
		for _, h := range page {
			if h.Module != path || h.Version != version {
				versions = append(versions, nil)
				path, version = h.Module, h.Version
			}
			last := len(versions) - 1
			versions[last] = append(versions[last], h)
		}
		if err := f(versions); err != nil {
			return err
		}
		progress.Add(int64(len(versions)), 0)
	}
}

// lose gives up a zip. The blob goes first: one of the right size would be taken for the good one when that is stored. Whoever fetches
// the version between the two steps has it marked as lost once too often, and fetches it once more.
func (d *Deployment) lose(ctx context.Context, h *models.Holding, why string) error {
	if err := d.Store.Delete(ctx, h.ZipSHA256); err != nil {
		return err
	}
	return models.MarkLost(d.db(ctx), h.Module, h.Version, why)
}

// checkZip compares a blob with what the log says of it. Its error wraps blob.ErrNotFound if there is none and modzip.ErrInvalid if
// it holds other bytes; any other error says nothing about the bytes.
func (d *Deployment) checkZip(ctx context.Context, h *models.Holding) error {
	b, err := d.Store.Open(ctx, h.ZipSHA256)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	f, local := b.Content().(*os.File)
	if !local {
		if f, err = d.Store.Temp(); err != nil {
			return err
		}
		defer blob.Discard(f)
		if _, err := f.ReadFrom(b); err != nil {
			return fmt.Errorf("read blob %s: %w", h.ZipSHA256, err)
		}
	}
	want := modzip.Want{H1: h.ZipHash, SHA256: h.ZipSHA256, Size: h.ZipSize, ModHash: h.ModHash}
	// A zip that was accepted is not to be lost because the limit has been lowered since.
	return modzip.Verify(module.Version{Path: h.Module, Version: h.Version}, f.Name(), want, max(d.MaxZip, h.ZipSize))
}
