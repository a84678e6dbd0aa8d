package worker

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"olympus/internal/modzip"
	"olympus/internal/peer"
	"olympus/internal/upstream"
)

// Whoever does a thing counts it: here the work of this process, in internal/blob and internal/upstream theirs. actions shows it all at
// /metrics. Labels are the names of peers and words of ours; never a module, a version or what others wrote, which have no end.

// metrics are what this process counts of its work.
type metrics struct {
	fills        *prometheus.CounterVec
	pushes       *prometheus.CounterVec
	pulls        *prometheus.CounterVec
	pulled       *prometheus.CounterVec
	appended     *prometheus.CounterVec
	fetches      *prometheus.CounterVec
	fetchedBytes *prometheus.CounterVec

	scrubbedZips, scrubbedBytes, scrubDamaged prometheus.Counter
}

func newMetrics() *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &metrics{
		fills:        vec("olympus_fills_total", "Misses that this process was at, by where the version came from and result.", "source", "result"),
		pushes:       vec("olympus_pushes_sent_total", "Pushes sent, each attempt counted, by peer and result.", "peer", "result"),
		pulls:        vec("olympus_pulls_total", "Pulls, each from the pull pointer to the end of the log, by peer and result.", "peer", "result"),
		pulled:       vec("olympus_pulled_events_total", "Events on the pages taken from a peer.", "peer"),
		appended:     vec("olympus_pulled_events_appended_total", "Events on the pages taken from a peer that were new here.", "peer"),
		fetches:      vec("olympus_fetches_total", "Downloads of remote zips, by peer (empty: upstream) and result.", "peer", "result"),
		fetchedBytes: vec("olympus_fetched_bytes_total", "Bytes of remote zips that were downloaded and stored, by peer (empty: upstream).", "peer"),

		scrubbedZips:  counter("olympus_scrubbed_zips_total", "Held zips read again whole and found good."),
		scrubbedBytes: counter("olympus_scrubbed_bytes_total", "Bytes of held zips read again."),
		scrubDamaged:  counter("olympus_scrub_damaged_total", "Held zips that were read again and found missing or damaged."),
	}
}

// Collectors are the metrics of this process's work, and of what it works with.
func (d *Deployment) Collectors() []prometheus.Collector {
	m := d.metrics
	all := []prometheus.Collector{
		m.fills, m.pushes, m.pulls, m.pulled, m.appended, m.fetches, m.fetchedBytes, m.scrubbedZips, m.scrubbedBytes, m.scrubDamaged,
		poolCollector{d},
	}
	all = append(all, d.Queue.collectors()...)
	all = append(all, d.Store.Collectors()...)
	return append(all, d.Upstream.Collectors()...)
}

// The sources of a fill.
const (
	fromPeer     = "peer"
	fromUpstream = "upstream"
)

// resultOf is the word for how something went that asks others. What was given up here, as when the process stops, is nobody's failure.
func resultOf(err error) string {
	_, refused := errors.AsType[*peer.StatusError](err)
	switch {
	case err == nil, errors.Is(err, errNothingToFetch):
		return "ok"
	case errors.Is(err, context.Canceled), errors.Is(err, ErrStopping):
		return "cancelled"
	case isUnknown(err), errors.Is(err, ErrDeleted), errors.Is(err, peer.ErrNotFound), errors.Is(err, peer.ErrOtherBytes):
		return "absent"
	case isInvalid(err):
		return "invalid"
	case refused:
		return "refused"
	}
	return "failed"
}

// isInvalid is true if what came is not what it has to be.
func isInvalid(err error) bool {
	_, differs := errors.AsType[*upstream.ChecksumError](err)
	_, forked := errors.AsType[*forkError](err)
	return differs || forked || errors.Is(err, modzip.ErrInvalid)
}
