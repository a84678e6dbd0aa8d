package upstream

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// newSeconds makes the metric of all that is asked. Its labels are bounded by the list of places, the checksum database included.
func newSeconds() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "olympus_upstream_seconds", Help: "How long requests to upstreams took to their last byte, by host and result.",
		Buckets: []float64{0.1, 0.5, 2, 10, 60, 600},
	}, []string{"upstream", "result"})
}

// Collectors are the metrics of this upstream.
func (u *Upstream) Collectors() []prometheus.Collector {
	return []prometheus.Collector{u.web.seconds}
}

// measure notes how a request went. One that was given up here says nothing about who was asked.
func measure(ctx context.Context, seconds *prometheus.HistogramVec, name string, began time.Time, err error) {
	_, unknown := errors.AsType[*NotFoundError](err)
	_, failed := errors.AsType[*FailedError](err)
	result := "failed"
	switch {
	case err == nil:
		result = "ok"
	case unknown, isMissing(err):
		result = "absent"
	case !failed, errors.Is(context.Cause(ctx), context.Canceled):
		return
	}
	seconds.WithLabelValues(name, result).Observe(time.Since(began).Seconds())
}

// nameOf is what a base is called in metrics.
func nameOf(base *url.URL) string {
	if base.Scheme == "file" {
		return "file"
	}
	return hostOf(base)
}
