package actions_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobuffalo/buffalo/plugins"
	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

const (
	hostile        = `<script>alert(1)</script> <%= 6*7 %> "'> ${6*7} {{6*7}}`
	hostileEscaped = `&lt;script&gt;alert(1)&lt;/script&gt; &lt;%= 6*7 %&gt;`
)

// everyPage are pages of a site that has a peer om.example.com and the version example.com/m@v1.0.0.
var everyPage = []string{
	"/", "/status", "/peers", "/peers/om.example.com", "/events", "/modules", "/modules?prefix=example.com", "/modules?state=failed",
	"/modules/example.com/m@v1.0.0", "/explain/example.com/m@v1.0.0", "/jobs", "/alarms", "/audit",
}

// busy is a site in trouble, in which everything that others can write is hostile.
func busy(t *testing.T) *site {
	s := newSite(t, siteOptions{interval: 30 * time.Second})
	s.knows("om.example.com", "https://om.example.com")
	require.NoError(t, s.Append(true, []protocol.Event{
		added("example.com/m", "v1.0.0", s.Name), added("example.com/m", "v1.1.0", "om.example.com"),
		{Kind: protocol.KindDeprecate, Module: "example.com/m", Version: "v1.0.0", Origin: s.Name, Time: time.Now().UTC().Truncate(time.Microsecond), Reason: hostile},
	}, nil))
	other := added("example.com/m", "v1.0.0", "om.example.com")
	other.ZipHash = "h1:BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	s.log(other)
	s.exec(`UPDATE peers SET head = 7, last_pull_at = now() - interval '3 hours', last_error = ?, last_error_at = now()`, hostile)
	s.exec(`UPDATE versions SET fetch_error = ?, fetch_error_at = now(), fetch_attempts = 3`, hostile)
	s.exec(`DELETE FROM river_job WHERE kind <> 'push'`)
	s.exec(`UPDATE river_job SET state = 'retryable', scheduled_at = now() - interval '5 minutes', errors = ARRAY[jsonb_build_object('error', ?::text)]`, hostile)
	return s
}

// ownScript is the one script that pages have.
var ownScript = regexp.MustCompile(`<script src="/assets/olympus\.js\?v=[0-9a-f]{12}" defer></script>`)

func TestPagesEscapeWhatOthersWrote(t *testing.T) {
	t.Parallel()
	s := busy(t)
	shown := 0
	for _, path := range append(everyPage, "/modules?prefix="+"%3Cscript%3Ealert(1)%3C/script%3E%20%3C%25=%206*7%20%25%3E") {
		page := ownScript.ReplaceAllString(s.page(path), "")
		require.NotContains(t, page, "<script", path)
		require.NotContains(t, page, "<%", path)
		require.NotContains(t, page, "${42", path)
		require.NotRegexp(t, `(?i)<style|\sstyle=|\son[a-z]+=|javascript:`, page, "%s: nothing inline", path)
		shown += strings.Count(page, hostileEscaped)
	}
	require.GreaterOrEqual(t, shown, 7, "reason, errors of peer, version and job, and the search are shown")
}

func TestPagesHeaders(t *testing.T) {
	t.Parallel()
	s := busy(t)
	for _, path := range append(everyPage, "/nothing") {
		for _, accept := range []string{"text/html", "application/json"} {
			got := s.do(http.MethodGet, path, "", "Accept", accept)
			require.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; form-action", path)
			require.NotContains(t, got.header.Get("Content-Security-Policy"), "unsafe")
			require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"), path)
			require.Equal(t, "same-origin", got.header.Get("Referrer-Policy"), path)
			require.Contains(t, got.header.Get("Vary"), "Accept", path)
			require.Empty(t, got.header.Values("Set-Cookie"), path)
			require.Less(t, len(got.body), 40_000, path)
		}
	}
	head := s.do(http.MethodHead, "/", "")
	require.Equal(t, http.StatusOK, head.status)
	require.Empty(t, head.body)
	require.Equal(t, os.DevNull, plugins.CachePath, "nothing is written to the home directory")
}

