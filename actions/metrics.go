package actions

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"olympus/internal/download"
	"olympus/internal/postgres"
	"olympus/models"
	"olympus/worker"
)

// metrics are what Prometheus reads at /metrics. Counters are of this process; gauges are of the deployment and read when asked.
type metrics struct {
	registry *prometheus.Registry
	hits     map[download.Ext]prometheus.Counter
	misses   map[download.Ext]prometheus.Counter
	errors   *prometheus.CounterVec
	pushes   *prometheus.CounterVec
	events   prometheus.Counter
}

func newMetrics(d *worker.Deployment) *metrics {
	hits := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "olympus_download_hits_total", Help: "Download requests answered from the cache, by file.",
	}, []string{"file"})
	misses := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "olympus_download_misses_total", Help: "Download requests for a version that the log did not know, by file.",
	}, []string{"file"})
	m := &metrics{
		registry: prometheus.NewRegistry(),
		hits:     make(map[download.Ext]prometheus.Counter), misses: make(map[download.Ext]prometheus.Counter),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "olympus_download_errors_total", Help: "Download requests answered with an error, by status.",
		}, []string{"status"}),
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "olympus_pushes_received_total", Help: "Pushes received, by peer (empty: who has not proved to be one) and the status they were answered with.",
		}, []string{"peer", "status"}),
		events: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "olympus_pushed_events_received_total", Help: "Events in accepted pushes.",
		}),
	}
	// Resolved once: a hit must not look a label up.
	for _, ext := range []download.Ext{download.List, download.Latest, download.Info, download.Mod, download.Zip} {
		m.hits[ext], m.misses[ext] = hits.WithLabelValues(string(ext)), misses.WithLabelValues(string(ext))
	}
	m.registry.MustRegister(d.Collectors()...)
	m.registry.MustRegister(hits, misses, m.errors, m.pushes, m.events, &stateCollector{d}, circuitCollector{d},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

func (m *metrics) hit(a *answer)         { m.hits[a.ext].Inc() }
func (m *metrics) miss(ext download.Ext) { m.misses[ext].Inc() }
func (m *metrics) failed(status int)     { m.errors.WithLabelValues(strconv.Itoa(status)).Inc() }
func (m *metrics) pushed(peer string, status, events int) {
	m.pushes.WithLabelValues(peer, strconv.Itoa(status)).Inc()
	m.events.Add(float64(events))
}

// stateCollector reads the state of the deployment from the database at each scrape.
type stateCollector struct{ d *worker.Deployment }

var (
	headDesc      = prometheus.NewDesc("olympus_event_log_head", "Position of the last event of this deployment's log.", nil, nil)
	versionsDesc  = prometheus.NewDesc("olympus_versions", "Module versions, by where their zip is or what became of them.", []string{"state"}, nil)
	conflictsDesc = prometheus.NewDesc("olympus_conflicts", "Versions with two adds of different hashes.", nil, nil)
	lagDesc       = prometheus.NewDesc("olympus_peer_lag_events", "Events of a peer's log known to exist and not taken yet.", []string{"peer"}, nil)
	behindDesc    = prometheus.NewDesc("olympus_peer_lag_seconds", "How long events of a peer's log have been known to exist and not been taken.", []string{"peer"}, nil)
	backlogDesc   = prometheus.NewDesc("olympus_fetch_backlog", "Remote versions whose zips are due to be fetched.", nil, nil)
	pointerDesc   = prometheus.NewDesc("olympus_peer_pull_position", "Pull pointer: last position taken from a peer's log.", []string{"peer"}, nil)
	verifiedDesc  = prometheus.NewDesc("olympus_peer_verified_position", "Up to where a peer's log is proved to be in the tree that it has signed.", []string{"peer"}, nil)
	epochDesc     = prometheus.NewDesc("olympus_event_log_epoch", "Epoch of this deployment's log: it grows when the database turns out to be older than what was signed.", nil, nil)
	pendingDsc    = prometheus.NewDesc("olympus_peers_pending", "Deployments that have asked to become peers and wait for approval.", nil, nil)
	quarantineDsc = prometheus.NewDesc("olympus_peers_quarantined", "Peers that have signed two histories of their log.", nil, nil)
	jobsDesc      = prometheus.NewDesc("olympus_jobs", "Jobs, by kind and state.", []string{"kind", "state"}, nil)
	scrubDesc     = prometheus.NewDesc("olympus_oldest_scrub_seconds", "How long ago that held zip was read whole which was not for the longest time.", nil, nil)
	writableDesc  = prometheus.NewDesc("olympus_storage_writable", "1 while the blob store takes zips, 0 while it does not, as when the disk is full.", nil, nil)
	recordDesc    = prometheus.NewDesc("olympus_database_writable", "1 while the database takes the heartbeats of this process, 0 while it does not.", nil, nil)
	freeDesc      = prometheus.NewDesc("olympus_storage_free_bytes", "Bytes left for blobs; absent for a store without such a bound.", nil, nil)
	oldestDesc    = prometheus.NewDesc("olympus_oldest_waiting_seconds", "How long the longest waiting job has been due.", nil, nil)
)

func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{headDesc, versionsDesc, conflictsDesc, lagDesc, behindDesc, backlogDesc, pointerDesc, verifiedDesc, epochDesc, quarantineDsc, pendingDsc, jobsDesc, oldestDesc, scrubDesc, writableDesc, recordDesc, freeDesc} {
		ch <- d
	}
}

