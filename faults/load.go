package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"olympus/internal/download"
	"olympus/internal/protocol"
)

// load is what clients and administrators want of the deployments while they are disturbed.
type load struct {
	*suite
	client *http.Client

	mu       sync.Mutex
	next     int
	released []release
}

const (
	modules = 30 // that the releases belong to
	// patience is how long a client waits for an answer.
	patience = 40 * time.Second
	// insistence is how often it asks again for what was refused.
	insistence = 4
	// crowd bounds the requests that wait at a time: what hangs must not become the suite's own undoing.
	crowd = 400
)

var fileKinds = []download.Ext{download.Info, download.Mod, download.Zip}

func newLoad(s *suite) *load {
	return &load{suite: s, client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
}

// run asks for rate new versions a second, and for other things in proportion, until ctx ends, and then waits for the answers.
func (l *load) run(ctx context.Context, rate float64) {
	var requests sync.WaitGroup
	defer requests.Wait()
	places := make(chan struct{}, crowd)
	var tickers sync.WaitGroup
	defer tickers.Wait()
	every := func(perSecond float64, do func(context.Context)) {
		tickers.Go(func() {
			ticks := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
			defer ticks.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticks.C:
				}
				select {
				case places <- struct{}{}:
					requests.Go(func() {
						defer func() { <-places }()
						do(l.ctx) // what has been sent is waited for
					})
				default:
					l.oracle.tally("not sent: too many wait")
				}
			}
		})
	}
	every(rate, l.miss)
	every(rate*2, l.hit)
	every(rate/3, l.list)
	every(rate/5, l.unknown)
	every(rate/5, l.onlyHere)
	every(rate/12, func(ctx context.Context) { l.change(ctx, protocol.KindDelete) })
	every(rate/15, func(ctx context.Context) { l.change(ctx, protocol.KindDeprecate) })
}

func (l *load) anyDeployment() *deployment { return l.deployments[rand.IntN(len(l.deployments))] }

// newRelease makes the next release known to upstream.
func (l *load) newRelease(module string) (release, error) {
	l.mu.Lock()
	n := l.next
	l.next++
	l.mu.Unlock()
	if module == "" {
		module = fmt.Sprintf("example.com/faults/m%02d", n%modules)
		if n%modules == 7 {
			module = "example.com/Faults/M07" // to be escaped
		}
	}
	r := release{module, fmt.Sprintf("v1.%d.%d", n%3, n)}
	if err := l.oracle.publish(r); err != nil {
		return r, err
	}
	l.upstream.publish(r)
	return r, nil
}

// miss asks for all files of a new version, as a go command does, though in any order. Some versions are wanted at two deployments at once.
func (l *load) miss(ctx context.Context) {
	r, err := l.newRelease("")
	if err != nil {
		l.oracle.violate("the suite itself: %v", err)
		return
	}
	l.mu.Lock()
	l.released = append(l.released, r)
	l.mu.Unlock()
	at := rand.Perm(len(l.deployments))[:1+rand.IntN(6)/5]
	var wg sync.WaitGroup
	for _, i := range at {
		wg.Go(func() {
			for _, n := range rand.Perm(len(fileKinds)) {
				l.insist(ctx, l.deployments[i], r, fileKinds[n])
			}
			if rand.IntN(5) == 0 {
				l.get(ctx, l.deployments[i], release{module: r.module}, download.List, false)
			}
		})
	}
	wg.Wait()
}

// insist asks for a file until it comes, or is deleted, or the client has had enough of it.
func (l *load) insist(ctx context.Context, d *deployment, r release, ext download.Ext) bool {
	for range insistence {
		a := l.get(ctx, d, r, ext, false)
		if a.err == nil && (a.status == http.StatusOK || a.status == http.StatusForbidden) {
			return a.status == http.StatusOK
		}
		if !pause(ctx, 500*time.Millisecond) {
			break
		}
	}
	return false
}

