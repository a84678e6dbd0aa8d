package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gobuffalo/pop/v6"
	lru "github.com/hashicorp/golang-lru/v2"

	"olympus/internal/gate"
	"olympus/internal/tracing"
	"olympus/internal/upstream"
	"olympus/models"
)

const (
	// concurrentFills bounds the versions that one process fills at a time, waitingFills those that wait for a place besides.
	concurrentFills = 32
	waitingFills    = 2000

	// fillTimeout bounds one fill, the largest zip over a slow line included.
	fillTimeout = 15 * time.Minute

	// unknownFor is how long a version that nobody knows is not asked for again, unless lists are to be fresher than that.
	unknownFor     = 30 * time.Second
	unknownEntries = 50_000

	// A fill that failed after its .info may have been answered is tried again after two seconds, then four, up to five minutes: as with a
	// fetch, who comes back finds what was missed taken up without an operator.
	fillBackoff    = 2 * time.Second
	fillBackoffMax = 5 * time.Minute
)

var (
	// ErrOverloaded: too many requests wait for what is not here. The client may come again later.
	ErrOverloaded = gate.ErrFull
	// ErrDeleted: a tombstone bars the version, and upstream is not asked.
	ErrDeleted = errors.New("deleted here")
)

// fillArgs name a fill that its process left unfinished.
type fillArgs struct {
	Module  string `json:"module" river:"unique"`
	Version string `json:"version" river:"unique"`
}

func (fillArgs) Kind() string { return "fill" }

func (d *Deployment) registerFill() error {
	return register(d.Queue, d.fillAbandoned, nil)
}

// fills are the fills of this process, and what it remembers as unknown.
type fills struct {
	mu      sync.Mutex
	begun   bool // at least one has since the process started
	calls   map[moduleVersion]*Filling
	places  chan struct{}
	unknown *lru.Cache[moduleVersion, unknown]
}

type unknown struct {
	until time.Time
	err   error
}

// isUnknown is true if upstream said that there is no such version. A file that is missing here, which also is os.ErrNotExist, says
// nothing about that.
func isUnknown(err error) bool {
	_, ok := errors.AsType[*upstream.NotFoundError](err)
	return ok
}

func newFills() *fills {
	cache, _ := lru.New[moduleVersion, unknown](unknownEntries) // fails only for sizes below 1
	return &fills{calls: make(map[moduleVersion]*Filling), places: make(chan struct{}, concurrentFills), unknown: cache}
}

func (f *fills) isAt(module, version string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.calls[moduleVersion{module, version}]
	return ok
}

// Filling is a miss being filled, shared by all requests of this process that want the version.
type Filling struct {
	recorded  chan struct{} // closed once info and mod are durable, or the fill has failed
	done      chan struct{} // closed once the version is in the log and held, or the fill has failed
	info, mod string
	err       error // why there are no info and mod
	zipErr    error // why there is no zip
	waits     *gate.Gate
}

// Files waits until .info and .mod are durably recorded and returns them. They are what the log will hold.
func (f *Filling) Files(ctx context.Context) (info, mod string, err error) {
	if err := f.waits.Await(ctx, f.recorded); err != nil {
		return "", "", err
	}
	return f.info, f.mod, f.err
}

// Wait waits until the version is in the log and its zip is held.
func (f *Filling) Wait(ctx context.Context) error {
	if err := f.waits.Await(ctx, f.done); err != nil {
		return err
	}
	return f.zipErr
}

// ForgetAllUnknown forgets every version that was unknown.
func (d *Deployment) ForgetAllUnknown() { d.fills.unknown.Purge() }

// ForgetUnknown forgets that a version was unknown: an event spoke of it.
func (d *Deployment) ForgetUnknown(path, version string) {
	d.fills.unknown.Remove(moduleVersion{path, version})
}

// Fill fetches a version that the log does not know from a peer or from upstream and appends it to the log. However many clients,
// files and processes ask, there is one fill of a version at a time in the deployment. It goes on when all who wait have gone.
func (d *Deployment) Fill(path, version string) *Filling {
	return d.FillFor(context.Background(), path, version)
}

// FillFor is Fill as a part of what is traced in ctx, if it is the first to ask. ctx bounds nothing.
func (d *Deployment) FillFor(ctx context.Context, path, version string) *Filling {
	parent := tracing.Parent(ctx)
	key := moduleVersion{path, version}
	d.fills.mu.Lock()
	defer d.fills.mu.Unlock()
	if f, ok := d.fills.calls[key]; ok {
		return f
	}
	f := &Filling{recorded: make(chan struct{}), done: make(chan struct{}), waits: d.waits}
	fail := func(err error) *Filling {
		f.err, f.zipErr = err, err
		close(f.recorded)
		close(f.done)
		return f
	}
	if u, ok := d.fills.unknown.Get(key); ok && time.Now().Before(u.until) {
		return fail(u.err)
	}
	if len(d.fills.calls) >= concurrentFills+waitingFills {
		return fail(ErrOverloaded)
	}
	began := d.Queue.beside(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, fillTimeout)
		defer cancel()
		ctx, end := d.Tracer.Start(d.Tracer.Continue(ctx, parent), "fill", tracing.Module(path), tracing.Version(version))
		d.fills.places <- struct{}{}
		err := d.fill(ctx, path, version, f)
		<-d.fills.places
		end(err)
		// A version whose .info may have been answered is not unknown, even if nobody has its zip.
		if isUnknown(err) && !f.isRecorded() {
			d.fills.unknown.Add(key, unknown{time.Now().Add(min(unknownFor, d.ListTTL)), err})
		}
		d.fills.mu.Lock()
		delete(d.fills.calls, key)
		d.fills.mu.Unlock()
		f.zipErr = err
		if !f.isRecorded() {
			f.err = err
			close(f.recorded)
		}
		close(f.done)
	})
	if !began {
		return fail(ErrStopping)
	}
	d.fills.calls[key], d.fills.begun = f, true
	return f
}

func (f *Filling) isRecorded() bool {
	select {
	case <-f.recorded:
		return true
	default:
		return false
	}
}

// answer makes info and mod known to those who wait.
func (f *Filling) answer(info, mod string) {
	if !f.isRecorded() {
		f.info, f.mod = info, mod
		close(f.recorded)
	}
}

// fill claims the fill of a version, or waits for the process that has it.
func (d *Deployment) fill(ctx context.Context, path, version string, f *Filling) error {
	poll := time.NewTicker(25 * time.Millisecond)
	defer poll.Stop()
	for {
		claim, claimed, err := models.ClaimFill(d.db(ctx), path, version, d.Process, patience)
		if err != nil {
			return err
		}
		// Only now: whoever had the claim before us may have finished.
		v, err := models.FindVersion(d.db(ctx), path, version)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return err
		}
		if err == nil && (v.Deleted || v.Known()) {
			if claimed {
				d.record(ctx, func(tx *pop.Connection) error { return models.EndFill(tx, path, version) })
			}
			if v.Deleted {
				return ErrDeleted
			}
			f.answer(v.Info, v.Mod)
			return d.fetchNow(ctx, path, version)
		}
		if claimed {
			if err := d.fillClaimed(ctx, claim, f); !errors.Is(err, models.ErrFillTaken) {
				return err
			}
		}
		if other, err := models.FindFill(d.db(ctx), path, version); err == nil && other.Recorded() {
			f.answer(*other.Info, *other.Mod)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
}
