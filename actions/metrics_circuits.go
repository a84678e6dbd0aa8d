package actions

import (
	"github.com/prometheus/client_golang/prometheus"

	"olympus/worker"
)

// circuitCollector tells which peers and upstream hosts this process leaves out because they did not answer. It describes nothing
// beforehand: the same metric has one label for peers and another for upstreams.
type circuitCollector struct{ d *worker.Deployment }

const (
	circuitName = "olympus_circuit_open"
	circuitHelp = "1 while this process leaves a peer or an upstream host out because it did not answer several times in a row."
)

var (
	peerCircuitDesc     = prometheus.NewDesc(circuitName, circuitHelp, []string{"peer"}, nil)
	upstreamCircuitDesc = prometheus.NewDesc(circuitName, circuitHelp, []string{"upstream"}, nil)
)

func (circuitCollector) Describe(chan<- *prometheus.Desc) {}

func (c circuitCollector) Collect(ch chan<- prometheus.Metric) {
	circuits := c.d.Circuits()
	tell := func(desc *prometheus.Desc, all map[string]bool) {
		for name, open := range all {
			value := 0.0
			if open {
				value = 1
			}
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, name)
		}
	}
	tell(peerCircuitDesc, circuits.Peers)
	tell(upstreamCircuitDesc, circuits.Upstreams)
}
