package actions

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/models"
	"olympus/worker"
)

func TestWantsJSON(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"":                                   false,
		"*/*":                                false,
		"application/*":                      false,
		"application/json":                   true,
		"application/json; charset=utf-8":    true,
		"Application/JSON":                   true,
		"application/json;q=0":               false,
		"application/json;q=0.5, text/html":  false,
		"text/html, application/json":        true,
		"text/html;q=0.9, application/json":  true,
		"text/html,application/xml;q=0.9":    false,
		"application/problem+json":           false,
		"text/plain, application/json;q=0.1": true,
		";;;, application/json":              true,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		require.Equal(t, want, wantsJSON(r), "Accept: %s", accept)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header["Accept"] = []string{"text/plain", "application/json"}
	require.True(t, wantsJSON(r), "two fields")
}

func TestModuleVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"example.com/m@v1.0.0":                {"example.com/m", "v1.0.0"},
		"example.com/!big!m@v1.0.0-!r!c1":     {"example.com/BigM", "v1.0.0-RC1"},
		"example.com/BigM@v1.0.0-RC1":         {"example.com/BigM", "v1.0.0-RC1"},
		"example.com/!big!m@v1.0.0-RC1":       {"example.com/BigM", "v1.0.0-RC1"},
		"example.com/m@v2.0.0+incompatible":   {"example.com/m", "v2.0.0+incompatible"},
		"example.com/m/v2@v2.0.0":             {"example.com/m/v2", "v2.0.0"},
		"gopkg.in/m.v3@v3.1.0":                {"gopkg.in/m.v3", "v3.1.0"},
		"example.com/~u/m_x@v0.0.0-1-deadbee": {"example.com/~u/m_x", "v0.0.0-1-deadbee"},
	} {
		path, version, err := moduleVersion(text)
		require.NoError(t, err, text)
		require.Equal(t, want, [2]string{path, version}, text)
	}
	for text, status := range map[string]int{
		"example.com/m":             http.StatusNotFound,
		"":                          http.StatusNotFound,
		"example.com/m@":            http.StatusBadRequest,
		"@v1.0.0":                   http.StatusBadRequest,
		"example.com/m@v1":          http.StatusBadRequest,
		"example.com/m@v1.0.0+meta": http.StatusBadRequest,
		"example.com/m@latest":      http.StatusBadRequest,
		"example.com/m/v2@v1.0.0":   http.StatusBadRequest,
		"example.com/../m@v1.0.0":   http.StatusBadRequest,
		"example.com/m@v1.0.0/x":    http.StatusBadRequest,
		"example.com/!m@v1.0.0 ":    http.StatusBadRequest,
	} {
		_, _, err := moduleVersion(text)
		require.Error(t, err, text)
		require.Equal(t, status, statusOf(err), text)
	}
}

func TestRelative(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                             "just now",
		1999 * time.Millisecond:       "just now",
		59*time.Second + 999*1e6:      "59 s ago",
		time.Minute:                   "1 min ago",
		59 * time.Minute:              "59 min ago",
		23*time.Hour + 59*time.Minute: "23 h ago",
		24 * time.Hour:                "1 day ago",
		48 * time.Hour:                "2 days ago",
		31 * 24 * time.Hour:           "",
		-500 * time.Millisecond:       "now",
		-90 * time.Second:             "in 1 min",
	} {
		require.Equal(t, want, relative(d), d.String())
	}
	require.Contains(t, string(ago(nil)), "never")
	long := time.Date(2020, 2, 3, 4, 5, 6, 7000, time.FixedZone("", 3600))
	require.Equal(t, `<time datetime="2020-02-03T03:05:06.000007Z" title="2020-02-03 03:05:06.000007 UTC">3 Feb 2020</time>`, string(ago(&long)))
}

func TestNumbersForPeople(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1: "-1", -1000: "-1,000", -100: "-100"} {
		require.Equal(t, want, counted(n))
	}
	for n, want := range map[int64]string{0: "", 1: "1 byte", 1023: "1,023 bytes", 1536: "1.5 KiB", 5 << 20: "5.0 MiB", 3 << 30: "3.0 GiB"} {
		require.Equal(t, want, sized(n))
	}
}

