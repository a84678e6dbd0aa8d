package federation

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
	"olympus/models"
)

// shown are the metrics of a process: the type of each, and the value of each series.
type shown struct {
	types  map[string]string
	values map[string]float64
}

var series = regexp.MustCompile(`^(olympus_[a-z_]+(?:\{.*\})?) (\S+)$`)

func (d *deployment) metrics() shown {
	d.t.Helper()
	s := shown{make(map[string]string), make(map[string]float64)}
	for line := range strings.Lines(d.mustGet("/metrics")) {
		line = strings.TrimSpace(line)
		if of, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(of, " ")
			s.types[name] = kind
		} else if found := series.FindStringSubmatch(line); found != nil {
			value, err := strconv.ParseFloat(found[2], 64)
			require.NoError(d.t, err, line)
			s.values[found[1]] = value
		}
	}
	return s
}

// documentedMetrics are the metrics in the table of docs/operating.md, with their types.
func documentedMetrics(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "docs", "operating.md"))
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(content), "\n## Health and metrics\n")
	section, _, _ = strings.Cut(section, "\n## ")
	types, name := make(map[string]string), regexp.MustCompile(`olympus_[a-z_]+`)
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `olympus_") {
			for _, n := range name.FindAllString(cells[0], -1) {
				types[n] = cells[1]
			}
		}
	}
	return types
}

// A version that is filled at om, pushed to oa and fetched there, and one that oa pulls: what both count of it is right, and all that they
// show is in the manual.
func TestMetrics(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, mx, my)
	om := start(t, "om.example.com", options{upstream: up.URL})
	oa := start(t, "oa.example.com", options{upstream: up.URL})

	om.mustGet("/example.com/my/@v/v1.0.0.info") // no peer yet: this one oa must pull
	eventually(t, "my is held at om", func() bool { return om.held(my.Path, my.Version) })
	befriend(om, oa)
	for range 3 { // a miss, an answer that is kept, and a hit
		om.mustGet("/example.com/mx/@v/v1.0.0.zip")
	}
	eventually(t, "oa holds what was pushed", func() bool { return oa.held(mx.Path, mx.Version) })
	require.Equal(t, 2, oa.pull(om).Pulled)
	eventually(t, "oa holds what it pulled", func() bool { return oa.held(my.Path, my.Version) })
	om.pull(oa)
	status, _ := om.get("/example.com/none/@v/v1.0.0.info")
	require.Equal(t, http.StatusNotFound, status)
	status, _ = oa.get("/push")
	require.Equal(t, http.StatusMethodNotAllowed, status)
	resp, err := http.Post(oa.url+"/push", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)

	zip := func(module, version string) float64 {
		v, err := models.FindVersion(oa.DB, module, version)
		require.NoError(t, err)
		return float64(v.ZipSize)
	}
	for at, want := range map[*deployment]map[string]float64{
		om: {
			`olympus_download_hits_total{file="zip"}`:                                                              1,
			`olympus_download_misses_total{file="zip"}`:                                                            1,
			`olympus_download_misses_total{file="info"}`:                                                           2,
			`olympus_download_errors_total{status="404"}`:                                                          1,
			`olympus_fills_total{result="ok",source="upstream"}`:                                                   2,
			`olympus_fills_total{result="absent",source="upstream"}`:                                               1,
			`olympus_pushes_sent_total{peer="oa.example.com",result="ok"}`:                                         1,
			`olympus_pulls_total{peer="oa.example.com",result="ok"}`:                                               1,
			`olympus_pulled_events_total{peer="oa.example.com"}`:                                                   2,
			`olympus_pulled_events_appended_total{peer="oa.example.com"}`:                                          0,
			`olympus_job_seconds_count{kind="push"}`:                                                               1,
			`olympus_job_waiting_seconds_count{kind="push"}`:                                                       1,
			`olympus_upstream_seconds_count{result="ok",upstream="` + strings.TrimPrefix(up.URL, "http://") + `"}`: 6, // .info, .mod and .zip
			`olympus_event_log_head`:                                                                               2,
			`olympus_versions{state="held"}`:                                                                       2,
		},
		oa: {
			`olympus_pushes_received_total{peer="om.example.com",status="202"}`: 1,
			`olympus_pushes_received_total{peer="",status="401"}`:               1,
			`olympus_pushed_events_received_total`:                              1,
			`olympus_pulls_total{peer="om.example.com",result="ok"}`:            1,
			`olympus_pulled_events_total{peer="om.example.com"}`:                2,
			`olympus_pulled_events_appended_total{peer="om.example.com"}`:       1,
			`olympus_fetches_total{peer="om.example.com",result="ok"}`:          2,
			`olympus_fetched_bytes_total{peer="om.example.com"}`:                zip(mx.Path, mx.Version) + zip(my.Path, my.Version),
			`olympus_fetch_backlog`:                                             0,
			`olympus_peer_lag_events{peer="om.example.com"}`:                    0,
			`olympus_peer_lag_seconds{peer="om.example.com"}`:                   0,
			`olympus_peer_verified_position{peer="om.example.com"}`:             2,
			`olympus_storage_seconds_count{operation="put"}`:                    2,
			`olympus_database_connections_max{pool="queue"}`:                    10,
		},
	} {
		got := at.metrics().values
		for name, value := range want {
			require.Contains(t, got, name, at.Name)
			require.InDelta(t, value, got[name], 0, "%s of %s", name, at.Name)
		}
		require.Positive(t, got[`olympus_storage_seconds_count{operation="create"}`], at.Name)
	}

	// Both ways: nothing is shown that the manual does not have, and the other way round.
	all := make(map[string]string)
	for _, d := range []*deployment{om, oa} {
		for name, kind := range d.metrics().types {
			if strings.HasPrefix(name, "olympus_") {
				all[name] = kind
			}
		}
	}
	require.Equal(t, documentedMetrics(t), all)
}
