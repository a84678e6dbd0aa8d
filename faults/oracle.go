package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"olympus/internal/download"
)

// oracle knows what has been done and what was promised, and judges every answer by that. It is told of a request before it is sent and
// after its answer has come, so that it never takes for promised what may just be under way.
type oracle struct {
	calendar *calendar
	out      io.Writer // violations, as they are found

	mu         sync.Mutex
	releases   map[release]*record
	modules    map[string][]*record                  // those that exist
	shown      map[string]map[string]map[string]bool // deployment, module, version: listed once
	violations []string
	outcomes   map[string]int
	events     map[string]int // what was acknowledged
}

// settling is how long after a fault of its processes a deployment may still refuse what it holds.
const settling = 20 * time.Second

// hearsay is how long after one process has acknowledged a change the others may answer as before. They are told at the commit, by
// Postgres, and nobody waits until they have heard it.
const hearsay = time.Second

func newOracle(c *calendar, out io.Writer) *oracle {
	return &oracle{
		calendar: c, out: out, releases: make(map[release]*record), modules: make(map[string][]*record), shown: make(map[string]map[string]map[string]bool),
		outcomes: make(map[string]int), events: make(map[string]int),
	}
}

// violate records that a promise was broken.
func (o *oracle) violate(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.violation(format, args...)
}

// violation is violate for whoever holds the lock.
func (o *oracle) violation(format string, args ...any) {
	line := time.Now().Format(clock) + " " + fmt.Sprintf(format, args...)
	o.violations = append(o.violations, line)
	_, _ = fmt.Fprintln(o.out, "VIOLATION", line)
}

// publish tells of a release that upstream has from now on.
func (o *oracle) publish(r release) error {
	f, err := r.files()
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	rec := newRecord(r)
	rec.exists, rec.files = true, f.expected()
	o.releases[r] = rec
	o.modules[r.module] = append(o.modules[r.module], rec)
	return nil
}

// of returns the record of a release, which may be one that nobody has.
func (o *oracle) of(r release) *record {
	if o.releases[r] == nil {
		o.releases[r] = newRecord(r)
	}
	return o.releases[r]
}

// question is a request of the download protocol on its way.
type question struct {
	deployment string
	release    // without a version for a list
	ext        download.Ext
	onlyHere   bool // Disable-Module-Fetch
	sent       time.Time
	shown      map[string]bool // what a list had shown before
}

func (q *question) String() string {
	s := fmt.Sprintf("GET %s of %s at %s, sent %s", q.ext, q.release, q.deployment, q.sent.Format(clock))
	if q.onlyHere {
		s += " with Disable-Module-Fetch"
	}
	return s
}

// ask is called before a request is sent.
func (o *oracle) ask(deployment string, r release, ext download.Ext, onlyHere bool) *question {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := &question{deployment: deployment, release: r, ext: ext, onlyHere: onlyHere}
	if ext == download.List {
		q.shown = maps.Clone(o.shown[deployment][r.module])
	} else if !onlyHere {
		o.of(r).asked[deployment] = true
	}
	q.sent = time.Now()
	return q
}

// answer is what came back.
type answer struct {
	status int // 0 if nothing came
	body   []byte
	err    error // the connection broke
	ours   bool  // the proxy had to answer, because no process did
}

func (a *answer) String() string {
	switch {
	case a.ours:
		return fmt.Sprintf("no answer: %.200q", a.body)
	case a.err != nil:
		return fmt.Sprintf("no answer: %v", a.err)
	}
	return fmt.Sprintf("%d %.300q", a.status, a.body)
}

// judge is called with the answer to a question.
func (o *oracle) judge(q *question, a *answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count(q, a)
	switch {
	case a.err != nil || a.ours:
		o.refused(q, a)
	case q.ext == download.List:
		o.judgeList(q, a)
	default:
		o.judgeFile(q, a)
	}
}

func (o *oracle) count(q *question, a *answer) {
	what := "file"
	if q.ext == download.List {
		what = "list"
	}
	switch {
	case a.ours || a.err != nil:
		o.outcomes[what+" unanswered"]++
	default:
		o.outcomes[fmt.Sprintf("%s %d", what, a.status)]++
	}
}

// against records a violation by the answer to a question, with what has been done to its release.
func (o *oracle) against(q *question, format string, args ...any) {
	history := ""
	if rec := o.releases[q.release]; rec != nil {
		history = rec.history()
	}
	o.violation("%s: %s%s", q, fmt.Sprintf(format, args...), history)
}

