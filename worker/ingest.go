package worker

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gobuffalo/pop/v6"
	"golang.org/x/mod/module"

	"olympus/internal/modzip"
	"olympus/internal/protocol"
	"olympus/models"
)

// What fills and imports have in common: a version that nobody has spoken of before is checked, stored, and appended as an own event.

// checkMetadata refuses a .info or .mod that no event can carry: once recorded they may be answered, and then the event must come.
func (d *Deployment) checkMetadata(path, version, info, mod string) error {
	event := protocol.Event{
		Kind: protocol.KindAdd, Module: path, Version: version, Origin: d.Name, Time: time.Unix(0, 0), Info: info, Mod: mod,
		ModHash: protocol.ModHash([]byte(mod)),
		// What is not known yet stands for a zip without a fault.
		ZipHash: protocol.ModHash(nil), ZipSHA256: strings.Repeat("0", 64), ZipSize: 1,
	}
	return event.Validate()
}

// checkIn checks a staged zip with the .info and .mod that belong to it, also against the checksum database, and returns the event that
// will tell of them.
func (d *Deployment) checkIn(ctx context.Context, path, version, info, mod string, file *os.File) (_ protocol.Event, err error) {
	ctx, end := d.Tracer.Start(ctx, "check")
	defer func() { end(err) }()
	sums, err := modzip.Check(module.Version{Path: path, Version: version}, file.Name(), d.MaxZip)
	if err != nil {
		return protocol.Event{}, err
	}
	modHash := protocol.ModHash([]byte(mod))
	if sums.ModHash != "" && sums.ModHash != modHash {
		return protocol.Event{}, fmt.Errorf("%w: the go.mod in the zip of %s@%s has hash %s, its .mod has %s",
			modzip.ErrInvalid, path, version, sums.ModHash, modHash)
	}
	if err := d.Upstream.CheckSum(ctx, path, version, sums.H1); err != nil {
		return protocol.Event{}, err
	}
	event := protocol.Event{
		Kind: protocol.KindAdd, Module: path, Version: version, Origin: d.Name, Time: time.Now().UTC().Truncate(time.Microsecond),
		ZipHash: sums.H1, ZipSHA256: sums.SHA256, ZipSize: sums.Size, ModHash: modHash, Info: info, Mod: mod,
	}
	return event, event.Validate()
}

// store puts a zip that was checked into the blob store.
func (d *Deployment) store(ctx context.Context, sha256 string, file *os.File, size int64) error {
	ctx, end := d.Tracer.Start(ctx, "store")
	err := d.Store.Put(ctx, sha256, file, size)
	end(err)
	return err
}

// takeIn stores the zip that checkIn has checked, which came from somewhere, and appends its event: in this order, because an event of our
// own promises that we hold
// the zip. It ends the fill of the version. It returns false if a tombstone came first, or other bytes of this version are what is served
// here: then the zip is not kept.
func (d *Deployment) takeIn(ctx context.Context, event protocol.Event, file *os.File, from string) (held bool, err error) {
	path, version := event.Module, event.Version
	if err := d.store(ctx, event.ZipSHA256, file, event.ZipSize); err != nil {
		return false, err
	}
	err = d.append(ctx, true, []protocol.Event{event}, func(tx *pop.Connection) (err error) {
		if err := models.EndFill(tx, path, version); err != nil {
			return err
		}
		held, err = models.HoldAdd(tx, path, version, event.ZipHash, event.ZipSHA256, from)
		return err
	})
	if err != nil || held {
		return held, err
	}
	return false, d.Store.Delete(ctx, event.ZipSHA256)
}