func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	db := c.d.DB.WithContext(postgres.Impatient(context.Background(), countPatience))
	if head, err := models.Head(db); err == nil {
		gauge(headDesc, float64(head))
	} else {
		ch <- prometheus.NewInvalidMetric(headDesc, err)
	}
	if n, err := models.CountVersions(db); err == nil {
		gauge(versionsDesc, float64(n.Held), "held")
		gauge(versionsDesc, float64(n.Remote), "remote")
		gauge(versionsDesc, float64(n.Failed), "failed")
		gauge(versionsDesc, float64(n.Deprecated), "deprecated")
		gauge(versionsDesc, float64(n.Deleted), "deleted")
		gauge(conflictsDesc, float64(n.Conflicts))
	}
	if peers, err := models.Peers(db); err == nil {
		quarantined, pending := 0, 0
		for i := range peers {
			if peers[i].State == models.PeerPending {
				pending++ // anybody may ask: its name is no label
				continue
			}
			if peers[i].State == models.PeerQuarantined {
				quarantined++
			}
			gauge(verifiedDesc, float64(peers[i].VerifiedSize), peers[i].Name)
			gauge(lagDesc, float64(peers[i].Lag()), peers[i].Name)
			gauge(behindDesc, peers[i].LagTime(time.Now()).Seconds(), peers[i].Name)
			gauge(pointerDesc, float64(peers[i].PullPosition), peers[i].Name)
		}
		gauge(quarantineDsc, float64(quarantined))
		gauge(pendingDsc, float64(pending))
	}
	if backlog, err := models.FetchBacklog(db); err == nil {
		gauge(backlogDesc, float64(backlog))
	}
	if tree, err := models.ReadTree(db); err == nil {
		gauge(epochDesc, float64(tree.Epoch))
	}
	if jobs, err := models.CountJobs(db); err == nil {
		for _, j := range jobs {
			gauge(jobsDesc, float64(j.Count), j.Kind, j.State)
		}
	}
	if oldest, err := models.OldestWaiting(db); err == nil {
		gauge(oldestDesc, oldest.Seconds())
	}
	if oldest, err := models.OldestScrub(db); err == nil {
		gauge(scrubDesc, oldest.Seconds())
	}
	works := func(_ time.Time, fault error) float64 {
		if fault != nil {
			return 0
		}
		return 1
	}
	gauge(writableDesc, works(c.d.StorageFault()))
	gauge(recordDesc, works(c.d.DatabaseFault()))
	if free, known, err := c.d.Store.Space(context.Background()); err == nil && known {
		gauge(freeDesc, float64(free))
	}
}
