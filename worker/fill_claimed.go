package worker

import (
	"context"
	"errors"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/blob"
	"olympus/internal/upstream"
	"olympus/models"
)

// fillClaimed fills a version that this process alone is at.
func (d *Deployment) fillClaimed(ctx context.Context, claim *models.Fill, f *Filling) error {
	path, version := claim.Module, claim.Version
	var meta *upstream.Metadata
	source := fromUpstream
	err := func() error {
		if claim.Recorded() {
			f.answer(*claim.Info, *claim.Mod)
		} else if found, err := d.askPeers(ctx, path, version); err != nil {
			return err
		} else if found {
			source = fromPeer
			return d.endOnPeers(ctx, path, version, f)
		} else if meta, err = d.metadata(ctx, path, version); err != nil {
			return err
		} else {
			defer meta.Close()
			if err := d.checkMetadata(path, version, string(meta.Info), string(meta.Mod)); err != nil {
				return &upstream.FailedError{URL: "upstream", Err: err}
			}
			err = models.RecordFill(d.db(ctx), path, version, d.Process, string(meta.Info), string(meta.Mod))
			if err != nil {
				return err
			}
			f.answer(string(meta.Info), string(meta.Mod))
		}
		return d.fillZip(ctx, path, version, meta, f)
	}()
	if !errors.Is(err, models.ErrFillTaken) { // else it goes on
		d.metrics.fills.WithLabelValues(source, resultOf(err)).Inc()
	}
	if err != nil {
		retryIn := backoff(claim.Attempts+1, fillBackoff, fillBackoffMax)
		d.record(ctx, func(tx *pop.Connection) error {
			return models.FailFill(tx, path, version, d.Process, err.Error(), retryIn)
		})
		if !isUnknown(err) {
			d.Log.WarnContext(ctx, "could not fill a miss", "module", path, "version", version, "error", err)
		}
	}
	return err
}

// endOnPeers ends a fill whose version a peer knew: its events are in the log by now, and the zip comes from a peer.
func (d *Deployment) endOnPeers(ctx context.Context, path, version string, f *Filling) error {
	if err := models.EndFill(d.db(ctx), path, version); err != nil {
		return err
	}
	v, err := models.FindVersion(d.db(ctx), path, version)
	if err != nil {
		return err
	}
	if v.Deleted {
		return ErrDeleted
	}
	f.answer(v.Info, v.Mod)
	return d.fetchNow(ctx, path, version)
}

// fillZip downloads the zip of a fill, and takes it in.
func (d *Deployment) fillZip(ctx context.Context, path, version string, meta *upstream.Metadata, f *Filling) error {
	file, err := d.Store.Temp()
	if err != nil {
		return err
	}
	defer blob.Discard(file)
	traced, end := d.Tracer.Start(ctx, "download")
	from, err := d.Upstream.Zip(traced, meta, path, version, file)
	end(err)
	if err != nil {
		return err
	}
	event, err := d.checkIn(ctx, path, version, f.info, f.mod, file)
	if err != nil {
		return err
	}
	held, err := d.takeIn(ctx, event, file, upstreamAt(from))
	if err != nil || held {
		return err
	}
	return d.fetchNow(ctx, path, version)
}

func (d *Deployment) metadata(ctx context.Context, path, version string) (*upstream.Metadata, error) {
	ctx, end := d.Tracer.Start(ctx, "ask upstream")
	meta, err := d.Upstream.Metadata(ctx, path, version)
	end(err)
	return meta, err
}
