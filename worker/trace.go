package worker

import (
	"context"
	"encoding/json"
	"errors"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"olympus/internal/protocol"
	"olympus/internal/tracing"
)

// tracedKinds are the jobs that go on with the trace of what queued them. A pull or a fetch is queued by the clock or for a backlog, and
// what it does belongs to many: the pages and zips are traced one by one.
var tracedKinds = map[string]bool{"push": true, "receive": true, "remove": true}

// withTrace adds the trace of ctx to the metadata of a job of a kind.
func withTrace(ctx context.Context, kind string, metadata []byte) []byte {
	parent := tracing.Parent(ctx)
	if parent == "" || !tracedKinds[kind] {
		return metadata
	}
	all := map[string]any{}
	if len(metadata) > 0 && json.Unmarshal(metadata, &all) != nil {
		return metadata
	}
	all[tracing.Header] = parent
	merged, err := json.Marshal(all)
	if err != nil {
		return metadata
	}
	return merged
}

// trace begins the span of a job that goes on with a trace.
func (q *Queue) trace(ctx context.Context, job *rivertype.JobRow) (context.Context, func(error)) {
	var carried struct{ Traceparent string }
	if q.tracer == nil || !tracedKinds[job.Kind] || json.Unmarshal(job.Metadata, &carried) != nil || carried.Traceparent == "" {
		return ctx, func(error) {}
	}
	return q.tracer.Start(q.tracer.Continue(ctx, carried.Traceparent), job.Kind)
}

// failureOf leaves out what only says when a job comes next.
func failureOf(err error) error {
	if _, ok := errors.AsType[*river.JobSnoozeError](err); ok {
		return nil
	}
	return err
}

// traceOf is a context with the trace that a group of appends goes on with: what they queue, they queue together. That of own events comes
// first, because of their pushes.
func (d *Deployment) traceOf(group []*appendition) context.Context {
	parent := ""
	for _, a := range group {
		if a.parent != "" && (parent == "" || a.own) {
			parent = a.parent
			if a.own {
				break
			}
		}
	}
	return d.Tracer.Continue(context.Background(), parent)
}

const (
	// followedVersions bounds the versions of which a process knows by what trace it heard of them, followedEvents how many of one push or
	// page are followed: the fetches of a long page are traces of their own.
	followedVersions = 10_000
	followedEvents   = 100
)

// traces are those by which this process has heard of versions that may be fetched next.
type traces struct {
	parents *lru.Cache[moduleVersion, string]
}

func newTraces() *traces {
	cache, _ := lru.New[moduleVersion, string](followedVersions) // fails only for sizes below 1
	return &traces{cache}
}

// note remembers the trace in ctx for the versions that events add. It belongs before they are merged: a fetch may begin right after that.
// Of one version a push and a page may tell at the same time; the trace of the push begins at the peer, and counts.
func (t *traces) note(ctx context.Context, events []protocol.Event, pushed bool) {
	parent := tracing.Parent(ctx)
	if parent == "" || len(events) > followedEvents {
		return
	}
	for i := range events {
		key := moduleVersion{events[i].Module, events[i].Version}
		switch {
		case events[i].Kind != protocol.KindAdd:
		case pushed:
			t.parents.Add(key, parent)
		default:
			t.parents.ContainsOrAdd(key, parent)
		}
	}
}

// heardBy returns ctx with the trace that this process has heard of a version by, unless ctx has one.
func (d *Deployment) heardBy(ctx context.Context, module, version string) context.Context {
	if tracing.Parent(ctx) != "" {
		return ctx
	}
	parent, _ := d.traces.parents.Get(moduleVersion{module, version})
	return d.Tracer.Continue(ctx, parent)
}
