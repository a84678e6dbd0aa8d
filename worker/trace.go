package worker

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gobuffalo/pop/v6"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"olympus/internal/protocol"
	"olympus/internal/tracing"
	"olympus/models"
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

// followedEvents is how many events of one push or page are followed: the fetches of a long page are traces of their own.
const followedEvents = 100

// follow leaves the trace that told of events, which may be empty, to whichever process fetches their zips. That of a push begins at the peer,
// and takes the place of a page's.
func follow(tx *pop.Connection, events []protocol.Event, parent string, pushed bool) error {
	if parent == "" || len(events) > followedEvents {
		return nil
	}
	return models.Follow(tx, events, parent, pushed)
}
