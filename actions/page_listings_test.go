package actions_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/models"
)

func TestEventsArePaged(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	var events []protocol.Event
	for i := range 120 {
		events = append(events, added("example.com/m", "v1.0."+strconv.Itoa(i), "om.example.com"))
	}
	s.log(events...)
	var positions []int
	for path := "/events"; path != ""; {
		got := s.do(http.MethodGet, path, "", "Accept", "application/json")
		var page []map[string]any
		require.NoError(t, json.Unmarshal([]byte(got.body), &page))
		require.LessOrEqual(t, len(page), 50)
		for _, e := range page {
			positions = append(positions, int(e["position"].(float64)))
		}
		path = linkOf(got, "next")
	}
	require.Equal(t, [3]string{"/events?before=71", "", ""}, s.links("/events"))
	require.Equal(t, [3]string{"/events?before=21", "/events", "/events"}, s.links("/events?before=71"))
	require.Equal(t, [3]string{"", "/events?before=71", "/events"}, s.links("/events?before=21"))
	require.Len(t, positions, 120)
	slices.Reverse(positions)
	for i, position := range positions {
		require.Equal(t, i+1, position)
	}
	var first []map[string]any
	s.json("/events?before=2", &first)
	e := events[0]
	require.Equal(t, []map[string]any{{
		"position": 1.0, "kind": "add", "module": e.Module, "version": e.Version, "origin": e.Origin, "time": "2026-11-22T12:00:00.000001Z",
		"zip_hash": e.ZipHash, "zip_sha256": e.ZipSHA256, "zip_size": 1234.0, "mod_hash": e.ModHash,
	}}, first)
	require.Contains(t, s.page("/events?before=21"), "Newest")
	require.NotContains(t, s.page("/events?before=21"), "Older")
	require.Contains(t, s.page("/events?before=1"), "there is nothing older")
}

// links are the next, the previous and the first page, as a listing names them.
func (s *site) links(path string) [3]string {
	s.t.Helper()
	return [3]string{s.link(path, "next"), s.link(path, "prev"), s.link(path, "first")}
}

func TestListingsLinkBothWays(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	var events []protocol.Event
	for i := range 120 {
		events = append(events, added("example.com/m", "v1.0."+strconv.Itoa(100+i), "om.example.com"))
	}
	s.log(events...)
	require.Equal(t, [3]string{"/modules?after=example.com%2Fm%40v1.0.149", "", ""}, s.links("/modules"))
	require.Equal(t, [3]string{"/modules?after=example.com%2Fm%40v1.0.199&prefix=ex", "/modules?before=example.com%2Fm%40v1.0.150&prefix=ex", "/modules?prefix=ex"},
		s.links("/modules?prefix=ex&after=example.com/m@v1.0.149"))
	require.Equal(t, [3]string{"", "/modules?before=example.com%2Fm%40v1.0.200", "/modules"}, s.links("/modules?after=example.com/m@v1.0.199"))

	s.exec(`DELETE FROM river_job`)
	s.exec(`INSERT INTO river_job (id, kind, state, args, max_attempts, queue) OVERRIDING SYSTEM VALUE
		SELECT n, 'push', 'available', '{}', 5, 'push' FROM generate_series(1001, 1120) n`)
	require.Equal(t, [3]string{"/jobs?before=1071", "", ""}, s.links("/jobs"))
	require.Equal(t, [3]string{"/jobs?before=1021", "/jobs?after=1070", "/jobs"}, s.links("/jobs?before=1071"))
	require.Equal(t, [3]string{"", "/jobs?after=1020", "/jobs"}, s.links("/jobs?before=1021"))

	below := newSite(t, siteOptions{url: "https://example.com/go/olympus"})
	below.log(events...)
	require.Equal(t, "/go/olympus/events?before=71", below.link("/events", "next"), "as a client reaches it")
}

