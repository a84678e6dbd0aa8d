package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"github.com/gobuffalo/pop/v6"
	"golang.org/x/mod/module"

	"olympus/internal/blob"
	"olympus/internal/circuit"
	"olympus/internal/modzip"
	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/tracing"
	"olympus/models"
)

var (
	// errNothingToFetch: the version is held or deleted by now.
	errNothingToFetch = errors.New("nothing to fetch")
	// errNoPlace: every peer that could be asked is serving as many downloads of ours as it may.
	errNoPlace = errors.New("all places for downloads are taken")
)

// fetchVersion downloads the zip of a remote version from whoever has it, verifies and stores it, and repoints the version to our own
// store. With several adds in conflict and none of them pinned, the first whose bytes can be had is held.
func (d *Deployment) fetchVersion(ctx context.Context, path, version string) error {
	adds, err := models.Candidates(d.db(ctx), path, version)
	if err != nil {
		return err
	}
	if len(adds) == 0 {
		return errNothingToFetch
	}
	peers, err := models.ActivePeers(d.db(ctx))
	if err != nil {
		return err
	}
	var failures []error
	for i := range adds {
		err := d.fetchAdd(ctx, &adds[i], peers)
		if err == nil || ctx.Err() != nil {
			return err
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// fetchAdd tries every source of the zip of one add: the deployment it originated at first, then the other peers in any order, then
// upstream.
func (d *Deployment) fetchAdd(ctx context.Context, add *protocol.Logged, peers []models.Peer) error {
	var failures []error
	peersLeft := originFirst(peers, add.Origin)
	for _, wait := range []time.Duration{0, placeWait} {
		var busy []*models.Peer
		for _, p := range peersLeft {
			leave := d.fetches.places.enter(ctx, p.Name, wait)
			if leave == nil {
				busy = append(busy, p)
				continue
			}
			err := d.fetchFrom(ctx, add, p)
			leave()
			if err == nil || ctx.Err() != nil {
				return err
			}
			failures = append(failures, err)
		}
		peersLeft = busy
	}
	if len(peersLeft) > 0 {
		return errNoPlace // one of them may well have it: ask upstream only when none has
	}
	ctx, end := d.Tracer.Start(ctx, "fetch from upstream")
	err := d.download(ctx, add, func(f *os.File) (string, error) {
		from, err := d.Upstream.Zip(ctx, nil, add.Module, add.Version, f)
		return upstreamAt(from), err
	})
	end(err)
	d.fetched("", add, err)
	if err == nil {
		return nil
	}
	return errors.Join(append(failures, fmt.Errorf("from upstream: %w", err))...)
}

func (d *Deployment) fetchFrom(ctx context.Context, add *protocol.Logged, p *models.Peer) error {
	leave, err := d.circuits.enterForZip(p.Name)
	if err != nil {
		return &PeerError{err}
	}
	answered, good := circuit.Neither, circuit.Neither
	ctx, end := d.Tracer.Start(ctx, "fetch from peer", tracing.Peer(p.Name))
	err = d.download(ctx, add, func(f *os.File) (string, error) {
		err := d.Peers.Zip(ctx, target(p), add.Module, add.Version, add.ZipSHA256, min(add.ZipSize, d.MaxZip), f)
		answered, good = zipOutcomes(f, err)
		if err != nil {
			return "", &PeerError{err}
		}
		return p.Name, nil
	})
	if errors.Is(err, modzip.ErrInvalid) {
		good = circuit.Failed
	}
	leave(answered, good, err)
	end(err)
	d.fetched(p.Name, add, err)
	switch {
	case errors.Is(err, peer.ErrNotFound), errors.Is(err, peer.ErrOtherBytes):
		return fmt.Errorf("%s does not hold it", p.Name)
	case err != nil:
		return fmt.Errorf("from %s: %w", p.Name, err)
	}
	return nil
}

// fetched counts a download from a peer, or from upstream if the name is empty.
func (d *Deployment) fetched(name string, add *protocol.Logged, err error) {
	d.metrics.fetches.WithLabelValues(name, resultOf(err)).Inc()
	if err == nil {
		d.metrics.fetchedBytes.WithLabelValues(name).Add(float64(add.ZipSize))
	}
}

// zipOutcomes tells from how a download ended whether the peer answers, and whether what it sends is good. An answer that begins, or an
// error that may be one module's, is an answer all the same.
func zipOutcomes(f *os.File, err error) (answered, good circuit.Outcome) {
	good = outcomeOf(err)
	if good != circuit.Failed {
		return good, good
	}
	if _, ours := errors.AsType[*fs.PathError](err); ours {
		return circuit.Neither, circuit.Neither
	}
	status, refused := errors.AsType[*peer.StatusError](err)
	began, _ := f.Seek(0, io.SeekCurrent)
	if began > 0 || refused && status.Status == http.StatusInternalServerError ||
		errors.Is(err, peer.ErrTooLarge) || errors.Is(err, peer.ErrRedirected) {
		return circuit.Answered, good
	}
	return circuit.Failed, good
}

// PeerError is in the chain of errors that are a peer's, or the network's on the way to it.
type PeerError struct{ Err error }

func (e *PeerError) Error() string { return e.Err.Error() }
func (e *PeerError) Unwrap() error { return e.Err }

// originFirst returns the peers in any order, but the one where an event originated at first.
func originFirst(peers []models.Peer, origin string) []*models.Peer {
	order := make([]*models.Peer, 0, len(peers))
	for _, i := range rand.Perm(len(peers)) {
		order = append(order, &peers[i])
		if last := len(order) - 1; peers[i].Name == origin {
			order[0], order[last] = order[last], order[0]
		}
	}
	return order
}

// download stages a zip, verifies it against the add, stores it and repoints the version. get says where it came from.
func (d *Deployment) download(ctx context.Context, add *protocol.Logged, get func(*os.File) (from string, err error)) error {
	if add.ZipSize > d.MaxZip {
		return fmt.Errorf("its zip has %d bytes, more than the %d accepted here", add.ZipSize, d.MaxZip)
	}
	f, err := d.Store.Temp()
	if err != nil {
		return err
	}
	defer blob.Discard(f)
	from, err := get(f)
	if err != nil {
		return err
	}
	mv := module.Version{Path: add.Module, Version: add.Version}
	want := modzip.Want{H1: add.ZipHash, SHA256: add.ZipSHA256, Size: add.ZipSize, ModHash: add.ModHash}
	_, end := d.Tracer.Start(ctx, "check")
	err = modzip.Verify(mv, f.Name(), want, d.MaxZip)
	end(err)
	if err != nil {
		return err
	}
	if err := d.store(ctx, add.ZipSHA256, f, add.ZipSize); err != nil {
		return err
	}
	return d.hold(ctx, add, from)
}

// hold records that the zip of an add is in our store, and where it came from. If the version may not hold it any more, the blob goes again.
func (d *Deployment) hold(ctx context.Context, add *protocol.Logged, from string) error {
	held := false
	err := d.transaction(ctx, func(tx *pop.Connection) (err error) {
		held, err = models.MarkHeld(tx, add.Module, add.Version, add.Position, from)
		return err
	})
	if err != nil || held {
		return err
	}
	if err := d.Store.Delete(ctx, add.ZipSHA256); err != nil {
		return err
	}
	return errNothingToFetch
}
