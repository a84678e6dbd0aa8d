package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"olympus/internal/blob"
	"olympus/models"
)

const (
	// collectInterval is how often the blob store is looked through for blobs that no version holds.
	collectInterval = 24 * time.Hour
	// collectAge is how old such a blob must be: a younger one may be that of a fill or download whose last step has yet to come.
	collectAge = 2 * blob.Young
	// collectAgain is when a collection that failed, or was cut short, is tried again.
	collectAgain = 10 * time.Minute
)

const collectChore = "collect blobs that no version holds"

// collect removes, once a day, what a process that was killed between a blob and its row has left for ever. One process does it.
func (d *Deployment) collect(ctx context.Context) error {
	taken, err := models.TakeChore(d.db(ctx), collectChore, collectInterval)
	if err != nil || !taken {
		return err
	}
	d.Queue.beside(func(ctx context.Context) {
		removed, err := d.CollectBlobs(ctx, collectAge)
		if removed > 0 {
			d.Log.Info("removed blobs that no version holds", "blobs", removed)
		}
		if err == nil {
			return
		}
		d.Log.Error("could not "+collectChore, "error", err)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := models.ReturnChore(d.db(ctx), collectChore, collectAgain); err != nil {
			d.Log.Error("could not put off to "+collectChore, "error", err)
		}
	})
	return nil
}

// CollectBlobs removes the blobs older than age that no version holds, and returns how many.
//
// They are looked through in sixteen parts, which bounds the memory, and in each the store is listed before the versions are asked: what is
// stored in between belongs to a version by then. Whoever stores a blob that is there already renews one that is not young, so that what
// is old here is nobody's.
func (d *Deployment) CollectBlobs(ctx context.Context, age time.Duration) (removed int, err error) {
	for _, digit := range "0123456789abcdef" {
		var old []string
		err := d.Store.List(ctx, string(digit), func(e blob.Entry) error {
			if time.Since(e.Stored) >= age {
				old = append(old, e.SHA256)
			}
			return nil
		})
		if err != nil {
			return removed, err
		}
		if len(old) == 0 {
			continue
		}
		held, err := models.HeldSums(d.db(ctx), string(digit))
		if err != nil {
			return removed, err
		}
		for _, sum := range old {
			if _, found := slices.BinarySearch(held, sum); found {
				continue
			}
			gone, err := d.collectBlob(ctx, sum, age)
			if err != nil {
				return removed, err
			}
			if gone {
				removed++
			}
		}
	}
	return removed, nil
}

// collectBlob removes one blob if it still is old and nobody's. Should a version have come to hold it in the very moment, its zip counts as
// lost at once and is fetched again.
func (d *Deployment) collectBlob(ctx context.Context, sum string, age time.Duration) (bool, error) {
	_, stored, err := d.Store.Stat(ctx, sum)
	if errors.Is(err, blob.ErrNotFound) || err == nil && time.Since(stored) < age {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if _, _, err := models.HeldBySum(d.db(ctx), sum); !errors.Is(err, models.ErrNotFound) {
		return false, err
	}
	if err := d.Store.Delete(ctx, sum); err != nil {
		return false, err
	}
	module, version, err := models.HeldBySum(d.db(ctx), sum)
	if err == nil {
		return true, models.MarkLost(d.db(ctx), module, version, "its zip was removed while it was being stored")
	}
	if errors.Is(err, models.ErrNotFound) {
		err = nil
	}
	return true, err
}