func TestPagesStaySmallWithALongLog(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	e := added("example.com/m", "v1.0.0", "om.example.com")
	s.exec(`INSERT INTO events (position, kind, module, version, origin, time, logged_at, zip_hash, zip_sha256, zip_size, mod_hash, info, mod, reason)
		SELECT n, 'add', 'example.com/m' || n, 'v1.0.0', 'om.example.com', now(), now(), ?, ?, 1234, ?, '{}', 'module m', '' FROM generate_series(1, 100000) n`,
		e.ZipHash, e.ZipSHA256, e.ModHash)
	s.exec(`INSERT INTO versions (module, version, add_position, deprecated, deleted, conflict)
		SELECT module, version, position, false, false, false FROM events`)
	s.exec("ANALYZE")
	for _, path := range []string{
		"/", "/events", "/events?before=50000", "/modules", "/modules?prefix=example.com/m9&after=example.com/m99@v1.0.0",
		"/modules?state=remote&before=example.com/m99@v1.0.0", "/modules?state=failed",
	} {
		require.Less(t, len(s.page(path)), 40_000, path)
	}
	require.Contains(t, s.page("/"), "100,000")
}

func TestModulesAreSearchedAndPaged(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	var events []protocol.Event
	for i := range 60 {
		events = append(events, added("example.com/a", "v1.0."+strconv.Itoa(i), "om.example.com"), added("example.com/b", "v1.0."+strconv.Itoa(i), "om.example.com"))
	}
	s.log(append(events, added("example.com/Upper", "v1.0.0", "om.example.com"))...)
	require.Len(t, s.listed("/modules"), 121)
	of := s.listed("/modules?prefix=example.com/b")
	require.Len(t, of, 60)
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(of))), 60, "none twice")
	require.Equal(t, []string{"example.com/Upper@v1.0.0"}, s.listed("/modules?prefix=example.com/U"))
	require.Contains(t, s.page("/modules?prefix=example.com/U"), `href="/modules/example.com/%21upper@v1.0.0"`)
	require.Contains(t, s.page("/modules?prefix=example.com/b"), "Next page")
	require.Contains(t, s.page("/modules?prefix=example.com/b&after=example.com/b@v1.0.9"), "First page")
}

func TestJobsJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	s.knows("oa.example.com", "https://oa.example.com")
	s.knows("om.example.com", "https://om.example.com")
	require.NoError(t, s.Append(true, []protocol.Event{added("example.com/m", "v1.0.0", s.Name)}, nil))
	s.exec(`DELETE FROM river_job WHERE kind <> 'push'`)
	var jobs []models.Job
	s.json("/jobs", &jobs)
	require.Len(t, jobs, 2)
	require.Equal(t, "push", jobs[0].Kind)
	require.Equal(t, "om.example.com", jobs[0].Peer)
	require.Equal(t, time.UTC, jobs[0].CreatedAt.Location())
	s.json("/jobs?before="+strconv.FormatInt(jobs[0].ID, 10), &jobs)
	require.Len(t, jobs, 1)
	page := s.page("/jobs")
	require.Contains(t, page, "0 of 5")
	require.Contains(t, page, `<td class="about"><a href="/peers/om.example.com">om.example.com</a></td>`)
	require.Equal(t, []int64{1, 1}, []int64{jobs[0].First, jobs[0].Last})
	require.Contains(t, page, `<td class="about"><a href="/events/1">event 1</a></td>`)
	s.exec(`UPDATE river_job SET args = args || '{"first": 7, "last": 1009}'`)
	require.Contains(t, s.page("/jobs"), `<td class="about"><a href="/events/7">events 7 to 1,009</a></td>`)
	s.exec(`UPDATE river_job SET args = '{"module": "example.com/Upper", "version": "v1.0.0"}'`)
	require.Contains(t, s.page("/jobs"), `<td class="about"><a href="/modules/example.com/%21upper@v1.0.0">example.com/Upper@v1.0.0</a></td>`)
	s.exec(`UPDATE river_job SET args = '{"peer": "om.example.com", "first": "x", "module": [7]}'`)
	require.Contains(t, s.page("/jobs"), "om.example.com", "of another release")
	require.NoError(t, s.SetPeerState(t.Context(), "test", "om.example.com", models.PeerRemoved))
	require.Contains(t, s.page("/jobs"), `<td class="about">om.example.com</td>`, "it has no page any more")
}
