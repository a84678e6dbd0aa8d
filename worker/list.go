package worker

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/gobuffalo/pop/v6"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"olympus/internal/download"
	"olympus/internal/gate"
	"olympus/internal/upstream"
	"olympus/models"
)

// listTimeout bounds how long a client waits for upstream's first list of a module.
const listTimeout = 30 * time.Second

// listRetry is how soon an upstream that failed is asked for a list again.
const listRetry = 2 * time.Second

// shortListTimeout is the same where the log already knows versions that can be shown.
const shortListTimeout = 3 * time.Second

// concurrentLists bounds the lists that one process asks upstream for at a time, waitingLists those that wait for a place besides.
const (
	concurrentLists = 32
	waitingLists    = 2000
)

// lists are the questions to upstream for lists that this process has under way.
type lists struct {
	mu    sync.Mutex
	calls map[string]*listing
	gate  *gate.Gate
}

type listing struct {
	done chan struct{}
	err  error
}

func newLists() *lists {
	return &lists{calls: make(map[string]*listing), gate: gate.New(concurrentLists, waitingLists)}
}

// Listed is what is known of the versions of a module.
type Listed struct {
	Versions []string // of the log and of upstream, without pseudo-versions, deprecated and deleted ones; sorted
	Latest   string   // what @latest resolves to; empty: nothing
	Known    bool     // somebody knows the module
	// Fresh is until when upstream need not be asked again.
	Fresh time.Time
}

// List returns the versions of a module: what the log knows, and unless onlyHere what upstream lists. Upstream is asked at most once per
// ListTTL and module by the whole deployment; a client waits for that only when there is no older answer, and an upstream that is down
// costs nothing but freshness.
func (d *Deployment) List(ctx context.Context, path string, onlyHere bool) (*Listed, error) {
	known, err := models.ModuleVersions(d.db(ctx), path)
	if err != nil {
		return nil, err
	}
	ofUpstream, err := models.FindUpstreamList(d.db(ctx), path)
	if errors.Is(err, models.ErrNotFound) {
		ofUpstream, err = &models.UpstreamList{}, nil
	}
	if err != nil {
		return nil, err
	}
	fresh := time.Now().Add(d.ListTTL)
	switch answered := ofUpstream.AnsweredAt; {
	case onlyHere:
	case answered == nil:
		something := ofUpstream.Found || anyAdded(known)
		if ofUpstream, err = d.awaitList(ctx, path, something); err != nil {
			return nil, err
		}
	case time.Since(*answered) >= d.ListTTL:
		// The older answer is served; the refreshed one is for whoever comes next.
		d.refreshList(path)
		fresh = time.Now()
	default:
		fresh = answered.Add(d.ListTTL)
	}
	return merge(known, ofUpstream, fresh, d.hasMod(ctx, path)), nil
}

func anyAdded(versions []models.ModuleVersion) bool {
	for _, v := range versions {
		if v.Added {
			return true
		}
	}
	return false
}