// refused judges an answer that says nothing about the version. What a deployment holds it serves, whatever others do to it.
func (o *oracle) refused(q *question, a *answer) {
	rec := o.of(q.release)
	if q.ext == download.List || rec.held[q.deployment].IsZero() || !rec.held[q.deployment].Before(q.sent) {
		return
	}
	since, calm := o.calendar.undisturbedSince(q.deployment)
	if calm && since.Add(settling).Before(q.sent) {
		o.against(q, "it holds it, and refused though nothing has been done to it since %s: %s", since.Format(clock), a)
	}
}

func (o *oracle) judgeFile(q *question, a *answer) {
	rec, d, now := o.of(q.release), q.deployment, time.Now()
	switch a.status {
	case http.StatusOK:
		o.judgeBytes(q, a, rec)
		first(rec.served, d, now)
		if q.ext == download.Zip {
			first(rec.held, d, now)
		}
	case http.StatusForbidden:
		if !rec.deletes.wanted() {
			o.against(q, "nobody has asked to delete it: %s", a)
		}
		first(rec.denied, d, now)
	case http.StatusNotFound:
		// Until its zip has been answered it may be in a fill that the log knows nothing of yet.
		if rec.exists && (!q.onlyHere || before(rec.held, d, q.sent)) {
			o.against(q, "it exists: %s", a)
		}
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		o.refused(q, a)
	default:
		o.against(q, "%s", a)
	}
}

func (o *oracle) judgeBytes(q *question, a *answer, rec *record) {
	switch d := q.deployment; {
	case !rec.exists:
		o.against(q, "nobody has it: %s", a)
	case o.heardLate(rec.deletes.acknowledged, q), o.heardLate(rec.denied, q):
	case before(rec.deletes.acknowledged, d, q.sent):
		o.against(q, "200, though its deletion was acknowledged there at %s", rec.deletes.acknowledged[d].Format(clock))
	case before(rec.denied, d, q.sent):
		o.against(q, "200, though it was denied there as deleted at %s", rec.denied[d].Format(clock))
	case len(rec.asked) == 0:
		o.against(q, "200, though nobody was ever asked to fetch it")
	default:
		if difference := rec.files.difference(q.ext, a.body); difference != "" {
			o.against(q, "200 with wrong bytes: %s", difference)
		}
	}
}

// heardLate is true of a request that was sent so soon after something was acknowledged that not every process may have heard of it.
func (o *oracle) heardLate(acknowledged map[string]time.Time, q *question) bool {
	t, ok := acknowledged[q.deployment]
	late := ok && t.Before(q.sent) && q.sent.Sub(t) < hearsay
	if late {
		o.outcomes["answered as before a change that another process had just acknowledged"]++
	}
	return late
}

func (o *oracle) judgeList(q *question, a *answer) {
	d := q.deployment
	switch a.status {
	case http.StatusOK:
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return
	case http.StatusNotFound:
		// One that was not to ask may never have heard of the module.
		held := func(rec *record) bool { return before(rec.held, d, q.sent) }
		if !q.onlyHere || len(q.shown) > 0 || slices.ContainsFunc(o.modules[q.module], held) {
			o.against(q, "it exists: %s", a)
		}
		return
	default:
		o.against(q, "%s", a)
		return
	}
	listed := make(map[string]bool)
	for _, version := range strings.Fields(string(a.body)) {
		listed[version] = true
		rec := o.of(release{q.module, version})
		switch {
		case !rec.exists:
			o.against(q, "it names %s, which nobody has", version)
		case o.heardLate(rec.deletes.acknowledged, q), o.heardLate(rec.deprecates.acknowledged, q):
		case before(rec.deletes.acknowledged, d, q.sent):
			o.against(q, "it names %s, whose deletion was acknowledged there at %s", version, rec.deletes.acknowledged[d].Format(clock))
		case before(rec.deprecates.acknowledged, d, q.sent):
			o.against(q, "it names %s, whose deprecation was acknowledged there at %s", version, rec.deprecates.acknowledged[d].Format(clock))
		}
	}
	for _, rec := range o.modules[q.module] {
		if listed[rec.version] || rec.deletes.wanted() || rec.deprecates.wanted() {
			continue
		}
		switch {
		case o.heardLate(rec.held, q):
		case q.shown[rec.version]:
			o.against(q, "it has forgotten %s, which it has shown before", rec.version)
		case before(rec.held, d, q.sent):
			o.against(q, "it lacks %s, which was filled there at %s", rec.version, rec.held[d].Format(clock))
		}
	}
	if o.shown[d] == nil {
		o.shown[d] = make(map[string]map[string]bool)
	}
	if o.shown[d][q.module] == nil {
		o.shown[d][q.module] = make(map[string]bool)
	}
	maps.Copy(o.shown[d][q.module], listed)
}
