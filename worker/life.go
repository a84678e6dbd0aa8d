package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/models"
)

// What is noted of the life of each version while it goes on, so that Explain can tell it: as little as can be, and never in the way.

// Where zips come from that no peer gave.
const (
	fromImport = "an import"
	fromStore  = "the blob store, where it was found again"
)

func upstreamAt(place string) string { return "upstream, " + place }

// recordArrivals records how the events came that a merge has appended; arrivals are those of the events that were given to it, the zero
// one where that is not told. Neighbours that came alike share a row.
func recordArrivals(tx *pop.Connection, merged *models.Merged, arrivals []models.Arrival) error {
	of := func(i int) models.Arrival { return arrivals[merged.Taken[i]] }
	for i := 0; i < len(merged.Appended); {
		end := i + 1
		for end < len(merged.Appended) && of(end) == of(i) {
			end++
		}
		if of(i) != (models.Arrival{}) {
			if err := models.RecordArrival(tx, merged.Appended[i].Position, merged.Appended[end-1].Position, of(i)); err != nil {
				return err
			}
		}
		i = end
	}
	return nil
}

// recordPage is recordArrivals for a page of a peer's log.
func recordPage(tx *pop.Connection, merged *models.Merged, peer string) error {
	n := len(merged.Appended)
	if n == 0 {
		return nil
	}
	return models.RecordArrival(tx, merged.Appended[0].Position, merged.Appended[n-1].Position, models.Arrival{Way: models.ByPull, Peer: peer})
}

const (
	// maxServed bounds the versions that this process has served for the first time and not recorded yet; more are not noted.
	maxServed = 10_000
	// servedPatience is how long one of them is tried to be recorded: another process may have been first.
	servedPatience = time.Minute
)

// served are versions that were served for the first time since they were last recorded.
type served struct {
	mu sync.Mutex
	at map[moduleVersion]time.Time
}

// NoteServed notes that a client was given a file of a version of which the database does not say so. It costs the client nothing: it
// is recorded later, and if this process dies before, by the next that reads the version.
func (d *Deployment) NoteServed(module, version string) {
	d.served.mu.Lock()
	defer d.served.mu.Unlock()
	key := moduleVersion{module, version}
	if _, ok := d.served.at[key]; !ok && len(d.served.at) < maxServed {
		d.served.at[key] = time.Now()
	}
}

func (d *Deployment) recordServed(ctx context.Context) error {
	d.served.mu.Lock()
	var batch []models.Served
	for key, at := range d.served.at {
		batch = append(batch, models.Served{Module: key.module, Version: key.version, At: at})
	}
	d.served.mu.Unlock()
	for some := range slices.Chunk(batch, maxGroup) {
		done, err := models.RecordServed(d.db(ctx), some)
		if err != nil {
			return err
		}
		d.served.mu.Lock()
		for _, v := range done {
			delete(d.served.at, moduleVersion{v.Module, v.Version})
		}
		for _, v := range some {
			if time.Since(v.At) > servedPatience {
				delete(d.served.at, moduleVersion{v.Module, v.Version})
			}
		}
		d.served.mu.Unlock()
	}
	return nil
}

// recordDelivery records how a push ended, if it has: err is that of the last attempt.
func (d *Deployment) recordDelivery(ctx context.Context, args pushArgs, attempts int, err error) {
	message := ""
	if err != nil {
		message = err.Error()
	}
	d.record(ctx, func(tx *pop.Connection) error {
		return models.RecordDelivery(tx, args.Peer, args.First, args.Last, attempts, message)
	})
}
