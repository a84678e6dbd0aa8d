package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"olympus/internal/postgres"
)

// poolCollector tells how busy the pools of connections of this process are: that of requests and jobs, and that of the queue itself.
type poolCollector struct{ d *Deployment }

var (
	connectionsDesc = prometheus.NewDesc("olympus_database_connections", "Connections of this process to the database, by pool and state.", []string{"pool", "state"}, nil)
	mostDesc        = prometheus.NewDesc("olympus_database_connections_max", "How many connections a pool may have.", []string{"pool"}, nil)
	waitsDesc       = prometheus.NewDesc("olympus_database_waits_total", "How often a connection had to be waited for.", []string{"pool"}, nil)
	waitedDesc      = prometheus.NewDesc("olympus_database_waiting_seconds_total", "How long connections were waited for, all in all.", []string{"pool"}, nil)
)

func (poolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connectionsDesc, mostDesc, waitsDesc, waitedDesc} {
		ch <- d
	}
}

func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	tell := func(pool string, inUse, idle, most int, waits int64, waited time.Duration) {
		ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(inUse), pool, "in_use")
		ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(idle), pool, "idle")
		ch <- prometheus.MustNewConstMetric(mostDesc, prometheus.GaugeValue, float64(most), pool)
		ch <- prometheus.MustNewConstMetric(waitsDesc, prometheus.CounterValue, float64(waits), pool)
		ch <- prometheus.MustNewConstMetric(waitedDesc, prometheus.CounterValue, waited.Seconds(), pool)
	}
	if s, ok := postgres.Stats(c.d.DB); ok {
		tell("work", s.InUse, s.Idle, s.MaxOpenConnections, s.WaitCount, s.WaitDuration)
	}
	q := c.d.Queue.pool.Stat()
	tell("queue", int(q.AcquiredConns()), int(q.IdleConns()), int(q.MaxConns()), q.EmptyAcquireCount(), q.EmptyAcquireWaitTime())
}
