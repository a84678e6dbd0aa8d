// Package tracing follows one piece of work through a deployment and on to its peers, as OpenTelemetry traces that are sent to a collector.
//
// A nil *Tracer is one that is off: it costs nothing, and all that is here may be called with it. One that is on never makes anybody wait:
// what has ended is kept in a bounded queue, sent in batches, and dropped while the collector does not take it.
//
// Where work is handed on (a job, a request to a peer) the trace goes along as the W3C header traceparent. What a peer sends is not to be
// trusted: it is read by the library alone, names a trace at most, and begins no more spans than a bounded rate.
package tracing

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// queued bounds the spans that wait to be sent, batch how many go in one request, delay how long one waits for others.
	queued = 2048
	batch  = 256
	delay  = 2 * time.Second

	// sendTimeout bounds one request to the collector, closeTimeout the last ones.
	sendTimeout  = 10 * time.Second
	closeTimeout = 2 * time.Second

	// maxText is how long an attribute or the text of an error may be.
	maxText = 300
)

// Options are the settings of a Tracer.
type Options struct {
	Endpoint string            // base URL of the collector; OTLP over HTTP goes to v1/traces below it
	Headers  map[string]string // sent along, as a token; secret

	// Who is traced.
	Service, Deployment, Process, Version string

	// Delay is how long a span waits to be sent with others; 0 for 2 s.
	Delay time.Duration
}

// Tracer makes spans.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// Open returns a Tracer that sends to a collector, which need not be up.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	base, err := url.Parse(o.Endpoint)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("trace to a collector: no http or https URL") // the URL itself may hold a password
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(base.JoinPath("v1", "traces").String()),
		otlptracehttp.WithHeaders(o.Headers), otlptracehttp.WithTimeout(sendTimeout))
	if err != nil {
		return nil, fmt.Errorf("trace to a collector: %w", err)
	}
	if o.Delay == 0 {
		o.Delay = delay
	}
	// All is said here, so that the library takes nothing of it from the environment.
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter, sdk.WithMaxQueueSize(queued), sdk.WithMaxExportBatchSize(batch), sdk.WithBatchTimeout(o.Delay), sdk.WithExportTimeout(sendTimeout)),
		sdk.WithSampler(newSampler()),
		sdk.WithRawSpanLimits(sdk.SpanLimits{AttributeValueLengthLimit: maxText, AttributeCountLimit: 16, EventCountLimit: 1, LinkCountLimit: 1}),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", o.Service), attribute.String("service.version", o.Version),
			attribute.String("service.instance.id", o.Process), attribute.String("olympus.deployment", o.Deployment),
		)),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("olympus")}, nil
}

// Close sends what is left, for two seconds at most.
func (t *Tracer) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	// That the collector is down is no failure of this process.
	_ = t.provider.Shutdown(ctx)
	return nil
}

func ended(error) {}

// Start begins a span below that of ctx, or a trace if there is none. The returned function ends it with how the work went.
func (t *Tracer) Start(ctx context.Context, name string, about ...attribute.KeyValue) (context.Context, func(error)) {
	if t == nil {
		return ctx, ended
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithAttributes(about...))
	return ctx, func(err error) {
		if err != nil {
			text := err.Error()
			span.SetStatus(codes.Error, strings.ToValidUTF8(text[:min(len(text), maxText)], ""))
		}
		span.End()
	}
}

// Module, Version, File, Peer and Events are what spans tell.
func Module(path string) attribute.KeyValue     { return attribute.String("olympus.module", path) }
func Version(version string) attribute.KeyValue { return attribute.String("olympus.version", version) }
func File(kind string) attribute.KeyValue       { return attribute.String("olympus.file", kind) }
func Peer(name string) attribute.KeyValue       { return attribute.String("olympus.peer", name) }
func Events(n int) attribute.KeyValue           { return attribute.Int("olympus.events", n) }

// About adds to what the span of ctx tells, if there is one.
func About(ctx context.Context, about ...attribute.KeyValue) {
	trace.SpanFromContext(ctx).SetAttributes(about...)
}

// Header is the header of requests to peers, and its name in the metadata of jobs.
const Header = "Traceparent"

const traceparent = "traceparent" // as the propagator calls it

// Parent is what carries the span of ctx on, as the value of Header; empty if nothing is to be carried on.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}

// Continue returns a context in which spans begin below the one that Parent was called for, in this deployment.
func (t *Tracer) Continue(ctx context.Context, parent string) context.Context {
	if t == nil {
		return ctx
	}
	of := spanOf(parent)
	if !of.IsValid() {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, of)
}

// FromPeer is Continue for the header of a peer's request.
func (t *Tracer) FromPeer(ctx context.Context, header http.Header) context.Context {
	if t == nil {
		return ctx
	}
	of := spanOf(header.Get(Header))
	if !of.IsValid() {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, of)
}

func spanOf(parent string) trace.SpanContext {
	if parent == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparent: parent})
	return trace.SpanContextFromContext(ctx).WithRemote(false)
}
