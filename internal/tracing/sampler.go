package tracing

import (
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// How many traces a second may begin here, and how many that have begun at peers may go on here. Each may have twice as many at once after
// a while of rest. What has begun goes on to its end.
const (
	tracesPerSecond     = 50
	peerTracesPerSecond = 50
)

// sampler traces all, within these rates.
type sampler struct{ own, ofPeers *rate.Limiter }

func newSampler() *sampler {
	return &sampler{
		own:     rate.NewLimiter(tracesPerSecond, 2*tracesPerSecond),
		ofPeers: rate.NewLimiter(peerTracesPerSecond, 2*peerTracesPerSecond),
	}
}

// ShouldSample is asked for each span.
func (s *sampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	result := sdk.SamplingResult{Decision: sdk.Drop}
	var wanted bool
	switch {
	case !parent.IsValid():
		wanted = s.own.Allow()
	case parent.IsRemote():
		wanted = parent.IsSampled() && s.ofPeers.Allow()
	default:
		wanted = parent.IsSampled()
	}
	if wanted {
		result.Decision = sdk.RecordAndSample
	}
	return result
}

// Description names it.
func (s *sampler) Description() string { return "olympus" }
