package worker

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/gobuffalo/pop/v6"
	"golang.org/x/mod/module"

	"olympus/internal/blob"
	"olympus/internal/modzip"
	"olympus/internal/protocol"
	"olympus/internal/source"
	"olympus/models"
)

// unknown imports a version whose fill this process has claimed.
func (i *importing) unknown(ctx context.Context, v *source.Version, claim *models.Fill) (done ImportedVersion, err error) {
	defer func() {
		if err == nil {
			return
		}
		retryIn := backoff(claim.Attempts+1, fillBackoff, fillBackoffMax)
		i.record(ctx, func(tx *pop.Connection) error {
			return models.FailFill(tx, v.Module, v.Version, i.Process, err.Error(), retryIn)
		})
	}()
	// Only now: whoever had the claim before us may have finished.
	known, err := models.FindVersion(i.db(ctx), v.Module, v.Version)
	if err == nil && (known.Deleted || known.Known()) {
		i.record(ctx, func(tx *pop.Connection) error { return models.EndFill(tx, v.Module, v.Version) })
		return i.known(ctx, v, known)
	}
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return done, err
	}
	info, mod, err := i.metadata(ctx, v, claim)
	if err != nil {
		return done, err
	}
	file, err := i.stage(ctx, v)
	if err != nil {
		return done, err
	}
	defer blob.Discard(file)
	event, err := i.checkIn(ctx, v.Module, v.Version, info, mod, file)
	if err != nil {
		return done, err
	}
	if v.Sum != "" && v.Sum != event.ZipHash {
		return done, errOtherSum
	}
	done = ImportedVersion{Name: v.String(), Outcome: OutcomeImported, Bytes: event.ZipSize}
	held, err := i.takeIn(ctx, event, file, fromImport)
	if err != nil || held {
		return done, err
	}
	// Deleted, or added with another hash, while this went on.
	if known, err = models.FindVersion(i.db(ctx), v.Module, v.Version); err != nil {
		return done, err
	}
	if known.ZipHash != event.ZipHash && !known.Deleted {
		return conflicting(v, known.ZipHash, event.ZipHash), nil
	}
	return standing(v, known.Deleted, known.ZipHash), nil
}

// metadata returns the .info and .mod for the event: those that were recorded by a fill whose process died, because they may have been
// answered, or else those of the source.
func (i *importing) metadata(ctx context.Context, v *source.Version, claim *models.Fill) (info, mod string, err error) {
	if claim.Recorded() {
		return *claim.Info, *claim.Mod, nil
	}
	infoFile, modFile, err := i.src.Metadata(ctx, v)
	if err != nil {
		return "", "", err
	}
	info, mod = string(infoFile), string(modFile)
	if err := i.checkMetadata(v.Module, v.Version, info, mod); err != nil {
		return "", "", err
	}
	return info, mod, i.Upstream.CheckMod(ctx, v.Module, v.Version, modFile)
}

// stage writes the zip of a version to a file of our own, which must be discarded.
func (i *importing) stage(ctx context.Context, v *source.Version) (*os.File, error) {
	file, err := i.Store.Temp()
	if err != nil {
		return nil, err
	}
	if err := i.src.Zip(ctx, v, file); err != nil {
		blob.Discard(file)
		return nil, err
	}
	return file, nil
}

// known compares a version with what the log has of it, and takes its zip where that is only remote.
func (i *importing) known(ctx context.Context, v *source.Version, known *models.Version) (done ImportedVersion, err error) {
	if known.Deleted || known.Held && !i.check {
		return standing(v, known.Deleted, known.ZipHash), nil
	}
	file, err := i.stage(ctx, v)
	if err != nil {
		return done, err
	}
	defer blob.Discard(file)
	sums, err := modzip.Check(module.Version{Path: v.Module, Version: v.Version}, file.Name(), i.MaxZip)
	if err != nil {
		return done, err
	}
	if v.Sum != "" && v.Sum != sums.H1 {
		return done, errOtherSum
	}
	done = standing(v, false, sums.H1)
	if !known.Held {
		adds, err := models.Candidates(i.db(ctx), v.Module, v.Version)
		if err != nil {
			return done, err
		}
		for n := range adds {
			// Another zip of the same files is no conflict, and cannot be held in place of the one that the log names.
			if adds[n].ZipHash == sums.H1 && adds[n].ZipSHA256 == sums.SHA256 {
				known.ZipHash = sums.H1
				if done.Outcome, err = i.holdStaged(ctx, &adds[n], file); err != nil {
					return done, err
				}
			}
		}
	}
	if known.ZipHash != sums.H1 {
		done = conflicting(v, known.ZipHash, sums.H1)
	}
	done.Bytes = sums.Size
	return done, nil
}

// holdStaged makes a remote version held, as a fetch does, with a zip that was staged and found to be that of an add. Where somebody else
// downloads it just now, that is left to them.
func (i *importing) holdStaged(ctx context.Context, add *protocol.Logged, file *os.File) (Outcome, error) {
	taken, err := models.TakeVersion(i.db(ctx), add.Module, add.Version, lease)
	if err != nil || !taken {
		return OutcomePresent, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var leasing sync.WaitGroup
	defer leasing.Wait()
	defer cancel()
	leasing.Go(func() { i.keepLease(ctx, add.Module, add.Version) })
	if err = i.store(ctx, add.ZipSHA256, file, add.ZipSize); err == nil {
		err = i.hold(ctx, add, fromImport)
	}
	if err == nil {
		return OutcomeHeld, nil
	}
	i.record(ctx, func(tx *pop.Connection) error { return models.GiveBack(tx, add.Module, add.Version) })
	if errors.Is(err, errNothingToFetch) {
		return OutcomePresent, nil
	}
	return OutcomePresent, err
}