// awaitList waits for upstream's first answer about a module. When something is known without it, the wait is short and a failure is
// none: that is served instead.
func (d *Deployment) awaitList(ctx context.Context, path string, something bool) (*models.UpstreamList, error) {
	wait := listTimeout
	if something {
		wait = shortListTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	call := d.refreshList(path)
	err := d.waits.Await(ctx, call.done)
	if err == nil {
		err = call.err
	}
	if err != nil && !something {
		return nil, err
	}
	list, err := models.FindUpstreamList(d.db(context.WithoutCancel(ctx)), path)
	if errors.Is(err, models.ErrNotFound) {
		return &models.UpstreamList{}, nil
	}
	return list, err
}

// merge joins what the log knows with what upstream lists.
func merge(known []models.ModuleVersion, ofUpstream *models.UpstreamList, fresh time.Time, hasMod func(string) bool) *Listed {
	listed := &Listed{Known: ofUpstream.Found, Fresh: fresh}
	hidden := make(map[string]bool)
	seen := make(map[string]bool)
	var candidates []string
	for _, v := range known {
		switch {
		case v.Deleted || v.Deprecated:
			hidden[v.Version] = true
			listed.Known = listed.Known || v.Added
		case v.Added:
			listed.Known = true
			seen[v.Version] = true
			candidates = append(candidates, v.Version)
		}
	}
	for _, v := range ofUpstream.Versions {
		if !hidden[v] && !seen[v] {
			seen[v] = true
			candidates = append(candidates, v)
		}
	}
	if v := ofUpstream.Latest; v != "" && !hidden[v] && !seen[v] {
		candidates = append(candidates, v)
	}
	listed.Latest = download.LatestVersion(candidates, hasMod)
	for _, v := range candidates {
		if !module.IsPseudoVersion(v) {
			listed.Versions = append(listed.Versions, v)
		}
	}
	download.Sort(listed.Versions)
	return listed
}

// hasMod tells whether a version has a go.mod of its own, as far as the log knows it: for one that has none, the .mod is one line that
// stands in. The go command prefers +incompatible versions to those without.
func (d *Deployment) hasMod(ctx context.Context, path string) func(version string) bool {
	return func(version string) bool {
		v, err := models.FindVersion(d.db(ctx), path, version)
		return err != nil || !v.Known() || v.Mod != "module "+modfile.AutoQuote(path)+"\n"
	}
}

// refreshList asks upstream for the list of a module, unless that is under way.
func (d *Deployment) refreshList(path string) *listing {
	d.lists.mu.Lock()
	defer d.lists.mu.Unlock()
	if call, ok := d.lists.calls[path]; ok {
		return call
	}
	call := &listing{done: make(chan struct{})}
	fail := func(err error) *listing {
		call.err = err
		close(call.done)
		return call
	}
	if len(d.lists.calls) >= concurrentLists+waitingLists {
		return fail(ErrOverloaded)
	}
	began := d.Queue.beside(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, listTimeout)
		defer cancel()
		leave, err := d.lists.gate.Enter(ctx)
		if err == nil {
			err = d.askUpstream(ctx, path)
			leave()
		}
		call.err = err
		d.lists.mu.Lock()
		delete(d.lists.calls, path)
		d.lists.mu.Unlock()
		close(call.done)
	})
	if !began {
		return fail(ErrStopping)
	}
	d.lists.calls[path] = call
	return call
}

// askUpstream asks upstream for the list of a module, and for its latest version if the list is empty, and keeps the answer. While another
// process is asking, it waits for that one's answer instead, or its death.
func (d *Deployment) askUpstream(ctx context.Context, path string) error {
	poll := time.NewTicker(25 * time.Millisecond)
	defer poll.Stop()
	for {
		taken, err := models.TakeUpstreamList(d.db(ctx), path, d.Process, d.ListTTL, patience)
		if err != nil {
			return err
		}
		if taken {
			return d.askTaken(ctx, path)
		}
		list, err := models.FindUpstreamList(d.db(ctx), path)
		switch {
		case err != nil:
			return err
		case list.Error != "":
			return &upstream.FailedError{URL: "upstream", Err: errors.New(list.Error)}
		case list.AnsweredAt != nil:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
}

// askTaken asks upstream for a list that this process alone asks for.
func (d *Deployment) askTaken(ctx context.Context, path string) error {
	versions, latest, found, err := d.listUpstream(ctx, path)
	if err != nil {
		d.Log.Warn("upstream could not be asked for a list", "module", path, "error", err)
		d.record(ctx, func(tx *pop.Connection) error {
			return models.FailUpstreamList(tx, path, err.Error(), d.ListTTL, listRetry)
		})
		return err
	}
	return models.SaveUpstreamList(d.db(ctx), path, versions, found, latest)
}

// listUpstream returns the versions that upstream lists, or its latest when it lists none.
func (d *Deployment) listUpstream(ctx context.Context, path string) (versions []string, latest string, found bool, err error) {
	versions, err = d.Upstream.List(ctx, path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, "", false, err
	}
	found = err == nil
	if len(versions) > 0 {
		return versions, "", true, nil
	}
	_, latest, err = d.Upstream.Query(ctx, path, "latest")
	switch {
	case err == nil:
		return nil, latest, true, nil
	case errors.Is(err, os.ErrNotExist):
		return nil, "", found, nil
	}
	return nil, "", false, err
}
