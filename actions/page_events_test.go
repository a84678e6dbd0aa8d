package actions_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

// The log can be read by kind, origin and module, and a page of what there is less of leads on to the next.
func TestEventsFiltered(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	var events []protocol.Event
	for i := range 120 {
		origin := s.Name
		if i%2 == 1 {
			origin = "om.example.com"
		}
		events = append(events, added(fmt.Sprintf("example.com/m%d", i%10), fmt.Sprintf("v1.%d.0", i), origin))
	}
	events = append(events, protocol.Event{
		Kind: protocol.KindDelete, Module: "example.com/m3", Version: "v1.3.0", Origin: s.Name, Time: time.Now().UTC().Truncate(time.Microsecond), Reason: "<b>bad</b>",
	})
	s.log(events...)
	positions := func(query string) (all []int64, next string) {
		got := s.do(http.MethodGet, "/events?"+query, "", "Accept", "application/json")
		require.Equal(t, http.StatusOK, got.status, got.body)
		var list []struct {
			Position int64 `json:"position"`
		}
		s.json("/events?"+query, &list)
		for _, e := range list {
			all = append(all, e.Position)
		}
		return all, got.header.Get("Link")
	}
	all, next := positions("kind=delete")
	require.Equal(t, []int64{121}, all)
	require.Empty(t, next)
	all, _ = positions("module=example.com/m3&origin=om.example.com&kind=add")
	require.Equal(t, []int64{114, 104, 94, 84, 74, 64, 54, 44, 34, 24, 14, 4}, all)
	all, _ = positions("module=example.com/m3&before=30")
	require.Equal(t, []int64{24, 14, 4}, all)
	all, next = positions("origin=om.example.com")
	require.Len(t, all, 50)
	require.Equal(t, `</events?before=22&origin=om.example.com>; rel="next"`, next)
	all, next = positions("origin=om.example.com&before=22")
	require.Equal(t, []int64{20, 18, 16, 14, 12, 10, 8, 6, 4, 2}, all)
	require.NotContains(t, next, `rel="next"`)
	all, _ = positions("origin=nobody.example.com")
	require.Empty(t, all)
	require.Contains(t, s.page("/events?origin=nobody.example.com"), "There is no such event. <a")
	page := s.page("/events?kind=add&origin=" + url.QueryEscape(`"><script>`))
	require.Contains(t, page, `value="&#34;&gt;&lt;script&gt;"`)
	require.Contains(t, page, `<option value="add" selected>`)
	for _, query := range []string{"kind=ADD", "origin=%00", "module=%ff", "before=x"} {
		requireProblem(t, s.do(http.MethodGet, "/events?"+query, "", "Accept", "application/json"), http.StatusBadRequest, query[:4])
	}

	// An event has an address of its own.
	var event map[string]any
	s.json("/events/121", &event)
	require.Equal(t, "delete", event["kind"])
	require.Equal(t, 121.0, event["position"])
	page = s.page("/events/121")
	require.Contains(t, page, "&lt;b&gt;bad&lt;/b&gt;")
	require.Contains(t, page, `href="/events/120"`)
	require.NotContains(t, page, `href="/events/122"`)
	require.Contains(t, s.page("/events/1"), events[0].ZipSHA256)
	require.Contains(t, s.page("/events"), `<a href="/events/121">121</a>`)
	requireProblem(t, s.do(http.MethodGet, "/events/122", "", "Accept", "application/json"), http.StatusNotFound, "event 122")
	for _, position := range []string{"0", "-1", "x", "99999999999999999999"} {
		requireProblem(t, s.do(http.MethodGet, "/events/"+position, "", "Accept", "application/json"), http.StatusBadRequest, position)
	}
}

// Events of a kind are looked for so far back at a time, and the page says so and leads on.
func TestEventsFurtherBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	s.log(added("example.com/m", "v1.0.0", s.Name))
	s.exec(`INSERT INTO events (position, zip_size, time, logged_at, kind, module, version, origin, zip_hash, zip_sha256, mod_hash, info, mod, reason)
		SELECT n, 0, now(), now() + n * interval '1 microsecond', 'delete', 'example.com/d', 'v1.0.' || n, 'om.example.com', '', '', '', '', '', ''
		FROM generate_series(2, 60000) n`)
	got := s.do(http.MethodGet, "/events?kind=add", "", "Accept", "application/json")
	require.Equal(t, "[]\n", got.body)
	require.Equal(t, `</events?before=10001&kind=add>; rel="next"`, got.header.Get("Link"))
	require.Contains(t, s.page("/events?kind=add"), "no such event from position 10,001 on. Older ones may be further back.")
	var list []map[string]any
	s.json("/events?kind=add&before=10001", &list)
	require.Len(t, list, 1)
}