func TestPeerTrouble(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	const tick = 30 * time.Second
	for name, test := range map[string]struct {
		peer     models.Peer
		interval time.Duration
		level    string // empty: no trouble
		says     []string
	}{
		"just pulled":            {models.Peer{State: "active", LastPullAt: before(time.Second)}, tick, "", nil},
		"new, not yet pulled":    {models.Peer{State: "active"}, tick, "", nil},
		"a tick was missed":      {models.Peer{State: "active", LastPullAt: before(2 * tick)}, tick, "", nil},
		"no tick for long":       {models.Peer{State: "active", LastPullAt: before(time.Hour)}, tick, "bad", []string{"1 h ago", "without an error"}},
		"pulled on demand":       {models.Peer{State: "active", LastPullAt: before(time.Hour)}, 0, "", nil},
		"a rare tick":            {models.Peer{State: "active", LastPullAt: before(time.Hour)}, time.Hour, "", nil},
		"failing":                {models.Peer{State: "active", LastPullAt: before(3 * time.Hour), LastError: "no route", LastErrorAt: before(5 * time.Second)}, tick, "bad", []string{"5 s ago", "3 h ago"}},
		"failing from the start": {models.Peer{State: "active", LastError: "no route", LastErrorAt: before(5 * time.Second)}, tick, "bad", []string{"never been pulled"}},
		"down for months":        {models.Peer{State: "active", LastPullAt: before(100 * 24 * time.Hour), LastError: "no route"}, tick, "bad", []string{"on 14 Aug 2026"}},
		"paused":                 {models.Peer{State: "paused", LastPullAt: before(time.Hour), LastError: "no route"}, tick, "note", []string{"paused"}},
	} {
		test.peer.Name = "om.example.com"
		got := peerTrouble(&test.peer, test.interval, now)
		if test.level == "" {
			require.Nil(t, got, name)
			continue
		}
		require.NotNil(t, got, name)
		require.Equal(t, test.level, got.Level, name)
		require.Contains(t, got.Text, "om.example.com", name)
		for _, words := range test.says {
			require.Contains(t, got.Text, words, name)
		}
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		levels      []string
		class, says string
	}{
		{nil, "good", "Nothing"},
		{[]string{"note"}, "note", "notes"},
		{[]string{"bad", "note"}, "bad", "1 thing is"},
		{[]string{"bad", "bad"}, "bad", "2 things are"},
	} {
		var troubles []trouble
		for _, level := range test.levels {
			troubles = append(troubles, trouble{Level: level})
		}
		class, text := verdict(troubles)
		require.Equal(t, test.class, class)
		require.Contains(t, text, test.says)
	}
}

func TestWhereabouts(t *testing.T) {
	t.Parallel()
	now := time.Now()
	soon, past := now.Add(time.Minute), now.Add(-time.Minute)
	remote := models.Version{AddPosition: 1, Origin: "om.example.com"}
	lost := models.Version{AddPosition: 1, Origin: "oa.example.com", FetchError: "damaged"}
	for _, test := range []struct {
		lazy, redirect bool
		version        models.Version
		says           string
	}{
		{false, false, remote, "not here yet: it is fetched from om.example.com or any peer that holds it."},
		{false, true, remote, "not here yet: it is fetched"},
		{true, false, remote, "not here: it is fetched from om.example.com or any peer that holds it when a client asks for it."},
		{true, true, remote, "not here: clients that ask for it are sent to om.example.com or any peer that holds it."},
		{false, false, lost, "not here yet: it is fetched from a peer that holds it."},
		{true, false, lost, "not here: it is fetched from a peer that holds it when a client asks"},
		{true, false, models.Version{AddPosition: 1, Held: true}, "held here"},
		{true, false, models.Version{AddPosition: 1, Deleted: true}, "Barred for good"},
		{true, false, models.Version{Deprecated: true}, "Nothing is served"},
	} {
		d := &worker.Deployment{Options: worker.Options{Name: "oa.example.com", FetchLazy: test.lazy}}
		p := &pages{App: &App{Deployment: d, Options: Options{Redirect: test.redirect}}}
		require.Contains(t, p.whereabouts(&test.version), test.says)
	}
	for _, test := range []struct {
		lazy    bool
		version models.Version
		says    string
	}{
		{false, models.Version{FetchDueAt: &soon}, "in "},
		{false, models.Version{FetchDueAt: &past}, "due now"},
		{false, models.Version{FetchDueAt: &soon, FetchLeasedUntil: &soon}, "under way"},
		{false, models.Version{FetchDueAt: &soon, FetchLeasedUntil: &past}, "in "},
		{true, models.Version{FetchDueAt: &past}, "when a client asks for it"},
		{true, models.Version{FetchDueAt: &soon, FetchLeasedUntil: &soon}, "under way"},
	} {
		p := &pages{App: &App{Deployment: &worker.Deployment{Options: worker.Options{FetchLazy: test.lazy}}}}
		require.Contains(t, fmt.Sprint(p.nextTry(&test.version, now)), test.says)
	}
}
