package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river/rivertype"
)

func newJobMetrics() (waited, took *prometheus.HistogramVec) {
	waited = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "olympus_job_waiting_seconds", Help: "How long jobs had been due when this process began them, by kind.",
		Buckets: []float64{0.1, 1, 5, 30, 120, 600},
	}, []string{"kind"})
	took = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "olympus_job_seconds", Help: "How long this process was at jobs, each attempt counted, by kind.",
		Buckets: []float64{0.01, 0.1, 1, 10, 60, 600},
	}, []string{"kind"})
	return waited, took
}

// measure notes how long a job has waited; what it returns is called when the job has ended.
func (q *Queue) measure(job *rivertype.JobRow) func() {
	began := time.Now()
	if job.AttemptedAt != nil {
		q.waited.WithLabelValues(job.Kind).Observe(max(0, job.AttemptedAt.Sub(job.ScheduledAt).Seconds()))
	}
	return func() { q.took.WithLabelValues(job.Kind).Observe(time.Since(began).Seconds()) }
}

func (q *Queue) collectors() []prometheus.Collector {
	return []prometheus.Collector{q.waited, q.took}
}