func TestPagesLeadOnlyToPages(t *testing.T) {
	t.Parallel()
	s := busy(t)
	link := regexp.MustCompile(` (?:href|src|action)="([^"]*)"`)
	seen := map[string]bool{}
	for _, path := range everyPage {
		for _, match := range link.FindAllStringSubmatch(s.page(path), -1) {
			seen[match[1]] = true
		}
	}
	require.Contains(t, seen, "/peers/om.example.com")
	for href := range seen {
		if !strings.HasPrefix(href, "/") || strings.Contains(href, "/@v/") {
			continue
		}
		got := s.do(http.MethodGet, strings.ReplaceAll(href, "&amp;", "&"), "")
		require.Equal(t, http.StatusOK, got.status, href)
	}
}

func TestPagesBelowAPath(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{url: "https://example.com/go/olympus"})
	page := s.page("/peers")
	require.Contains(t, page, `href="/go/olympus/"`)
	require.Contains(t, page, `href="/go/olympus/events"`)
	require.Contains(t, page, `href="/go/olympus/assets/olympus.css?v=`)
	require.NotContains(t, page, `href="/peers"`)
}

func TestAssets(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	href := regexp.MustCompile(`/assets/olympus\.css\?v=[0-9a-f]+`).FindString(s.page("/"))
	require.NotEmpty(t, href)
	got := s.do(http.MethodGet, href, "")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "text/css; charset=utf-8", got.header.Get("Content-Type"))
	require.Equal(t, "public, max-age=31536000, immutable", got.header.Get("Cache-Control"))
	again := s.do(http.MethodGet, href, "", "If-None-Match", got.header.Get("Etag"))
	require.Equal(t, http.StatusNotModified, again.status)

	require.Equal(t, "no-cache", s.do(http.MethodGet, "/assets/olympus.css?v=0", "").header.Get("Cache-Control"), "of another release")
	require.Equal(t, "text/javascript; charset=utf-8", s.do(http.MethodGet, "/assets/olympus.js", "").header.Get("Content-Type"))
	require.Equal(t, "image/svg+xml", s.do(http.MethodGet, "/assets/olympus.svg", "").header.Get("Content-Type"))
	require.Equal(t, http.StatusNotFound, s.do(http.MethodGet, "/assets/public.go", "").status)
}

func TestEmptyPagesSayWhatToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	overview := s.page("/")
	require.Contains(t, overview, "Nothing is in trouble")
	require.Contains(t, overview, "olympus task peers:join")
	require.Contains(t, overview, "GOPROXY="+s.url+" go mod download")
	require.Contains(t, s.page("/peers"), "olympus task peers:join")
	require.Contains(t, s.page("/events"), "go mod download")
	require.Contains(t, s.page("/modules"), "go mod download")
	require.Contains(t, s.page("/modules?prefix=example.com"), "No module path begins with")
	require.Contains(t, s.page("/jobs"), "No jobs here")
	for _, path := range []string{"/peers", "/events", "/modules", "/modules?state=failed", "/jobs", "/alarms", "/audit"} {
		require.Equal(t, "[]\n", s.do(http.MethodGet, path, "", "Accept", "application/json").body, path)
	}
}

func TestPeerWithoutSamples(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	s.knows("om.example.com", "https://om.example.com")
	page := s.page("/peers/om.example.com")
	require.Contains(t, page, "There are no samples yet")
	require.NotContains(t, page, `class="plot"`)
	require.NotContains(t, s.page("/peers"), `class="spark"`)
}

func TestDashboardSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	page := busy(t).page("/")
	for _, words := range []string{
		"4 things are in trouble", "The last exchange with om.example.com failed just now; its log was last pulled 3 h ago.",
		"1 version is known with different bytes", "2 zips could not be fetched", "A job has been due for 5 min", ">failing<",
	} {
		require.Contains(t, page, words)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{token: token})
	s.knows("om.example.com/pull", "https://om.example.com")
	for path, want := range map[string]struct {
		status int
		says   string
	}{
		"/nothing":                             {404, "/nothing: there is nothing here"},
		"/peers/om.example.com":                {404, "om.example.com"},
		"/modules/example.com/m@v1.0.0":        {404, "no event of the log speaks of it"},
		"/modules/example.com/m":               {404, "module@version"},
		"/modules/example.com/m@v1":            {400, "canonical"},
		"/explain/example.com/m@v1":            {400, "canonical"},
		"/modules/example.com/m@v1.0.0/delete": {405, "only POST"},
		"/peers/x.example.com/pause":           {405, "only POST"},
		"/peers/om.example.com/pull":           {200, "om.example.com/pull"},
		"/events?before=-1":                    {400, "before"},
		"/jobs?before=x":                       {400, "before"},
		"/modules?prefix=%00":                  {400, "NUL"},
	} {
		got := s.do(http.MethodGet, path, "", "Accept", "text/html")
		require.Equal(t, want.status, got.status, path)
		require.Equal(t, "text/html; charset=utf-8", got.header.Get("Content-Type"), path)
		require.Contains(t, got.body, want.says, path)
		require.Contains(t, got.body, "<h1>", path)
		if want.status == 200 {
			continue
		}
		got = s.do(http.MethodGet, path, "", "Accept", "application/json")
		require.Equal(t, want.status, got.status, path)
		requireProblem(t, got, want.status, want.says)
		if want.status == 405 {
			require.Equal(t, "POST", got.header.Get("Allow"))
		}
	}
	got := s.do(http.MethodPatch, "/peers/om.example.com", "")
	requireProblem(t, got, 405, "PATCH /peers/om.example.com")
	require.Equal(t, "GET, PUT, DELETE, HEAD", got.header.Get("Allow"))
	requireProblem(t, s.do(http.MethodPost, "/jobs", ""), 405, "GET, HEAD")
}

