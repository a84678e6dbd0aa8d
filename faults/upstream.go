package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"olympus/internal/download"
)

// upstream is what misses are filled from: the download protocol over HTTP, with a base path of its own for each deployment, so that
// it knows who asks. It misbehaves towards one of them while a fault of it lasts, but what it answers with 200 is always right: where no
// checksum database is asked, nobody could tell wrong bytes from right ones.
type upstream struct {
	server *httptest.Server

	mu        sync.Mutex
	published map[release]bool
	lists     map[string][]string
	faults    map[string]map[int]fault // by deployment and number
	asked     map[asking]*asked
	broken    int // requests that a fault spoilt
}

// asking is one deployment asking for one file.
type asking struct {
	deployment string
	release    release
	ext        download.Ext
}

// asked is how often, and when last.
type asked struct {
	times int
	last  time.Time
}

func newUpstream() *upstream {
	u := &upstream{
		published: make(map[release]bool), lists: make(map[string][]string), faults: make(map[string]map[int]fault), asked: make(map[asking]*asked),
	}
	u.server = httptest.NewServer(u)
	return u
}

func (u *upstream) close() {
	u.server.CloseClientConnections()
	u.server.Close()
}

// url is the base URL for one deployment.
func (u *upstream) url(deployment string) string { return u.server.URL + "/" + deployment }

// publish makes a release known from now on.
func (u *upstream) publish(r release) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.published[r] {
		u.published[r] = true
		u.lists[r.module] = append(u.lists[r.module], r.version)
	}
}

func (u *upstream) begin(f fault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.faults[f.deployment] == nil {
		u.faults[f.deployment] = make(map[int]fault)
	}
	u.faults[f.deployment][f.number] = f
}

func (u *upstream) end(f fault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.faults[f.deployment], f.number)
}

// kindFor is the fault that a deployment meets now, empty if there is none: the oldest one.
func (u *upstream) kindFor(deployment string) kind {
	if len(u.faults[deployment]) == 0 {
		return ""
	}
	numbers := make([]int, 0, 4)
	for n := range u.faults[deployment] {
		numbers = append(numbers, n)
	}
	return u.faults[deployment][slices.Min(numbers)].kind
}

// times returns how often a deployment has asked for a file, and when last.
func (u *upstream) times(deployment string, r release, ext download.Ext) (int, time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if a := u.asked[asking{deployment, r, ext}]; a != nil {
		return a.times, a.last
	}
	return 0, time.Time{}
}

// ServeHTTP answers /DEPLOYMENT/… as a GOPROXY.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	deployment, path, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	req, _, err := download.Parse("/" + path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	what := release{req.Module, req.Version}
	u.mu.Lock()
	kind := u.kindFor(deployment)
	list := slices.Clone(u.lists[req.Module])
	published := u.published[what]
	if kind != "" {
		u.broken++
	}
	a := u.asked[asking{deployment, what, req.Ext}]
	if a == nil {
		a = &asked{}
		u.asked[asking{deployment, what, req.Ext}] = a
	}
	a.times, a.last = a.times+1, time.Now()
	u.mu.Unlock()

	if kind == failingUpstream {
		status := []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable}[rand.IntN(3)]
		http.Error(w, "broken on purpose", status)
		return
	}
	body, err := u.body(req, list, published, kind == forgetfulUpstream)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case body == nil:
		http.Error(w, "not found: "+path, http.StatusNotFound)
	default:
		send(r.Context(), w, body, kind)
	}
}

// body is what a request is answered with, nil if there is no such thing.
func (u *upstream) body(req download.Request, list []string, published, forgetful bool) ([]byte, error) {
	switch req.Ext {
	case download.List, download.Latest:
		if len(list) == 0 {
			return nil, nil
		}
		download.Sort(list)
		if req.Ext == download.Latest {
			f, err := release{req.Module, download.LatestVersion(list, nil)}.files()
			if err != nil {
				return nil, err
			}
			return []byte(f.info), nil
		}
		if forgetful {
			list = list[len(list)/2:]
		}
		return []byte(strings.Join(list, "\n") + "\n"), nil
	}
	if !published {
		return nil, nil
	}
	f, err := release{req.Module, req.Version}.files()
	if err != nil {
		return nil, err
	}
	return f.of(req.Ext), nil
}

// send sends a body as whole, as slow or as broken as a fault has it.
func send(ctx context.Context, w http.ResponseWriter, body []byte, kind kind) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	switch kind {
	case slowUpstream:
		const parts = 4
		for part := range parts {
			if !pause(ctx, time.Duration(200+rand.IntN(1000))*time.Millisecond) {
				return
			}
			_, _ = w.Write(body[len(body)*part/parts : len(body)*(part+1)/parts])
			_ = http.NewResponseController(w).Flush()
		}
	case resettingUpstream:
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		_, _ = w.Write(body)
	}
}

// pause waits, and reports false if ctx ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// askedSince says which file of a release a deployment has asked for since a moment, or nothing.
func (u *upstream) askedSince(deployment string, r release, since time.Time) string {
	for _, ext := range []download.Ext{download.Info, download.Mod, download.Zip} {
		if times, last := u.times(deployment, r, ext); last.After(since) {
			return fmt.Sprintf("%s of %s, %d times in all, last %s", ext, r, times, last.Format(clock))
		}
	}
	return ""
}

// clock is how moments are printed, to be found again in the logs of the processes.
const clock = "15:04:05.000"
