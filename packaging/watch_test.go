package packaging

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
)

type rules struct {
	Groups []struct {
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

type dashboard struct {
	Panels []struct {
		ID      int    `json:"id"`
		Type    string `json:"type"`
		Title   string `json:"title"`
		GridPos struct{ H, W, X, Y int }
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("grafana", "olympus.json"))
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(content, &d))
	return d
}

// Of a query: what is in it besides names of metrics. A word right before a parenthesis is a function.
var (
	notMetrics = regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]|\b(by|on|without|ignoring) \([^)]*\)|\b(and|or|unless|offset|sum|min|max)\b|\b[a-z_]+\(`)
	identifier = regexp.MustCompile(`\b[a-z_][a-z0-9_]*\b`)
)

// metricsOf are the metrics that a query reads.
func metricsOf(query string) []string {
	return identifier.FindAllString(notMetrics.ReplaceAllString(query, " "), -1)
}

func TestMetricsOf(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"a_total", "b", "c"},
		metricsOf(`sum by (job, x) (rate(a_total{job="d",e=~"f"}[5m])) > 2 * 1024 and on (job) max by (job) (b offset 30m) or c`))
}

// Each metric that is watched exists: a process shows it, or, where something has to happen first, docs/operating.md lists it. That all which
// is listed there is shown in the end, and nothing else, is tested where things happen: TestMetrics in federation.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"up": true} // which Prometheus makes
	for line := range strings.Lines(scrape(t)) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			known[strings.Fields(name)[0]] = true
		}
	}
	require.True(t, known["olympus_peer_lag_events"] && known["go_goroutines"])
	for name, kind := range documented(t) {
		known[name] = true
		known[name+"_bucket"] = kind == "histogram"
	}

	var queries []string
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			queries = append(queries, target.Expr)
		}
	}
	var alerts rules
	read(t, filepath.Join("prometheus", "alerts.yaml"), &alerts)
	for _, rule := range alerts.Groups[0].Rules {
		queries = append(queries, rule.Expr)
	}
	for _, query := range queries {
		names := metricsOf(query)
		require.NotEmpty(t, names, query)
		for _, name := range names {
			require.True(t, known[name], "%s: there is no metric %s", query, name)
		}
	}
}

// documented are the metrics in the table of docs/operating.md, with their types.
func documented(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "docs", "operating.md"))
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(content), "\n## Health and metrics\n")
	section, _, _ = strings.Cut(section, "\n## ")
	names := make(map[string]string)
	for line := range strings.Lines(section) {
		if cell, ok := strings.CutPrefix(line, "| `olympus_"); ok {
			cell, rest, _ := strings.Cut(cell, " | ")
			kind, _, _ := strings.Cut(rest, " | ")
			for _, name := range regexp.MustCompile(`olympus_[a-z_]+`).FindAllString("olympus_"+cell, -1) {
				names[name] = kind
			}
		}
	}
	require.Greater(t, len(names), 15)
	return names
}

// scrape is what a process with a peer answers at /metrics.
func scrape(t *testing.T) string {
	t.Helper()
	settings := []string{
		"GO_ENV=test", "ADDR=127.0.0.1", "PORT=0", "LOG_FORMAT=json", "DATABASE_URL=" + testdb.URL(t), "TEST_DATABASE_URL=",
		"OLYMPUS_NAME=om.example.com", "OLYMPUS_URL=http://om.example.com:3000", "OLYMPUS_DATA_DIR=" + t.TempDir(), "OLYMPUS_UPSTREAM=off", "OLYMPUS_SUMDB=off", "OLYMPUS_PULL_INTERVAL=0",
	}
	// The key of another deployment; the peer need not be up.
	key, err := olympus(t, []string{"OLYMPUS_NAME=oa.example.com"}, "task", "key:show", "--json")
	require.NoError(t, err, key)
	var public struct{ Key string }
	require.NoError(t, json.Unmarshal([]byte(key), &public))
	out, err := olympus(t, settings, "task", "peers:add", "http://oa.example.com:3000", public.Key)
	require.NoError(t, err, out)

	server := command(t, settings)
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	server.Stderr = os.Stderr
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT)
		_, _ = io.Copy(io.Discard, stdout)
		_ = server.Wait()
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var entry struct{ Msg, Address string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &entry), lines.Text())
		if entry.Msg == "serving" {
			resp, err := http.Get("http://" + entry.Address + "/metrics")
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			return string(body)
		}
	}
	require.Fail(t, "it does not say that it serves")
	return ""
}

// Each alert says what is wrong and what to do, in a place that exists, and is tried: that it is raised, and that it is not.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("promtool")
	require.NoError(t, err, "scripts/program.sh installs it")
	path := filepath.Join("prometheus", "alerts.yaml")
	tool(t.Context(), t, "promtool", "check", "rules", path)
	tool(t.Context(), t, "promtool", "test", "rules", filepath.Join("prometheus", "alerts_test.yaml"))

	tests := files(t)[filepath.Join("prometheus", "alerts_test.yaml")]
	content, err := os.ReadFile(filepath.Join("..", "docs", "operating.md"))
	require.NoError(t, err)
	manual := string(content)
	var alerts rules
	read(t, path, &alerts)
	require.Len(t, alerts.Groups, 1)
	for _, rule := range alerts.Groups[0].Rules {
		require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
		require.NotEmpty(t, rule.Annotations["description"], rule.Alert)
		require.Contains(t, []string{"warning", "critical"}, rule.Labels["severity"], rule.Alert)
		require.Contains(t, tests, "{alertname: "+rule.Alert+",", "there is no test that it is not raised")
		require.Contains(t, tests, `ALERTS{alertname="`+rule.Alert+`"`, "there is no test that it is raised")
		places, ok := strings.CutPrefix(rule.Annotations["runbook"], "docs/operating.md: ")
		require.True(t, ok, rule.Alert)
		for place := range strings.SplitSeq(places, "; ") {
			section, what, _ := strings.Cut(place, ": ")
			require.Contains(t, manual, "\n## "+section+"\n", rule.Alert)
			require.Contains(t, manual, "\n**"+what, rule.Alert)
		}
	}
}

// Grafana takes a dashboard with two panels in one place, or one number, and shows one of them.
func TestDashboard(t *testing.T) {
	t.Parallel()
	ids, places := make(map[int]bool), make(map[[2]int]string)
	for _, panel := range readDashboard(t).Panels {
		require.False(t, ids[panel.ID], panel.Title)
		ids[panel.ID] = true
		require.Equal(t, panel.Type == "row", len(panel.Targets) == 0, panel.Title)
		for x := range panel.GridPos.W {
			for y := range panel.GridPos.H {
				place := [2]int{panel.GridPos.X + x, panel.GridPos.Y + y}
				require.Less(t, place[0], 24, panel.Title)
				require.Empty(t, places[place], panel.Title)
				places[place] = panel.Title
			}
		}
	}
}
