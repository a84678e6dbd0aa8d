package federation

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"olympus/internal/testmod"
	"olympus/internal/tracing"
)

// collector takes traces as any collector does: OTLP over HTTP, in protobuf. What one request carries has the wire format of TracesData.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []span
}

type span struct {
	trace, id, parent, name, deployment string
	attributes                          map[string]string
	failed                              bool
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &data) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, from := range data.ResourceSpans {
			deployment := ""
			for _, a := range from.Resource.Attributes {
				if a.Key == "olympus.deployment" {
					deployment = a.Value.GetStringValue()
				}
			}
			for _, scope := range from.ScopeSpans {
				for _, s := range scope.Spans {
					got := span{
						trace: hex.EncodeToString(s.TraceId), id: hex.EncodeToString(s.SpanId), parent: hex.EncodeToString(s.ParentSpanId),
						name: s.Name, deployment: deployment, attributes: map[string]string{}, failed: s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR,
					}
					for _, a := range s.Attributes {
						got.attributes[a.Key] = a.Value.GetStringValue()
					}
					c.spans = append(c.spans, got)
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// find waits for a span that has ended.
func (c *collector) find(t *testing.T, deployment, name string) span {
	t.Helper()
	var found span
	eventually(t, "the span "+name+" of "+deployment, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.IndexFunc(c.spans, func(s span) bool { return s.deployment == deployment && s.name == name })
		if i >= 0 {
			found = c.spans[i]
		}
		return i >= 0
	})
	return found
}

// One trace follows a version from the request through the fill and the push to the peer that fetches it, and the log names it.
func TestTraceFollowsAVersion(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	up := testmod.NewUpstream(t, mx)
	var log lockedBuffer
	om := start(t, "om.example.com", options{upstream: up.URL, collector: c.URL, log: slog.NewJSONHandler(&log, nil)})
	oa := start(t, "oa.example.com", options{collector: c.URL})
	befriend(om, oa)
	om.mustGet("/healthz")
	om.mustGet("/metrics")
	om.mustGet("/example.com/mx/@v/v1.0.0.zip")
	eventually(t, "oa holds it", func() bool { return oa.held(mx.Path, mx.Version) })

	miss := c.find(t, om.Name, "miss")
	require.Equal(t, map[string]string{"olympus.module": mx.Path, "olympus.version": mx.Version, "olympus.file": "zip"}, miss.attributes)
	require.Empty(t, miss.parent)
	all := make(map[string]span) // by id
	follows := func(deployment, name string) span {
		s := c.find(t, deployment, name)
		require.Equal(t, miss.trace, s.trace, "%s of %s", name, deployment)
		require.False(t, s.failed, name)
		all[s.id] = s
		return s
	}
	follows(om.Name, "miss")
	fill := follows(om.Name, "fill")
	for _, name := range []string{"ask peers", "ask upstream", "download", "check", "store", "append"} {
		require.Equal(t, fill.id, follows(om.Name, name).parent, name)
	}
	require.Equal(t, oa.Name, follows(om.Name, "ask peer").attributes["olympus.peer"])
	push := follows(om.Name, "push")
	require.Equal(t, c.find(t, om.Name, "append").id, push.parent)
	require.Equal(t, oa.Name, push.attributes["olympus.peer"])

	received := follows(oa.Name, "push received")
	require.Equal(t, push.id, received.parent)
	require.Equal(t, om.Name, received.attributes["olympus.peer"])
	receive := follows(oa.Name, "receive")
	require.Equal(t, received.id, receive.parent)
	appended := follows(oa.Name, "append")
	require.Equal(t, receive.id, appended.parent)
	fetch := follows(oa.Name, "fetch")
	require.Equal(t, appended.id, fetch.parent)
	require.Equal(t, mx.Path, fetch.attributes["olympus.module"])
	from := follows(oa.Name, "fetch from peer")
	require.Equal(t, om.Name, from.attributes["olympus.peer"])
	follows(oa.Name, "check")
	follows(oa.Name, "store")
	require.Equal(t, from.id, follows(om.Name, "zip for peer").parent)
	for _, s := range all {
		if s.id != miss.id {
			require.Contains(t, all, s.parent, "%s of %s hangs loose", s.name, s.deployment)
		}
	}

	// A fill that fails is a trace of its own, and the line of the log says which.
	up.Set("/example.com/my/@v/v1.0.0.info", testmod.Behaviour{Status: http.StatusInternalServerError})
	status, _ := om.get("/example.com/my/@v/v1.0.0.info")
	require.Equal(t, http.StatusBadGateway, status)
	eventually(t, "the log names the trace", func() bool {
		for line := range bytes.Lines(log.bytes()) {
			var entry struct {
				Msg, Module string
				Trace       string `json:"trace_id"`
			}
			require.NoError(t, json.Unmarshal(line, &entry))
			if entry.Msg == "could not fill a miss" && entry.Module == my.Path {
				c.mu.Lock()
				defer c.mu.Unlock()
				return entry.Trace != miss.trace && slices.ContainsFunc(c.spans, func(s span) bool {
					return s.trace == entry.Trace && s.name == "fill" && s.failed
				})
			}
		}
		return false
	})
}

// Whichever process fetches a zip goes on with the trace that told of it: that of the page, unless it was pushed, too.
func TestTraceIsLeftToWhoFetches(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	up := testmod.NewUpstream(t, mx, my)
	om := start(t, "om.example.com", options{upstream: up.URL, collector: c.URL, noJobs: true})
	oa := start(t, "oa.example.com", options{collector: c.URL, noJobs: true})
	befriend(om, oa)
	om.mustGet("/example.com/mx/@v/v1.0.0.zip")
	oa.pull(om)
	page := c.find(t, oa.Name, "page")
	require.NotEqual(t, c.find(t, om.Name, "miss").trace, page.trace, "what a page holds began at many places")

	fetches := oa.another(func(o *options) { o.noJobs = false })
	eventually(t, "it is held", func() bool { return fetches.held(mx.Path, mx.Version) })
	fetch := c.find(t, oa.Name, "fetch")
	require.Equal(t, page.trace, fetch.trace)
	require.Equal(t, page.id, fetch.parent)
	require.Zero(t, oa.count("versions WHERE trace <> ''"), "it is over")
}

// A deployment that traces nothing takes the header of a peer that does, and keeps nothing of it; nobody else's is looked at.
func TestTraceIsOff(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	up := testmod.NewUpstream(t, mx)
	om := start(t, "om.example.com", options{upstream: up.URL, collector: c.URL})
	oa := start(t, "oa.example.com", options{})
	befriend(om, oa)
	_, body := om.get("/example.com/mx/@v/v1.0.0.zip", tracing.Header, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	require.NotEmpty(t, body)
	eventually(t, "oa holds it", func() bool { return oa.held(mx.Path, mx.Version) })
	require.NotEqual(t, "0af7651916cd43dd8448eb211c80319c", c.find(t, om.Name, "miss").trace)
	var metadata []string
	require.NoError(t, oa.DB.RawQuery(`SELECT metadata::text FROM river_job WHERE kind = 'receive'`).All(&metadata))
	require.Len(t, metadata, 1)
	require.JSONEq(t, `{"peer": "om.example.com"}`, metadata[0])
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}