// requireProblem requires an error as in RFC 9457.
func requireProblem(t *testing.T, got answerOf, status int, says string) {
	t.Helper()
	require.Equal(t, status, got.status, got.body)
	require.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
	var problem struct {
		Type, Title, Detail string
		Status              int
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &problem))
	require.Equal(t, status, problem.Status)
	require.Equal(t, http.StatusText(status), problem.Title)
	require.Contains(t, problem.Detail, says)
}

func TestStatusJSON(t *testing.T) {
	t.Parallel()
	s := busy(t)
	for _, path := range []string{"/", "/status", "/status/"} {
		var got map[string]any
		s.json(path, &got)
		require.Greater(t, got["oldest_waiting_seconds"], 299.0)
		delete(got, "oldest_waiting_seconds")
		require.Equal(t, map[string]any{
			"name": s.Name, "url": s.url, "head": 4.0, "conflicts": 1.0,
			"versions": map[string]any{"held": 0.0, "remote": 2.0, "failed": 2.0, "deprecated": 1.0, "deleted": 0.0},
			"jobs":     []any{map[string]any{"kind": "push", "state": "retryable", "count": 1.0}},
		}, got, path)
	}
}

// Whoever is given JSON is told in JSON what went wrong.
func TestStatusFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	s.exec("DROP TABLE audit")
	s.exec("ALTER TABLE event_log RENAME TO gone")
	for path, accept := range map[string]string{"/status": "*/*", "/": "application/json", "/audit": "application/json"} {
		requireProblem(t, s.do(http.MethodGet, path, "", "Accept", accept), 500, "")
	}
	require.Contains(t, s.do(http.MethodGet, "/status", "", "Accept", "text/html").body, "<h1>")
}

func TestPeersJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	key := otherKey(t, "om.example.com/eu")
	s.knows("om.example.com/eu", "https://om.example.com", key)
	want := map[string]any{
		"name": "om.example.com/eu", "url": "https://om.example.com", "key": key, "state": "active",
		"pull_position": 0.0, "head": 0.0, "lag": 0.0, "lag_seconds": 0.0, "last_pull_at": nil, "last_push_sent_at": nil, "last_push_received_at": nil,
		"last_error": "", "last_error_at": nil, "queued_pushes": 0.0,
	}
	var all []map[string]any
	s.json("/peers", &all)
	require.Equal(t, []map[string]any{want}, all)

	require.NoError(t, s.Append(true, []protocol.Event{added("example.com/m", "v1.0.0", s.Name)}, nil))
	s.exec(`UPDATE peers SET pull_position = 5, head = 12, behind_since = now() - interval '90.5 seconds', last_pull_at = '2026-11-22 13:00:00.000001+01', last_error = 'no route', state = 'paused'`)
	maps.Copy(want, map[string]any{
		"pull_position": 5.0, "head": 12.0, "lag": 7.0, "lag_seconds": 90.0, "last_pull_at": "2026-11-22T12:00:00.000001Z", "last_error": "no route",
		"state": "paused", "queued_pushes": 1.0,
	})
	s.json("/peers", &all)
	require.Equal(t, []map[string]any{want}, all)
	var one map[string]any
	s.json("/peers/om.example.com/eu", &one)
	want["epoch"], want["verified_size"] = 0.0, 0.0
	require.Equal(t, want, one)
}