// earlier is a version that somebody has asked for before; false if there is none yet.
func (l *load) earlier() (release, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.released) == 0 {
		return release{}, false
	}
	n := len(l.released)
	if recent := 50; n > recent && rand.IntN(2) == 0 {
		return l.released[n-1-rand.IntN(recent)], true
	}
	return l.released[rand.IntN(n)], true
}

func (l *load) hit(ctx context.Context) {
	if r, ok := l.earlier(); ok {
		l.get(ctx, l.anyDeployment(), r, fileKinds[rand.IntN(len(fileKinds))], false)
	}
}

// list asks for a list, mostly once, and sometimes so often that each process is asked: what one has shown none is to forget.
func (l *load) list(ctx context.Context) {
	r, ok := l.earlier()
	if !ok {
		return
	}
	d, times := l.anyDeployment(), 1
	if rand.IntN(4) == 0 {
		times = 4
	}
	for range times {
		l.get(ctx, d, release{module: r.module}, download.List, rand.IntN(5) == 0)
	}
}

// unknown asks for what nobody has.
func (l *load) unknown(ctx context.Context) {
	if r, ok := l.earlier(); ok {
		l.get(ctx, l.anyDeployment(), release{r.module, fmt.Sprintf("v1.999.%d", rand.IntN(50))}, fileKinds[rand.IntN(len(fileKinds))], false)
	}
}

// unwanted is a module that is only ever asked for with Disable-Module-Fetch.
const unwanted = "example.com/faults/unwanted"

// onlyHere asks for what is not to be fetched for it.
func (l *load) onlyHere(ctx context.Context) {
	r, ok := l.earlier()
	if rand.IntN(2) == 0 {
		var err error
		r, err = l.newRelease(unwanted)
		ok = err == nil
	}
	if ok {
		l.get(ctx, l.anyDeployment(), r, fileKinds[rand.IntN(len(fileKinds))], true)
	}
}

// change deletes or deprecates a version, until that is acknowledged or the administrator gives up and does not know.
func (l *load) change(ctx context.Context, kind protocol.Kind) {
	r, ok := l.earlier()
	if !ok {
		return
	}
	d := l.anyDeployment()
	l.oracle.willChange(d.label, kind, r)
	for range insistence {
		err := d.administrate(ctx, http.MethodPost, "/modules/"+r.String()+"/"+string(kind), `{"reason":"chaos"}`, nil)
		if err == nil {
			l.oracle.hasChanged(d.label, kind, r)
			l.oracle.tally(string(kind) + " acknowledged")
			// At once, and of each process: what was acknowledged by one is true at all of them.
			for range len(d.slots) {
				l.get(ctx, d, release{module: r.module}, download.List, false)
				l.get(ctx, d, r, fileKinds[rand.IntN(len(fileKinds))], false)
			}
			return
		}
		l.oracle.tally(string(kind) + " refused")
		if refused, ok := errors.AsType[*statusError](err); ok && (refused.status < 500 || refused.status == http.StatusInternalServerError) {
			l.oracle.violate("%s of %s at %s: %v", kind, r, d.label, err)
			return
		}
		pause(ctx, time.Second)
	}
}

// get asks a deployment for a file or list, and has the answer judged.
func (l *load) get(ctx context.Context, d *deployment, r release, ext download.Ext, onlyHere bool) *answer {
	return l.getFrom(ctx, d, d.proxy.server.URL, r, ext, onlyHere)
}

// getFrom is get from one of its processes.
func (l *load) getFrom(ctx context.Context, d *deployment, url string, r release, ext download.Ext, onlyHere bool) *answer {
	q := l.oracle.ask(d.label, r, ext, onlyHere)
	a := l.fetch(ctx, url+r.path(ext), onlyHere)
	if l.ctx.Err() == nil { // else it was ourselves who broke off
		l.oracle.judge(q, a)
	}
	return a
}

func (l *load) fetch(ctx context.Context, url string, onlyHere bool) *answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return &answer{err: err}
	}
	if onlyHere {
		req.Header.Set("Disable-Module-Fetch", "true")
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return &answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body) // an error if it is shorter than its Content-Length
	return &answer{status: resp.StatusCode, body: body, err: err, ours: resp.Header.Get(ours) != ""}
}
