package worker

import (
	"context"
	"sync"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/models"
)

// storageLook is how often a process tries whether the blob store takes anything. What the database takes every heartbeat tells.
const storageLook = 15 * time.Second

// storingAgain is left to be done while the blob store takes nothing: a process that is started after that has seen no fault.
const storingAgain = "try again what could not be stored"

// alarm is raised while something takes nothing.
type alarm struct {
	mu    sync.Mutex
	known bool // something has been noted
	fault error
	since time.Time
}

// note raises the alarm for a fault, or ends it for nil, and reports whether that is a change, and how long it was raised.
func (a *alarm) note(fault error) (changed bool, lasted time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if changed = (fault == nil) != (a.fault == nil); changed {
		if fault == nil {
			lasted = time.Since(a.since)
		}
		a.since = time.Now()
	}
	a.fault, a.known = fault, true
	return changed, lasted
}

// mayEnd reports whether a fault that is over by now may have been there before: of the time before the first note nothing is known.
func (a *alarm) mayEnd() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.known || a.fault != nil
}

func (a *alarm) raised() (since time.Time, fault error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.since, a.fault
}

// StorageFault returns since when nothing can be stored, and why; no error while all is well. What is held can be served all the same.
func (d *Deployment) StorageFault() (since time.Time, fault error) { return d.storage.raised() }

// DatabaseFault returns since when this process can write nothing to the database, and why; no error while all is well.
func (d *Deployment) DatabaseFault() (since time.Time, fault error) { return d.database.raised() }

// watchStorage tries whether anything can be stored, and tells when that changes. What could not be stored meanwhile is due again as soon as
// there is room, to this process or to one that is started then: its next attempt may be minutes away.
func (d *Deployment) watchStorage(ctx context.Context) error {
	fault := d.Store.CheckWritable()
	if fault == nil && d.storage.mayEnd() {
		// First: should the database answer with an error, the alarm stands, and the next look tries again.
		if err := d.transaction(ctx, d.storeAgain); err != nil {
			return err
		}
	}
	switch changed, lasted := d.storage.note(fault); {
	case changed && fault != nil:
		d.Log.Error("THE BLOB STORE TAKES NOTHING: what is held is served, and nothing new can be filled or fetched until there is room", "error", fault)
	case changed:
		d.Log.Info("the blob store takes zips again", "after", lasted.Round(time.Second))
	}
	if fault != nil {
		return models.LeaveChore(d.db(ctx), storingAgain)
	}
	return nil
}

// storeAgain makes what could not be stored due.
func (d *Deployment) storeAgain(tx *pop.Connection) error {
	left, err := models.FinishChore(tx, storingAgain)
	if _, fault := d.storage.raised(); err != nil || !left && fault == nil {
		return err
	}
	return models.WakeWaiting(tx)
}

// noteDatabase tells when the database begins or ceases to take nothing, going by a heartbeat.
func (d *Deployment) noteDatabase(fault error) {
	switch changed, lasted := d.database.note(fault); {
	case changed && fault != nil:
		d.Log.Error("THE DATABASE TAKES NOTHING: nothing can be recorded until it does", "error", fault)
	case changed:
		d.Log.Info("the database takes changes again", "after", lasted.Round(time.Second))
	}
}
