package blob

import (
	"context"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// measured is a backend whose answers are timed: all that a store asks for goes through here. Lists are left out, because most of their
// time is that of whoever reads them.
type measured struct {
	backend
	seconds *prometheus.HistogramVec

	// Looked up once: a hit opens a blob.
	puts, opens, stats, removes, creates prometheus.Observer
}

func measure(b backend) *measured {
	m := &measured{backend: b, seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "olympus_storage_seconds", Help: "How long the blob store took, by operation.",
		Buckets: []float64{0.001, 0.01, 0.1, 1, 10, 60},
	}, []string{"operation"})}
	of := m.seconds.WithLabelValues
	m.puts, m.opens, m.stats, m.removes, m.creates = of("put"), of("open"), of("stat"), of("delete"), of("create")
	return m
}

func since(began time.Time, o prometheus.Observer) { o.Observe(time.Since(began).Seconds()) }

func (m *measured) put(ctx context.Context, key string, f io.Reader, size int64) error {
	defer since(time.Now(), m.puts)
	return m.backend.put(ctx, key, f, size)
}

func (m *measured) open(ctx context.Context, key string) (*Blob, error) {
	defer since(time.Now(), m.opens)
	return m.backend.open(ctx, key)
}

func (m *measured) stat(ctx context.Context, key string) (int64, time.Time, error) {
	defer since(time.Now(), m.stats)
	return m.backend.stat(ctx, key)
}

func (m *measured) remove(ctx context.Context, key string) error {
	defer since(time.Now(), m.removes)
	return m.backend.remove(ctx, key)
}

func (m *measured) create(ctx context.Context, key string, content []byte) error {
	defer since(time.Now(), m.creates)
	return m.backend.create(ctx, key, content)
}

// Collectors are the metrics of this store.
func (s *Store) Collectors() []prometheus.Collector {
	if m, ok := s.backend.(*measured); ok {
		return []prometheus.Collector{m.seconds}
	}
	return nil
}
