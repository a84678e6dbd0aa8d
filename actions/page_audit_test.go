package actions_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAuditTrail(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{token: token})
	require.Contains(t, s.page("/audit"), "Nobody has changed anything yet")
	require.Equal(t, "[]\n", s.do(http.MethodGet, "/audit", "", "Accept", "application/json").body)
	require.Contains(t, s.page("/"), `<a href="/audit">Audit</a>`, "in the menu")

	key := otherKey(t, "om.example.com")
	require.Equal(t, http.StatusCreated, s.admin(http.MethodPut, "/peers/om.example.com", `{"url":"https://om.example.com","key":"`+key+`"}`).status)
	s.knows("gone.example.com", "https://gone.example.com")
	require.Equal(t, http.StatusNoContent, s.admin(http.MethodDelete, "/peers/gone.example.com", "").status)
	_, err := s.Delete("task", "example.com/Leaked", "v1.0.0", hostile)
	require.NoError(t, err)

	var trail []map[string]any
	s.json("/audit", &trail)
	require.Len(t, trail, 4, "newest first")
	at, err := time.Parse(time.RFC3339Nano, trail[0]["time"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)
	require.True(t, strings.HasSuffix(trail[0]["time"].(string), "Z"), "UTC")
	for _, change := range trail {
		delete(change, "time")
		delete(change, "id")
	}
	require.Equal(t, map[string]any{"actor": "task", "action": "delete", "subject": "example.com/Leaked@v1.0.0", "detail": hostile}, trail[0])
	require.Equal(t, map[string]any{"actor": "http", "action": "remove peer", "subject": "gone.example.com"}, trail[1])
	require.Equal(t, map[string]any{"actor": "http", "action": "add peer", "subject": "om.example.com", "detail": "https://om.example.com " + key}, trail[3])

	page := s.page("/audit")
	require.Contains(t, page, hostileEscaped)
	require.NotContains(t, page, "<script")
	require.Contains(t, page, `<a href="/modules/example.com/%21leaked@v1.0.0">example.com/Leaked@v1.0.0</a>`)
	require.Contains(t, page, `<a href="/peers/om.example.com">om.example.com</a>`)
	require.NotContains(t, page, `href="/peers/gone.example.com"`, "it has no page any more")
	require.Contains(t, page, "over HTTP")
	require.Contains(t, page, "by a task")
	require.Less(t, strings.Index(page, "example.com/Leaked"), strings.Index(page, "om.example.com"))
	for _, accept := range []string{"text/html", "application/json"} {
		got := s.do(http.MethodGet, "/audit", "", "Accept", accept).body
		require.NotContains(t, got, token)
		require.NotContains(t, got, "PRIVATE")
	}

	s.exec(`INSERT INTO audit (actor, action, subject) SELECT 'task', 'pause peer', 'p' || n FROM generate_series(1, 300) n`)
	s.json("/audit", &trail)
	require.Len(t, trail, 100, "the newest, not all")
	for i, change := range trail {
		require.Equal(t, "p"+strconv.Itoa(300-i), change["subject"])
	}
	require.Contains(t, s.page("/audit"), "Older")
	var subjects []string
	for path := "/audit"; path != ""; path = s.link(path, "next") {
		s.json(path, &trail)
		for _, change := range trail {
			subjects = append(subjects, change["subject"].(string))
		}
	}
	require.Len(t, subjects, 304)
	require.Equal(t, "om.example.com", subjects[303])
	require.Empty(t, s.link("/audit", "first"))
	require.Equal(t, "/audit", s.link("/audit?before=5", "first"))
	requireProblem(t, s.do(http.MethodGet, "/audit?before=x", "", "Accept", "application/json"), 400, "before")
}
